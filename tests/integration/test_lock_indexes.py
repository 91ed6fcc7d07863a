"""What package indexes have, say and do wrong: each is either right, or refused with its sentence.

Real uv, and real indexes on loopback; conda-lock has no part in it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from pypikit import Index, make_sdist, make_wheel, serve_index
from questionkit import Asker, encrypted

from bundler.errors import ConfigError, LockError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.network

_HEAD = b"Metadata-Version: 2.1\nName: app\nVersion: 1.0\n"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Index]:
    with serve_index(tmp_path / "others") as index:
        index.metadata = True
        yield index


@pytest.fixture
def asker(tmp_path: Path, pypi: Index, monkeypatch: pytest.MonkeyPatch) -> Asker:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    return Asker(tmp_path, pypi)


def test_a_yanked_version_is_taken_if_it_is_pinned_and_that_is_told(asker: Asker, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0")
    pypi.yanked.add(make_wheel(pypi.directory, "app", "2.0").name)
    make_wheel(pypi.directory, "user", "1.0", requires=["app ==2.0"])
    found = asker.solve("app")
    assert ([wheel.version for wheel in found.wheels], found.notes) == (["1.0"], ())
    for pinned in (asker.solve("app ==2.0"), asker.solve("app", kept={"app": "2.0"})):
        assert [wheel.version for wheel in pinned.wheels] == ["2.0"]
        (note,) = pinned.notes
        assert note.startswith("app 2.0 was yanked from its package index: broken; it is locked because")
    for pip in ("app >=2", "user"):
        said = asker.fails(pip)
        assert "app==2.0 was yanked (reason: broken)" in said
        assert "- app 2.0 was yanked from its package index; `app==2.0` in `pip:` selects it anyway" in said


def test_pre_releases_are_taken_only_when_asked_for(asker: Asker, pypi: Index) -> None:
    for version in ("1.0", "2.0rc1", "2.0.dev3"):
        make_wheel(pypi.directory, "app", version)
    make_wheel(pypi.directory, "early", "0.1a1")
    make_wheel(pypi.directory, "user", "1.0", requires=["app"])
    assert asker.files("user") == ["app-1.0-py3-none-any.whl", "user-1.0-py3-none-any.whl"]
    assert asker.files("app >=2.0rc1") == ["app-2.0rc1-py3-none-any.whl"]
    assert asker.files("app", "--pre") == ["app-2.0rc1-py3-none-any.whl"]
    assert asker.files("early") == ["early-0.1a1-py3-none-any.whl"], "there is no other (PEP 440)"
    assert "only app<=2.0rc1 is available and `pip:` asks for app>=2" in asker.fails("app >=2")


def test_what_markers_leave_out_is_not_looked_for(asker: Asker, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["nowhere; python_version < '3.11'", "no; os_name == 'nt'"])
    gone = "gone; platform_machine == 'aarch64'"
    pip = ("app", "absent ==1; sys_platform == 'win32'", gone, "old; python_version < '3'")
    assert asker.files(*pip) == ["app-1.0-py3-none-any.whl"]
    said = asker.fails("app", python="3.10.4")
    assert "all versions of app depend on nowhere (if python_full_version < '3.11')" in said
    assert "- none of the package indexes has a file of nowhere" in said
    assert "gone" in asker.fails("app", gone, platform="linux-aarch64")


def test_an_extra_that_does_not_exist_is_told(asker: Asker, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0")
    found = asker.solve("app[fast]")
    assert [wheel.name for wheel in found.wheels] == ["app"]
    assert found.notes == ("app 1.0 has no extra fast; it is ignored",)


def test_the_first_index_wins_and_that_is_told(asker: Asker, pypi: Index, other: Index) -> None:
    local = make_wheel(other.directory, "torch", "2.5.0+cu124", requires=["plain"])
    make_wheel(pypi.directory, "torch", "2.6.0")
    make_wheel(pypi.directory, "plain", "1.0")
    indexes = (other.url(), pypi.url())
    found = asker.solve("torch", indexes=indexes)
    assert [(wheel.name, wheel.version) for wheel in found.wheels] == [("plain", "1.0"), ("torch", "2.5.0+cu124")]
    torch = found.wheels[1]
    assert torch.url.startswith(other.url().removesuffix("simple"))
    assert torch.sha256 == hashlib.sha256(local.read_bytes()).hexdigest()
    assert set(found.notes) == {
        f"torch from {other.url()}, the first package index that has it",
        f"plain from {pypi.url()}, the first package index that has it",
    }
    for pin in ("torch ==2.5.0", "torch ==2.5.0+cu124", "torch <2.6"):
        assert asker.files(pin, indexes=indexes)[1].startswith("torch-2.5.0")
    said = asker.fails("torch ==2.6.0", indexes=indexes)
    assert f"- the first index that has a project is used: for torch that is 127.0.0.1:{other.port}" in said
    assert "there is no version of torch==2.5.0+cu118" in asker.fails("torch ==2.5.0+cu118", indexes=indexes)


@pytest.mark.parametrize("tag", ["manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64", "linux_x86_64"])
def test_old_tags_fit(asker: Asker, pypi: Index, tag: str) -> None:
    make_wheel(pypi.directory, "app", "1.0", tag=f"cp311-cp311-{tag}")
    assert asker.files("app") == [f"app-1.0-cp311-cp311-{tag}.whl"]
    assert "but no wheel of it for this platform and Python" in asker.fails("app", platform="linux-aarch64")


def test_of_builds_of_a_wheel_the_last_is_taken(asker: Asker, pypi: Index) -> None:
    for build in ("", "2-", "10-", "9b-", "11-"):  # the last is neither the first nor the last of the names
        make_wheel(pypi.directory, "app", "1.0", tag=f"{build}py3-none-any")
    assert asker.files("app") == ["app-1.0-11-py3-none-any.whl"]


def test_what_is_for_newer_pythons_only(asker: Asker, pypi: Index) -> None:
    make_wheel(pypi.directory, "tagged", "1.0", tag="cp313-cp313-manylinux_2_17_x86_64")
    said = asker.fails("tagged")
    assert "the package index has tagged 1.0, but no wheel of it for this platform and Python (Python 3.11.7" in said
    assert "only for cp313" in said
    make_wheel(pypi.directory, "asking", "1.0", requires_python=">=3.12")
    make_wheel(pypi.directory, "asking", "2.0", requires_python=">=3.13")
    make_wheel(pypi.directory, "user", "1.0", requires=["asking"])
    for pip in ("asking", "user"):
        said = asker.fails(pip)
        assert "asking==1.0 requires Python >=3.12" in said
        assert "asking==1.0, asking==2.0, so all of" in said, "uv's lists are in one line"
        assert "- the environment has Python 3.11.7 on linux-64" in said
        assert "request another Python in environment.yml" in said
    make_wheel(pypi.directory, "asking", "0.9", requires_python=">=3.8")
    assert "asking-0.9-py3-none-any.whl" in asker.files("user")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "failed (HTTP 401)"),
        (403, "failed (HTTP 403)"),
        (410, "responded with 410"),
        (500, "responded with 500"),
        (503, "responded with 503"),
    ],
)
def test_an_index_that_refuses_is_not_passed_over(
    asker: Asker, pypi: Index, other: Index, status: int, said: str
) -> None:
    make_wheel(pypi.directory, "app", "1.0")
    other.pages["app"] = (status, "text/html", b"<html>no</html>")
    failure = asker.fails("app", indexes=(other.url(), pypi.url()))
    assert f"the package index on 127.0.0.1:{other.port} {said}" in failure
    other.pages["app"] = (404, "text/html", b"<html>not found</html>")
    assert asker.files("app", indexes=(other.url(), pypi.url())) == ["app-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("kind", "page", "said"),
    [
        (
            "text/html",
            b"<html><a href='/login'>Please log in</a></html>",
            "has a page without any files of it; it may be",
        ),
        ("text/html", b"", "has a page without any files of it; it may be"),
        ("text/plain", b"hello", "is of the type text/plain"),
        ("application/json", b"{}", "is of the type application/json"),
        ("application/vnd.pypi.simple.v1+json", b"<html>", "cannot be read: expected value at line 1 column 1"),
        ("text/html", b"<a href='/app-1.0-py3-none-any.whl#sha256=1'>x</a>", "cannot be read: Invalid hash digest"),
    ],
)
def test_an_answer_that_is_no_indexs(asker: Asker, pypi: Index, kind: str, page: bytes, said: str) -> None:
    pypi.pages["app"] = (200, kind, page)
    failure = asker.fails("app")
    assert said in failure
    assert f"127.0.0.1:{pypi.port}" in failure or "the first package index that responds for app" in failure


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (b"<html>error</html>", "- the metadata of app 1.0 cannot be used: Metadata field Name not found"),
        (_HEAD + b"Requires-Dist: x ==== 1\n", "- the metadata of app 1.0 cannot be used: no such comparison"),
        (_HEAD + b"Requires-Python: new\n", "- the metadata of app 1.0 cannot be used: Failed to parse version"),
        (_HEAD.replace(b"app", b"cuckoo"), "a wheel of app on a package index has inconsistent metadata: the name"),
    ],
)
def test_metadata_that_is_broken(asker: Asker, pypi: Index, metadata: bytes, said: str) -> None:
    wheel = make_wheel(pypi.directory, "app", "1.0")
    pypi.said[wheel.name] = metadata
    assert said in asker.fails("app")


def test_a_wheel_that_is_broken(asker: Asker, pypi: Index) -> None:
    pypi.metadata = False
    (pypi.directory / "app-1.0-py3-none-any.whl").write_bytes(b"no archive")
    assert "- the wheel of app 1.0 cannot be used: Failed to read from zip file" in asker.fails("app")
    make_wheel(pypi.directory, "app", "0.9")
    assert asker.files("app") == ["app-0.9-py3-none-any.whl"]


def test_directories_and_pages_of_links(asker: Asker, pypi: Index, other: Index) -> None:
    make_wheel(asker.directory / "links", "linked", "1.0", requires=["app"])
    make_wheel(asker.directory / "links", "app", "3.0", tag="cp312-cp312-linux_x86_64")
    make_wheel(pypi.directory, "app", "1.0")
    pip = ("--find-links links", "linked")
    assert asker.files(*pip) == ["app-1.0-py3-none-any.whl", "linked-1.0-py3-none-any.whl"]
    assert "app" in asker.fails("--no-index", *pip, indexes=())
    make_wheel(other.directory, "paged", "1.0")
    paged = asker.solve(f"--find-links {other.url()}/paged", "paged", indexes=())
    assert paged.wheels[0].url == f"{other.url().removesuffix('simple')}files/paged-1.0-py3-none-any.whl"


def test_conflicts_name_who_asks_and_what_conda_brings(asker: Asker, pypi: Index) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(pypi.directory, "app", version, requires=[f"lib >={version}"])
        make_wheel(pypi.directory, "lib", version)
    make_wheel(pypi.directory, "deep", "1.0", requires=["app >=2"])
    assert asker.files("app", conda={"lib": "1.0"}) == ["app-1.0-py3-none-any.whl"]
    said = asker.fails("deep", conda={"lib": "1.0"})
    assert "deep depend on app>=2" in said
    assert "- conda provides lib 1.0, so no wheel of it is used" in said
    (asker.directory / "bounds.txt").write_text("lib <2\n")
    said = asker.fails("deep", "-c bounds.txt")
    assert "app>=2.0 depends on lib>=2.0" in said
    assert "all versions of deep depend on app>=2 and `pip:` asks for deep" in said
    assert "- a constraints file (`-c`) requires lib <2" in said
    assert "Relax one of these version constraints, or add an index" in said


def test_a_source_is_named_with_who_wants_it(asker: Asker, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["old >=1", "lib <1"])
    make_sdist(pypi.directory, "old", "1.0")
    make_wheel(pypi.directory, "lib", "2.0")
    said = asker.fails("app")
    assert "old==1.0 has only source, no wheel" in said
    assert "all versions of app depend on old" in said
    assert "- conda-bundler does not build wheels of old 1.0 from source" in said


def test_wheels_named_by_their_urls(asker: Asker, pypi: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(pypi.directory, "lib", "1.0")
    wheel = make_wheel(tmp_path, "app", "1.0+cu124", requires=["lib", "nowhere; sys_platform == 'win32'"])
    newer = make_wheel(tmp_path, "newer", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with encrypted(tmp_path) as url:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        named = f"app @ {url}/{quote(wheel.name)}"
        for pip in (f"{named}#sha256={digest}", f"{url}/{wheel.name}#sha256={digest}"):
            app, lib = asker.solve(pip).wheels
            assert (app.name, app.version, app.sha256, lib.name) == ("app", "1.0+cu124", digest, "lib")
            assert app.url == pip.removeprefix("app @ ").partition("#")[0]
        said = asker.fails(f"{named.replace('1.0', '2.0')}#sha256={digest}")
        assert "app-2.0%2Bcu124-py3-none-any.whl of `pip:` cannot be downloaded: 127.0.0.1:" in said
        assert "responded with 404" in said
        with pytest.raises(
            LockError, match=r"names newer-1\.0-cp312-\S+, which does not fit Python 3\.11\.7 on linux-64"
        ):
            asker.solve(f"newer @ {url}/{newer.name}#sha256={'0' * 64}")
        right = hashlib.sha256(newer.read_bytes()).hexdigest()
        assert asker.solve(f"newer @ {url}/{newer.name}#sha256={right}", python="3.12.1").wheels
        assert "only app>=1 is available and `pip:` asks for app<1" in asker.fails(f"{named}#sha256={digest}", "app <1")
        machines = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
        own = {one: make_wheel(tmp_path, "own", "1.0", tag=f"cp311-cp311-linux_{one}") for one in machines.values()}
        digests = {one: hashlib.sha256(file.read_bytes()).hexdigest() for one, file in own.items()}
        both = [
            f"own @ {url}/{file.name}#sha256={digests[one]} ; platform_machine == '{one}'" for one, file in own.items()
        ]
        for platform, machine in machines.items():
            assert asker.files(*both, platform=platform) == [own[machine].name]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("$DEPLOY_TOKEN/app-1.0-py3-none-any.whl", "contains an environment variable that none of your"),
        ("app-1.0-py3-none-any.whl?token=1", "has a query string, which may contain secrets"),
        ("..%2fapp-1.0-py3-none-any.whl", "Invalid project name: '../app"),
        ("app", "Invalid wheel filename (extension must be '.whl'): 'app'"),
        ("other-1.0-py3-none-any.whl", "is not a file of app 1.0"),
        ("app-1.0-py3-none-any.whl of this machine", "is a file of this machine"),
    ],
)
def test_urls_that_no_index_should_list(
    asker: Asker, pypi: Index, monkeypatch: pytest.MonkeyPatch, place: str, said: str
) -> None:
    """A remote index may list any URL; nothing of this machine is sent there, or taken from here."""
    monkeypatch.setenv("DEPLOY_TOKEN", "s3cr3t-of-the-CI")
    wheel = make_wheel(pypi.directory, "app", "1.0")
    pypi.everywhere = wheel
    url = wheel.as_uri() if place.endswith("machine") else f"/open/files/{place}"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    file = {"filename": wheel.name, "url": url, "hashes": {"sha256": digest}}
    page = {"meta": {"api-version": "1.1"}, "name": "app", "files": [file]}
    pypi.pages["app"] = (200, "application/vnd.pypi.simple.v1+json", json.dumps(page).encode())
    with pytest.raises((LockError, ConfigError)) as refusal:
        asker.solve("app")
    assert said in refusal.value.format_message()
    assert "app" in refusal.value.format_message()
    assert refusal.value.remedy
    assert not [path for path in pypi.asked if "s3cr3t-of-the-CI" in path]
