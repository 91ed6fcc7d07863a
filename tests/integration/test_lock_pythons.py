"""Which Python wheels ask for, and whether those named by their URL are what they are said to be."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

import pypikit
import pytest
from pypikit import make_wheel
from questionkit import Asker, encrypted

from bundler.fetch.channels import Access
from bundler.lock.pypi.pythons import Asker as PythonAsker
from bundler.lock.unify import LockedWheel
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

    from pypikit import Index

pytestmark = pytest.mark.network


@pytest.fixture
def asker(tmp_path: Path, pypi: Index, monkeypatch: pytest.MonkeyPatch) -> Asker:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    return Asker(tmp_path, pypi)


def metadata_asked(index: Index) -> int:
    return sum(path.endswith(".metadata") for path in index.asked)


def test_an_upper_bound_is_gone_by_as_pip_does(asker: Asker, pypi: Index) -> None:
    """uv takes no notice of it; the build would refuse what it chooses."""
    for version, python in (("1.0", ">=3.8"), ("2.0", ">=3.8,<3.11"), ("3.0", "<3.11.7")):
        make_wheel(pypi.directory, "app", version, requires_python=python)
    make_wheel(pypi.directory, "user", "1.0", requires=["app"], requires_python=">=3.8,<4,!=3.9.*")
    assert asker.files("user") == ["app-1.0-py3-none-any.whl", "user-1.0-py3-none-any.whl"]
    assert asker.files("user", kept={"app": "2.0"})[0] == "app-1.0-py3-none-any.whl"
    assert asker.files("app", python="3.10.4") == ["app-3.0-py3-none-any.whl"]
    said = asker.fails("user", "app >=2")
    assert "the environment has Python 3.11.7 on linux-64, and these packages do not support it:" in said
    assert "\n    app 3.0 requires Python <3.11.7\n    app 2.0 requires Python" in said
    assert "Request another Python in environment.yml, or relax a version" in said
    assert "app 2.0 requires Python" in asker.fails("app ==2.0")


def test_what_an_index_says_is_asked_for_once(asker: Asker, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires_python="<4")
    asker.solve("app")
    assert metadata_asked(pypi) == 2, "by uv and by us"
    asker.solve("app")
    assert metadata_asked(pypi) == 3, "by uv, whose cache is not for long"
    for damaged in ("[]", "{", ""):
        (cache_dir("requires-python") / "known.json").write_text(damaged)
        assert asker.files("app") == ["app-1.0-py3-none-any.whl"]
    make_wheel(pypi.directory, "app", "1.0", requires_python="<3.11")
    assert "app 1.0 requires Python <3.11" in asker.fails("app"), "another file of the same name"


def test_of_an_index_without_metadata_files_or_pieces_nothing_is_known(asker: Asker, pypi: Index) -> None:
    pypi.metadata = False
    make_wheel(pypi.directory, "app", "1.0", requires_python="<3.11")
    assert asker.files("app") == ["app-1.0-py3-none-any.whl"]


def test_of_an_index_without_metadata_files_a_piece_of_the_wheel_is_read(asker: Asker, pypi: Index) -> None:
    pypi.metadata, pypi.pieces = False, True
    bulk = random.Random(0).randbytes(3_000_000)
    for version, python in (("1.0", ">=3.8"), ("2.0", "<3.11")):
        make_wheel(pypi.directory, "app", version, requires_python=python, files={"app/bulk": bulk})
    assert asker.files("app") == ["app-1.0-py3-none-any.whl"]
    assert pypi.sent < 1_000_000


@pytest.mark.parametrize("said", ["", "bytes 0-9/10", "bytes 5-1/10", "bytes */10", f"bytes 0-{10**14}/{10**14 + 1}"])
def test_pieces_that_are_none(asker: Asker, pypi: Index, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """What a server makes of a question for a piece does not decide whether a wheel can be locked."""
    pypi.metadata = False
    make_wheel(pypi.directory, "app", "1.0", requires_python="<3.11")
    found = LockedWheel(name="app", version="1.0", url=f"{pypi.url()}/../files/app-1.0-py3-none-any.whl", sha256=None)
    told = []

    def answer(handler: Any, content: bytes) -> None:
        told.append(handler.headers["Range"])
        handler.send_response(206)
        handler.send_header("Content-Range", said)
        handler.send_header("Content-Length", "4")
        handler.end_headers()
        handler.wfile.write(b"abcd")

    monkeypatch.setattr(pypikit._Handler, "_file", answer)
    own = PythonAsker(access=Access(retries=0), directory=asker.directory, where="here", check=lambda _: None)
    assert own.asked_for([found]) == {"app": None}
    assert told == ["bytes=-65536"]


def test_what_nobody_can_read_is_no_bound(asker: Asker, pypi: Index) -> None:
    """As for pip; uv reads it its own way."""
    make_wheel(pypi.directory, "app", "1.0", requires_python=">=3.6.*")
    assert asker.files("app") == ["app-1.0-py3-none-any.whl"]


def test_a_directory_of_wheels(asker: Asker, pypi: Index) -> None:
    for version, python in (("1.0", ">=3.8"), ("2.0", "<3.11")):
        make_wheel(asker.directory / "links", "app", version, requires_python=python)
    assert asker.files("--no-index", "--find-links links", "app", indexes=()) == ["app-1.0-py3-none-any.whl"]


def test_without_a_network_what_was_known_counts(asker: Asker, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires_python=">=3.8")
    found = asker.solve("app").wheels
    here, offline = (
        PythonAsker(access=access, directory=asker.directory, where="here", check=lambda _: None)
        for access in (Access(retries=0), Access(offline=True, retries=0))
    )
    count = len(pypi.asked)
    assert offline.asked_for(found) == {"app": ">=3.8"}
    (cache_dir("requires-python") / "known.json").unlink()
    assert offline.asked_for(found) == {"app": None}
    assert len(pypi.asked) == count
    assert here.asked_for(found) == {"app": ">=3.8"}, "it was not known, so it is asked for"


def test_a_wheel_named_by_its_url_is_the_one_whose_digest_stands_there(
    asker: Asker, pypi: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, "app", "1.0")
    old = make_wheel(tmp_path, "old", "1.0", requires_python="<3.11")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with encrypted(tmp_path) as url:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        said = asker.fails(f"app @ {url}/{wheel.name}#sha256={'0' * 64}")
        assert (
            f"{wheel.name} does not match the file that `pip:` names: sha256 is {digest}, but its URL says 000" in said
        )
        assert "Find out which of the two is right" in said
        right = f"app @ {url}/{wheel.name}#sha256={digest}"
        assert asker.files(right) == [wheel.name]
        assert (cache_dir("archives") / digest / wheel.name).read_bytes() == wheel.read_bytes(), "the build has it"
        said = asker.fails(f"old @ {url}/{old.name}#sha256={hashlib.sha256(old.read_bytes()).hexdigest()}")
        assert "do not support it:\n    old 1.0 requires Python <3.11" in said
        assert asker.files(f"app @ {url}/{wheel.name}#sha256={'0' * 64}", injected=frozenset({"app"}))
