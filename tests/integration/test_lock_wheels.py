"""What decides which wheels are locked: the target, conda's packages, options, indexes, categories, an older lock."""

from __future__ import annotations

import io
import logging
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml
from pipkit import Project, conda_lock_calls_it_fresh
from pypikit import Index, make_wheel, serve_index

from bundler.config.platforms import PlatformTable
from bundler.errors import ConfigError, LockError
from bundler.fetch.channels import Access
from bundler.lock.condalock import write_lockfile
from bundler.lock.freshness.condalock import is_fresh
from bundler.lockfiles.condalock import read_lock

pytestmark = pytest.mark.network


def test_the_targets_glibc_decides_to_the_number(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "cublas", "13.1", tag="py3-none-manylinux_2_27_x86_64")
    make_wheel(pypi.directory, "cublas", "13.1", tag="py3-none-musllinux_1_2_x86_64")
    project.asks_for("cublas")
    found = project.lock(project.request(tables=(("linux-64", PlatformTable(glibc="2.27")),)))
    assert found["cublas"].filename == "cublas-13.1-py3-none-manylinux_2_27_x86_64.whl"
    older = project.request(tables=(("linux-64", PlatformTable(glibc="2.26")),))
    said = project.fails(LockError, older)
    assert "the package index has cublas 13.1, but no wheel of it for this platform and Python" in said
    assert "(Python 3.11.7 on linux-64, glibc 2.26), only for manylinux_2_27_x86_64" in said


def test_an_environment_of_categories_platforms_and_selectors(project: Project, pypi: Index) -> None:
    for machine in ("x86_64", "aarch64"):
        make_wheel(pypi.directory, "fast", "1.0", tag=f"cp311-cp311-manylinux_2_17_{machine}")
    make_wheel(pypi.directory, "app", "1.0", requires=["both", "fast[more]; platform_machine == 'x86_64'"])
    make_wheel(pypi.directory, "checker", "1.0", requires=["both", "only-dev", "leaf"])
    for name in ("both", "only-dev", "arm"):
        make_wheel(pypi.directory, name, "1.0")
    channels = f"channels: [{project.channel}]\n"
    indexes = f"pip-repositories: ['{pypi.url()}']\nallow-pypi-requests: false\n"
    main = "dependencies:\n- python\n- pip:\n  - app\n  - 'arm'  # [aarch64]\n"
    dev = "category: dev\ndependencies:\n- leaf\n- pip: [checker >=1]\n"
    (project.path / "environment.yml").write_text(channels + main + indexes)
    (project.path / "dev.yml").write_text(channels + dev + indexes)
    files = ("environment.yml", "dev.yml")
    request = project.request(("linux-64", "linux-aarch64"), environments=tuple(project.path / name for name in files))
    write_lockfile(request)
    assert project.wheels().keys() == {"app", "both", "checker", "fast", "only-dev"}
    assert project.wheels("linux-aarch64").keys() == {"app", "arm", "both", "checker", "only-dev"}
    shipped = {package.name for package in read_lock(project.lockfile, "linux-64", ()).packages}
    assert shipped == {"app", "both", "fast", "pip", "python"}, "what main needs, and nothing of dev"
    assert is_fresh(request)
    assert conda_lock_calls_it_fresh(project.path, "dev.yml", "environment.yml")
    entries = yaml.safe_load(project.lockfile.read_text())["package"]
    (only_dev,) = (one for one in entries if one["name"] == "only-dev" and one["platform"] == "linux-64")
    assert (only_dev["category"], only_dev["optional"]) == ("dev", True)
    (checker,) = (one for one in entries if one["name"] == "checker" and one["platform"] == "linux-64")
    assert checker["dependencies"] == {"both": "*", "leaf": "*", "only-dev": "*"}, "conda's leaf is among them"
    (project.path / "dev.yml").write_text(channels + dev.replace(">=1", "") + indexes)
    assert not conda_lock_calls_it_fresh(project.path, "dev.yml", "environment.yml")


def test_what_conda_brings_is_not_brought_twice(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "leaf", "1.0", requires=["speed; extra == 'fast'", "never"])
    make_wheel(pypi.directory, "speed", "1.0")
    make_wheel(pypi.directory, "never", "1.0")
    make_wheel(pypi.directory, "app", "1.0", requires=["leaf"])
    make_wheel(pypi.directory, "app", "2.0", requires=["leaf >=2"])
    conda = ("python", "leaf")
    found = project.asks_for("app", conda=conda).lock()
    assert {name: package.version for name, package in found.items()} == {"app": "1.0"}, "not what the wheel leaf needs"
    said = project.asks_for("app ==2.0", conda=conda).fails(LockError)
    assert "leaf>=2" in said
    assert "conda provides leaf 1.0, so no wheel of it is used" in said
    assert {"speed"} <= project.asks_for("leaf[fast]", conda=conda).lock().keys()
    assert "leaf" not in project.wheels()
    url = f"leaf @ https://127.0.0.1/leaf-1.0-py3-none-any.whl#sha256={'0' * 64}"
    assert "the conda package leaf 1.0 is the same project" in project.asks_for(url, conda=conda).fails(LockError)


def test_options_and_files_of_requirements(project: Project, pypi: Index, tmp_path: Path) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["more; extra == 'all'", "win; sys_platform == 'win32'"])
    for version in ("1.0", "2.0"):
        make_wheel(pypi.directory, "more", version)
    with serve_index(tmp_path / "others") as other:
        make_wheel(other.directory, "app", "9.0")
        make_wheel(other.directory, "elsewhere", "1.0rc1")
        make_wheel(other.directory, "elsewhere", "0.9")
        (project.path / "deeper").mkdir()
        (project.path / "deeper" / "requirements.txt").write_text(
            "# what the application needs\napp[all] \\\n    >=1  # any\n-c bounds.txt\n--pre\n"
        )
        bounds = project.path / "deeper" / "bounds.txt"
        bounds.write_text("more <2\n")
        options = ("-r deeper/requirements.txt", f"--extra-index-url {other.url()}", "elsewhere")
        found = project.asks_for(*options).lock()
        before = project.lockfile.read_bytes()
        said = project.asks_for(options[1], "app >=5").fails(LockError)
        assert f"the first index that has a project is used: for app that is 127.0.0.1:{pypi.port}" in said
        project.asks_for(*options).lockfile.write_bytes(before)
    assert {name: package.version for name, package in found.items()} == {
        "app": "1.0",
        "more": "1.0",
        "elsewhere": "1.0rc1",
    }, "the first index that has a project is used"
    assert is_fresh(project.request())
    bounds.write_text("more <3\n")
    assert not is_fresh(project.request())
    bounds.write_text("-e .\n")
    said = project.fails(ConfigError)
    assert "`-e .` of bounds.txt is an editable project, which cannot be bundled" in said
    assert "[bundle] inject" in said


def test_links_instead_of_an_index(project: Project, pypi: Index) -> None:
    wheel = make_wheel(project.path / "wheels", "app", "1.0", requires=["leaf"])
    make_wheel(project.path / "wheels", "leaf", "9.0")
    make_wheel(pypi.directory, "app", "3.0")
    found = project.asks_for("--no-index", "--find-links=wheels", "app", conda=("python", "leaf")).lock()
    assert {name: package.url for name, package in found.items()} == {"app": wheel.resolve().as_uri()}
    assert pypi.asked == []


def test_an_update_moves_what_it_names_and_nothing_else(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["lib"])
    for name in ("lib", "other"):
        make_wheel(pypi.directory, name, "1.0")
    project.asks_for("app", "other", conda=("python", "leaf")).lock()
    before = project.lockfile.read_text()
    for name, requires in (("app", ["lib >=2"]), ("lib", []), ("other", [])):
        make_wheel(pypi.directory, name, "2.0", requires=requires)
    make_wheel(pypi.directory, "lib", "3.0")
    write_lockfile(project.request(), update=("leaf",))
    assert project.lockfile.read_text() == before, "a conda package that cannot move"
    write_lockfile(project.request(), update=("app",))
    assert {name: package.version for name, package in project.wheels().items()} == {
        "app": "2.0",
        "lib": "3.0",
        "other": "1.0",
    }
    assert is_fresh(project.request())


def test_what_is_withdrawn_is_not_taken_and_the_cache_is_enough(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["lib"])
    make_wheel(pypi.directory, "lib", "1.0")
    pypi.yanked.add(make_wheel(pypi.directory, "lib", "2.0").name)
    offline = project.request(access=Access(offline=True))
    said = project.asks_for("app").fails(LockError, offline)
    assert "app is not in the cache, and --offline prevents asking a package index" in said
    assert project.lock()["lib"].version == "1.0"
    pypi.asked.clear()
    before = project.lockfile.read_bytes()
    write_lockfile(offline)
    assert (project.lockfile.read_bytes(), pypi.asked) == (before, [])


class _Watched(list[str]):
    """Paths that an index was asked for; at each, what runs on this machine is looked at."""

    lines: bytes = b""

    def append(self, path: str) -> None:
        super().append(path)
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.lines += file.read_bytes().replace(b"\0", b" ") + b"\n"
            except OSError:  # it has just ended
                continue


def test_credentials_are_on_no_command_line(
    project: Project, pypi: Index, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.CRITICAL, logger="urllib3")  # as bundler.cli has it: it logs URLs
    watched = _Watched()
    monkeypatch.setattr(pypi, "asked", watched)
    monkeypatch.setenv("PATH_TOKEN", "7okenInThePath")
    monkeypatch.setenv("INDEX_USER", "me")
    monkeypatch.setenv("INDEX_PASSWORD", "S3cretOfTheIndex")
    monkeypatch.setattr(pypi, "password", "S3cretOfTheIndex")
    make_wheel(pypi.directory, "app", "1.0")
    index = f"http://${{INDEX_USER}}:${{INDEX_PASSWORD}}@127.0.0.1:{pypi.port}/${{PATH_TOKEN}}/simple"
    found = project.asks_for("app", index=index).lock()
    assert found["app"].url == index.replace("/simple", "/files/app-1.0-py3-none-any.whl")
    assert b"pip compile" in watched.lines
    project.asks_for("app", "nowhere", index=index).fails(LockError)
    everything = watched.lines.decode() + project.lockfile.read_text() + caplog.text
    for secret in ("S3cretOfTheIndex", "7okenInThePath"):
        assert secret not in everything
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password S3cretOfTheIndex\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert project.asks_for("app", index=pypi.url(closed=True)).lock()["app"].url.startswith("http://127.0.0.1")


def test_no_source_distribution_is_run(project: Project, pypi: Index, tmp_path: Path) -> None:
    make_wheel(pypi.directory, "app", "1.0", requires=["old"])
    run = tmp_path / "run"
    files = {
        "PKG-INFO": "Metadata-Version: 1.0\nName: old\nVersion: 1.0\n",
        "setup.py": f"open({str(run)!r}, 'w')\nfrom setuptools import setup\nsetup(name='old', version='1.0')\n",
    }
    with tarfile.open(pypi.directory / "old-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"old-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    said = project.asks_for("app").fails(LockError)
    assert "old==1.0 has only source, no wheel" in said
    assert "[bundle] inject" in said
    assert not run.exists()


def test_a_conflict_is_told_with_who_wants_what(project: Project, pypi: Index) -> None:
    make_wheel(pypi.directory, "one", "1.0", requires=["shared <2"])
    make_wheel(pypi.directory, "two", "1.0", requires=["shared >=2"])
    for version in ("1.0", "2.0"):
        make_wheel(pypi.directory, "shared", version)
    said = project.asks_for("one", "two").fails(LockError)
    assert "dependencies: pip: cannot be solved for linux-64:" in said
    assert "one depend on shared<2" in said
    assert "two depend on shared>=2" in said
    assert "`pip:` asks for one and two" in said
    assert "Relax one of these version constraints, or add an index" in said


def test_a_solver_of_ones_own_beside_uv(project: Project, pypi: Index, tmp_path: Path) -> None:
    """conda-lock treats solvers by their name, so the one that listens in has it."""
    make_wheel(pypi.directory, "app", "1.0", requires=["leaf"])
    make_wheel(pypi.directory, "leaf", "1.0")
    from bundler.lock.shim.launcher import SolverSettings, write_launcher

    solver = shutil.copy(write_launcher(tmp_path, SolverSettings()), tmp_path / "conda-of-ours")
    found = project.asks_for("app", conda=("python", "leaf")).lock(project.request(solver=str(solver)))
    assert found.keys() == {"app"}
    assert is_fresh(project.request())
