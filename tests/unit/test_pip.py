"""The ``pip:`` list of an environment.yml: what cannot be locked, or cannot be installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bundler.errors import ConfigError, LockError
from bundler.fetch.channels import Access
from bundler.lock.environment.pip import check_wheels, pip_mistakes, repository_variables
from bundler.locked import LockedPackage

HASH = "0" * 64


def document(*wheels: str, repositories: Any = ()) -> dict[str, Any]:
    return {"dependencies": ["python", {"pip": list(wheels)}], "pip-repositories": repositories}


@pytest.mark.parametrize(
    "text",
    [
        "flask",
        "Flask_Login[async] >=2,<3 ; python_version >= '3.8'",
        f"flask ==3.0 --hash=sha256:{HASH}",
        f"flask @ https://127.0.0.1/files/flask-3.0-py3-none-any.whl#sha256={HASH}",
        f"https://127.0.0.1/files/flask-3.0-py3-none-any.whl#sha256={HASH}",
    ],
)
def test_what_can_be_locked(text: str) -> None:
    assert pip_mistakes(document(text), Path("environment.yml")) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-e .", "is an editable project, which cannot be bundled"),
        ("--editable=../lib", "is an editable project"),
        ("-r nowhere/requirements.txt", "cannot be read: No such file or directory"),
        ("-c https://127.0.0.1/constraints.txt", "is a remote file"),
        ("--index-url", "lacks a value"),
        ("--pre yes", "takes no value"),
        ("--index-url ../simple", "is not an http:// or https:// URL"),
        ("--extra-index-url https://me:secret@127.0.0.1/simple", "has a password, token or query in its URL: put"),
        ("--find-links nowhere", "is neither a directory nor a URL"),
        ("--trusted-host 127.0.0.1", "is an unsupported option; supported"),
        ("flask --no-binary", "has an unsupported option; only"),
        ("torch==2.1 --index-url https://h/whl", "has --index-url after a requirement; write that as a separate entry"),
        ("torch -f https://h/whl", "has -f after a requirement"),
        ("flask=3.0", "is not a requirement: a single `=` is conda syntax; write `==`"),
        ("flask[async] = 3.0", "a single `=` is conda syntax"),
        ("./lib", "is a local file"),
        ("/srv/lib.whl", "is a local file"),
        ("lib-1.0-py3-none-any.whl", "is a local file"),
        ("lib @ file:///srv/lib-1.0-py3-none-any.whl", "is a local file"),
        ("lib @ git+https://127.0.0.1/lib.git@main", "is not the URL of a wheel"),
        ("git+ssh://git@127.0.0.1/lib.git", "is not the URL of a wheel"),
        ("lib @ https://127.0.0.1/lib-1.0.tar.gz", "is not the URL of a wheel"),
        ("lib @ http://127.0.0.1/lib-1.0-py3-none-any.whl", "is not the URL of a wheel"),
        ("lib @ https://127.0.0.1/lib-1.0-py3-none-any.whl", "has no hash: add #sha256=…"),
        (
            f"lib @ https://me:secret@127.0.0.1/lib-1-py3-none-any.whl#sha256={HASH}",
            "has credentials or a query in its URL",
        ),
        (f"lib @ https://127.0.0.1/lib-1-py3-none-any.whl?a=b#sha256={HASH}", "or a query"),
        ("lib = 1.0", "is not a requirement"),
    ],
)
def test_what_cannot_be_locked(text: str, reason: str) -> None:
    (mistake,) = pip_mistakes(document(text), Path("environment.yml"))
    assert reason in mistake
    assert "secret" not in mistake


def test_what_is_no_index() -> None:
    path = Path("environment.yml")
    assert "is not an http:// or https:// URL" in pip_mistakes(document(repositories=["file:///srv/simple"]), path)[0]
    said = pip_mistakes(document(repositories="https://127.0.0.1"), path)
    assert said == ["`pip-repositories:` is not a list of URLs"]


def test_credentials_of_an_index_are_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("environment.yml")
    monkeypatch.setenv("TOKEN", "x")
    for url in ("https://${TOKEN}@127.0.0.1/simple", "https://aws:${TOKEN}@127.0.0.1/simple"):
        assert repository_variables(document(repositories=[url]), path) == ("TOKEN",)
    for url in (
        "https://secret@127.0.0.1/simple",
        "https://me:secret@127.0.0.1/simple",
        "https://127.0.0.1/s?a=secret",
    ):
        with pytest.raises(ConfigError, match=r"contains a password or token|has a query string") as caught:
            repository_variables(document(repositories=[url]), path)
        assert "secret" not in caught.value.format_message().replace("may contain secrets", "")


def package(url: str, sha256: str | None = HASH) -> LockedPackage:
    return LockedPackage(
        name=url.partition("-")[0],
        version="1.0",
        manager="pip",
        platform="linux-64",
        url=f"https://127.0.0.1/files/{url}",
        sha256=sha256,
        md5=None,
        depends=(),
    )


def test_all_that_are_no_wheels_are_named() -> None:
    packages = [package("b-1.0.zip"), package("a-1.0.tar.gz"), package("c-1.0-py3-none-any.whl")]
    with pytest.raises(LockError) as caught:
        check_wheels(packages, Path("conda-lock.yml"))
    assert caught.value.exit_code == 3
    assert caught.value.message.splitlines()[1:] == [
        "    a 1.0 for linux-64: a-1.0.tar.gz",
        "    b 1.0 for linux-64: b-1.0.zip",
    ]
    assert "inject" in (caught.value.remedy or "")
    check_wheels(packages, Path("conda-lock.yml"), replaced={"a", "b"})


def test_a_wheel_without_a_hash_is_refused() -> None:
    with pytest.raises(LockError, match="no sha256 is known for"):
        check_wheels([package("c-1.0-py3-none-any.whl", None)], Path("conda-lock.yml"))


def test_a_wheels_name_may_be_quoted() -> None:
    assert package("torch-2.0%2Bcpu-py3-none-any.whl?x=1").filename == "torch-2.0+cpu-py3-none-any.whl"


def test_variables_of_an_index_are_quoted_for_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "a/b@c:d")
    access = Access(own=("https://127.0.0.1/files/$TOKEN/simple",))
    filled = access.filled("https://127.0.0.1/files/${TOKEN}/c-1-py3-none-any.whl", where="x", quoted=True)
    assert filled == "https://127.0.0.1/files/a%2Fb%40c%3Ad/c-1-py3-none-any.whl"
