"""What uv is asked for a `pip:` list, without conda-lock: conda's packages are given, no lockfile is written."""

from __future__ import annotations

import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from bundler.errors import LockError
from bundler.fetch.channels import Access
from bundler.lock.pypi.explain import explain_uv
from bundler.lock.pypi.indexes import find_source
from bundler.lock.pypi.pythons import Asker as PythonAsker
from bundler.lock.pypi.pythons import find_fitting
from bundler.lock.pypi.uv import Solution, UvFailed, WheelQuestion
from bundler.locked import LockedPackage
from bundler.resources import cache_dir
from bundler.wheels.interpreter import write_interpreter
from bundler.wheels.python import Python
from bundler.wheels.requirements import read_pip_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pypikit import Index

__all__ = ["Asker", "answer", "encrypted", "wheel_question"]


def wheel_question(
    pip: Sequence[str],
    directory: Path,
    *indexes: str,
    python: str = "3.11.7",
    platform: str = "linux-64",
    conda: Mapping[str, str] | None = None,
    **options: Any,
) -> WheelQuestion:
    """The question for a list; ``conda`` are versions of what conda brings, ``options`` other fields of it.

    ``indexes`` are asked first, then those of the list; a server has glibc 2.28.
    """
    target = Python.of({"version": python, "build": "h1_0_cpython"}, platform)
    wanted = read_pip_list(pip, directory / "environment.yml", "main")
    assert not wanted.mistakes, wanted.mistakes
    return WheelQuestion(
        python=target,
        glibc=(2, 28),
        interpreter=write_interpreter(cache_dir("pythons"), target, (2, 28)),
        wanted=wanted,
        provided={name: _conda_package(name, version, platform) for name, version in (conda or {}).items()},
        sources=tuple(map(find_source, (*indexes, *wanted.indexes))),
        links=tuple(map(find_source, wanted.find_links)),
        public_index=False,
        access=Access(retries=0),
        **options,
    )


def _conda_package(name: str, version: str, platform: str) -> LockedPackage:
    return LockedPackage(
        name=name,
        version=version,
        manager="conda",
        platform=platform,
        url=f"https://127.0.0.1/noarch/{name}-{version}-0.conda",
        sha256=None,
        md5=None,
        depends=("python",),
    )


def answer(question: WheelQuestion, directory: Path) -> Solution:
    """uv's, or the sentence that the user gets instead, raised."""
    directory.mkdir(parents=True, exist_ok=True)
    where = "environment.yml: dependencies: pip"
    asker = PythonAsker(access=question.access, directory=directory, where=where, check=lambda _: None)
    try:
        return find_fitting(question, directory, asker)
    except UvFailed as failed:
        raise explain_uv(failed.text, question, where) from failed


@dataclass
class Asker:
    """Asks for `pip:` lists, in a directory of its own."""

    directory: Path
    index: Index
    count: int = 0

    def solve(self, *pip: str, indexes: tuple[str, ...] | None = None, **options: Any) -> Solution:
        self.count += 1
        asked = (self.index.url(),) if indexes is None else indexes
        return answer(wheel_question(pip, self.directory, *asked, **options), self.directory / str(self.count))

    def files(self, *pip: str, **options: Any) -> list[str]:
        return sorted(wheel.url.rpartition("/")[2] for wheel in self.solve(*pip, **options).wheels)

    def fails(self, *pip: str, **options: Any) -> str:
        with pytest.raises(LockError) as refusal:
            self.solve(*pip, **options)
        said = refusal.value.format_message()
        assert said.startswith("environment.yml: dependencies: pip: ")
        assert "uv failed" not in said, "what uv says is not passed on"
        return said


@contextmanager
def encrypted(directory: Path) -> Iterator[str]:
    """Files on loopback by TLS, with a certificate of their own: the URL."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days=2",
    ]
    words += ["-subj=/CN=127.0.0.1", "-addext=subjectAltName=IP:127.0.0.1", "-addext=basicConstraints=CA:FALSE"]
    settings = directory / "openssl.cnf"
    settings.write_text("[req]\ndistinguished_name = name\n[name]\n")  # not the machine's, which would make it a CA
    words += [f"-config={settings}", f"-keyout={key}", f"-out={certificate}"]
    subprocess.run([word for one in words for word in one.split("=", 1)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = partial(QuietHandler, directory=directory)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        pass
