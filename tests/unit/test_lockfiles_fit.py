"""Whether another tool's lockfile still fits its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bundler.config.lockfiles import Lockfiles
from bundler.errors import ConfigError, StaleLockError
from bundler.lock.condalock import LockRequest
from bundler.lock.freshness import find_fits
from bundler.lock.freshness.check import check_fits, refuse_foreign

if TYPE_CHECKING:
    from pathlib import Path

SHA = "ab" * 32
C = "https://conda.example.org/forge/linux-64"
LOCKED: list[dict[str, Any]] = [
    {"conda": f"{C}/python-3.11.7-h1_0_cpython.conda", "sha256": SHA, "depends": ["zlib >=1.2", "__glibc >=2.17"]},
    {"conda": f"{C}/zlib-1.3-h1_4.conda", "sha256": SHA},
    {"pypi": "https://p.example/h11-0.14.0-py3-none-any.whl", "name": "h11", "version": "0.14.0", "sha256": SHA,
     "requires_dist": ["typing_extensions>=4 ; python_version < '3.8'", "sniffio"]},
    {"pypi": "https://p.example/sniffio-1.3-py3-none-any.whl", "name": "sniffio", "version": "1.3", "sha256": SHA},
]  # fmt: skip
PIXI = """\
[workspace]
channels = ["forge"]
platforms = ["linux-64"]
[dependencies]
python = "3.11.*"
[pypi-dependencies]
h11 = ">=0.14"
"""


@pytest.fixture
def pixi(tmp_path: Path) -> Path:
    listed = [{key: one[key] for key in ("conda", "pypi") if key in one} for one in LOCKED]
    environment = {"channels": [{"url": C}], "packages": {"linux-64": listed}}
    document = {"version": 6, "environments": {"default": environment, "prod": environment}, "packages": LOCKED}
    (tmp_path / "pixi.lock").write_text(yaml.safe_dump(document, sort_keys=False))
    return tmp_path / "pixi.lock"


def ask(path: Path, *, platform: str = "linux-64", environment: str | None = None) -> tuple[bool | None, str]:
    """What is said of ``path``, which may be wheels beside a conda part."""
    request = LockRequest(environments=(), lockfile=path, platforms=(platform,))
    lockfiles = Lockfiles(conda=(path,), environment=environment)
    if path.name in ("uv.lock", "pylock.toml"):
        explicit = path.with_name("conda-linux-64.lock")
        explicit.write_text(f"# platform: linux-64\n@EXPLICIT\n{C}/python-3.11.7-h1_0_cpython.conda#{SHA}\n")
        lockfiles = Lockfiles(conda=(explicit,), wheels=path)
    fit = find_fits(request, lockfiles)[-1]
    assert fit.path == path
    return fit.fits, fit.why


@pytest.mark.parametrize(
    ("old", "new", "fits", "sentence"),
    [
        ("", "", True, "is up to date with its manifest"),
        ('"3.11.*"', '{ version = "3.11.*", build = "*_cpython" }', True, "is up to date"),
        (
            '"3.11.*"',
            '"3.12.*"',
            False,
            "pixi.toml requires python 3.12.*, but 3.11.7 h1_0_cpython is locked (for linux-64)",
        ),
        ('"3.11.*"', '{ version = "3.11.*", build = "*_pypy" }', False, "requires python 3.11.* *_pypy, but 3.11.7"),
        ("[pypi", '[target.linux.dependencies]\nnew = "*"\n[pypi', False, "requires new *, which is not locked"),
        ("[pypi", '[target.linux-64.dependencies]\nnew = "*"\n[pypi', False, "requires new *, which is not locked"),
        ("[pypi", '[target.linux-aarch64.dependencies]\nnew = "*"\n[pypi', True, "is up to date"),
        ("[pypi", '[target.win-64.dependencies]\nnew = "*"\n[pypi', True, "is up to date"),
        (">=0.14", ">=0.15", False, "requires h11>=0.15 from PyPI, but 0.14.0 is locked"),
        ("h11", "H11_", False, "requires h11- from PyPI, which is not locked"),
        ('h11 = ">=0.14"', "", False, "no longer requires h11, sniffio"),
        ('h11 = ">=0.14"', 'h11 = { path = "." }', True, "is up to date"),
        ('python = "3.11.*"', 'zlib = "1.3"', False, "no longer requires python"),
        ('"3.11.*"', '"3.11.*"\nmine = { path = "." }', True, "is up to date"),
        ('python = "3.11.*"', 'mine = { path = "." }', True, "is up to date"),
        ('"3.11.*"', "7", False, "requires python 7, but 3.11.7"),
        ('"3.11.*"', '">>3"', None, "is not a valid match spec"),
        ('">=0.14"', "3", None, "cannot read the dependencies of pixi.toml"),
        ("[workspace]", "[workspace", None, "pixi.toml cannot be read"),
    ],
)
def test_pixi(pixi: Path, old: str, new: str, fits: bool | None, sentence: str) -> None:
    pixi.with_name("pixi.toml").write_text(PIXI.replace(old, new, 1))
    assert (ask(pixi)[0], sentence in ask(pixi)[1]) == (fits, True), ask(pixi)


def test_pixi_in_pyproject(pixi: Path) -> None:
    manifest = pixi.with_name("pyproject.toml")
    assert ask(pixi) == (None, "cannot be checked: no pixi.toml next to it")
    manifest.write_text("[project]\nname = 'x'\n")
    assert ask(pixi) == (
        None,
        "cannot be checked: no pixi.toml next to it, and pyproject.toml has no [tool.pixi]",
    )
    text = "[project]\nname = 'x'\ndependencies = ['h11>=0.14', 'winny; sys_platform == \"win32\"']\n"
    text += "[tool.pixi.dependencies]\npython = '*'\n"
    manifest.write_text(text)
    assert ask(pixi)[0] is True
    manifest.write_text(text.replace(">=0.14", ">=1"))
    assert "pyproject.toml requires h11>=1 from PyPI" in ask(pixi)[1]


def test_an_environment_of_pixi(pixi: Path) -> None:
    manifest = pixi.with_name("pixi.toml")
    table = '[feature.x.dependencies]\nzlib = "{}"\n[environments]\n'
    table += 'prod = {{ features = ["x"], no-default-feature = {} }}\n'
    manifest.write_text(PIXI + table.format("1.3.*", "false"))
    assert ask(pixi, environment="prod")[0] is True
    manifest.write_text(PIXI + table.format("2.*", "false"))
    assert "requires zlib 2.*, but 1.3 h1_4" in ask(pixi, environment="prod")[1]
    assert ask(pixi)[0] is True, "another environment's"
    manifest.write_text(PIXI + table.format("1.3.*", "true"))
    assert "no longer requires h11, python, sniffio" in ask(pixi, environment="prod")[1]
    manifest.write_text(PIXI)
    assert ask(pixi, environment="prod")[0] is None


def test_a_platform_that_is_not_locked(pixi: Path) -> None:
    pixi.with_name("pixi.toml").write_text(PIXI)
    assert ask(pixi, platform="linux-aarch64") == (
        False,
        "is out of date: not locked for linux-aarch64",
    )


PYPROJECT = """\
[project]
name = "proj"
version = "0.1"
dependencies = ["App_Lib[fast] >=1, <2", "winny; sys_platform=='win32'"]
[project.optional-dependencies]
gpu = ["cuda==1.0"]
[dependency-groups]
dev = [{ include-group = "test" }, "ruff"]
test = ["testy"]
"""
UV = """\
version = 1
requires-python = ">=3.9"
[[package]]
name = "proj"
version = "0.1"
source = { editable = "." }
[package.metadata]
requires-dist = [
    { name = "app-lib", extras = ["fast"], specifier = ">=1,<2" },
    { name = "cuda", marker = "extra == 'gpu'", specifier = "==1.0" },
    { name = "winny", marker = "sys_platform == 'win32'" },
]
[package.metadata.requires-dev]
dev = [{ name = "testy" }, { name = "ruff" }]
test = [{ name = "testy" }]
"""


@pytest.mark.parametrize(
    ("old", "new", "fits", "sentence"),
    [
        ("", "", True, "is up to date with its manifest"),
        (
            ">=1, <2",
            ">=1, <3",
            False,
            "pyproject.toml requires app-lib[fast]<3,>=1; it was locked for app-lib[fast]<2,>=1",
        ),
        ("[fast]", "", False, "requires app-lib<2,>=1"),
        ('"cuda==1.0"', "", False, "it was locked for cuda==1.0 (gpu)"),
        ('"ruff"', '"ruff", "mypy"', False, "requires mypy (dev)"),
        ("; sys_platform=='win32'", "; os_name=='nt'", True, "is up to date"),
        ('gpu = ["cuda==1.0"]', "", False, "it was locked for cuda==1.0 (gpu)"),
        ("'win32'\"]", "'win32'\", \"cuda==1.0; extra == 'gpu'\"]", True, "is up to date"),
        ('version = "0.1"', 'dynamic = ["dependencies"]', None, "declares its dependencies as dynamic"),
        ("winny;", "winny !!", None, "cannot read the dependencies of pyproject.toml"),
        ('"test" }', '"dev" }', None, "includes itself"),
        (
            "[dependency-groups]",
            "[tool.uv.sources]\napp-lib = { git = 'x' }\n[dependency-groups]",
            True,
            "is up to date",
        ),
    ],
)
def test_uv(tmp_path: Path, old: str, new: str, fits: bool | None, sentence: str) -> None:
    (tmp_path / "uv.lock").write_text(UV)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace(old, new, 1))
    found = ask(tmp_path / "uv.lock")
    assert (found[0], sentence in found[1]) == (fits, True), found


def test_uv_writes_no_versions_of_what_comes_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV.replace('specifier = ">=1,<2"', 'git = "https://x.example/app"'))
    sources = "[tool.uv.sources]\nApp_Lib = { git = 'https://x.example/app' }\n"
    (tmp_path / "pyproject.toml").write_text(PYPROJECT + sources)
    assert ask(tmp_path / "uv.lock")[0] is True
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    assert "requires app-lib[fast]<2,>=1" in ask(tmp_path / "uv.lock")[1]


def test_what_nobody_can_know(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text('lock-version = "1.0"\n')
    assert ask(path) == (None, "cannot be checked: it does not record what it was locked from")
    request = LockRequest(environments=(), lockfile=path, platforms=("linux-64",))
    lockfiles = Lockfiles(conda=(path.with_name("conda-linux-64.lock"),), wheels=path)
    lines, document = check_fits(request, lockfiles)
    assert [line.partition(" ")[2] for line in lines] == [
        "cannot be checked: it does not record what it was locked from"
    ] * 2
    assert document["fresh"] is None
    assert [one["fresh"] for one in document["lockfiles"]] == [None, None]


def test_check_says_what_to_run(pixi: Path) -> None:
    pixi.with_name("pixi.toml").write_text(PIXI.replace("3.11", "3.12"))
    request = LockRequest(environments=(), lockfile=pixi, platforms=("linux-64",))
    with pytest.raises(StaleLockError, match=r"requires python 3\.12") as raised:
        check_fits(request, Lockfiles.of(pixi))
    assert raised.value.remedy == "Write it with pixi: pixi lock"
    pixi.unlink()
    with pytest.raises(ConfigError, match="no such lockfile"):
        check_fits(request, Lockfiles.of(pixi))


def test_another_tools_lockfile_is_not_written_over(pixi: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a pixi\.lock: conda-bundler can read it, but not write it") as raised:
        refuse_foreign(Lockfiles.of(pixi))
    assert "pixi lock" in (raised.value.remedy or "")
    refuse_foreign(Lockfiles(conda=(pixi.with_name("conda-lock.yml"),), wheels=pixi.with_name("uv.lock")))
