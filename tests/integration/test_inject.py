"""``[bundle] inject``: which file is taken, what it replaces, and that it goes with the environment."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commandkit import conda_bundler
from lockkit import locked
from pypikit import make_wheel
from tinychannel import index, make_package

from bundler.config.project import BundleConfig, load_config
from bundler.errors import BundlerError, ConfigError, PrefixError
from bundler.inject.files import find_local, local_wheel_names
from bundler.inject.replace import with_local
from bundler.locked import Lock, LockedPackage
from bundler.pack.collect import collect
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Callable

BAKED = "/opt/hello/releases/1.0-0123456789ab/env"
SITE = "env/lib/python3.11/site-packages"
SERVICE = """
[services.hello]
command = ["start"]
profile = "generic"
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))


@dataclass
class Steps(QuietProgress):
    """What progress is told."""

    told: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        self.told.append(text)


@dataclass(frozen=True)
class Project:
    """A bundle.toml that injects, and what is locked for it: archives in a directory of its own."""

    path: Path
    locked: list[LockedPackage] = field(default_factory=list)
    steps: Steps = field(default_factory=Steps)

    def lock_conda(self, name: str, version: str = "1.0", **options: Any) -> None:
        make: Callable[..., Path] = make_package
        archive = make(self.path / "channel", name, version, **options)
        self.locked.append(locked(archive, depends=options.get("depends", ())))

    def lock_wheel(self, name: str, version: str = "1.0", **options: Any) -> None:
        make: Callable[..., Path] = make_wheel
        self.locked.append(locked(make(self.path / "wheels", name, version, **options), name=name))

    def config(self, *patterns: str) -> BundleConfig:
        listed = ", ".join(f'"{pattern}"' for pattern in patterns or ("dist/*",))
        (self.path / "bundle.toml").write_text(
            f'[bundle]\nname = "hello"\nversion = "1.0"\ninject = [{listed}]\n{SERVICE}'
        )
        return load_config(self.path)

    def lock(self, *patterns: str, platform: str = "linux-64") -> Lock:
        files = find_local(self.config(*patterns))
        lock = Lock(path=self.path / "conda-lock.yml", platform=platform, packages=tuple(self.locked))
        return with_local(lock, files, "bundle.toml: bundle.inject", self.steps)

    def install(self, *patterns: str) -> dict[str, bytes | str]:
        with make_prefix(self.lock(*patterns), BAKED, self.steps) as prefix:
            return {member.path: member.link or member.read() for member in collect(prefix)}

    def refused(self, kind: type[BundlerError], *patterns: str) -> str:
        with pytest.raises(kind) as caught:
            self.install(*patterns)
        assert type(caught.value) is kind
        assert "bundle.inject" in (caught.value.where or "")
        return caught.value.format_message()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    path = tmp_path / "project"
    path.mkdir()
    (path / "environment.yml").write_text("channels: [nowhere]\ndependencies: [python]\n")
    project = Project(path)
    project.lock_conda("python", "3.11.7", subdir="linux-64", build="h1_0_cpython")
    return project


def wheel(project: Project, name: str = "app", version: str = "1.0", **options: Any) -> Path:
    return make_wheel(project.path / "dist", name, version, **options)


def conda(project: Project, name: str = "tool", version: str = "1.0", **options: Any) -> Path:
    made = make_package(project.path / "made", name, version, **options)
    (project.path / "dist").mkdir(exist_ok=True)
    return Path(shutil.copy(made, project.path / "dist"))


def test_both_kinds_are_installed(project: Project) -> None:
    wheel(project, scripts={"app": "app:main"})
    conda(project, files={"share/tool": b"tool"})
    found = project.install("dist/*.whl", "../project/dist/*.conda")
    assert found["env/share/tool"] == b"tool"
    assert f"{SITE}/app/__init__.py" in found
    assert project.steps.told[:2] == [
        "Injecting app 1.0 from dist/app-1.0-py3-none-any.whl",
        "Injecting tool 1.0 from ../project/dist/tool-1.0-0.conda",
    ]
    record = json.loads(found["env/conda-meta/tool-1.0-0.json"])
    assert (record["url"], record["channel"]) == ("file:///local/noarch/tool-1.0-0.conda", "file:///local")
    everything = b"".join(content if isinstance(content, bytes) else content.encode() for content in found.values())
    assert b"/dist/" not in everything


def test_what_was_locked_is_replaced_and_named(project: Project) -> None:
    project.lock_wheel("My.App", "0.9", files={"old.py": b""})
    project.lock_conda("tool", "0.9", files={"share/old": b""})
    wheel(project, "my_app", "1.0")
    conda(project)
    found = project.install()
    assert not {f"{SITE}/old.py", "env/share/old"} & found.keys()
    assert "Injecting my-app 1.0 from dist/my_app-1.0-py3-none-any.whl, in place of My.App 0.9" in project.steps.told
    replaces = {package.name: package.replaces for package in project.lock().packages if package.injected}
    assert replaces == {"my-app": ("pip:My.App 0.9",), "tool": ("tool 0.9",)}


def test_a_wheel_takes_the_place_of_a_python_package_from_conda(project: Project) -> None:
    """torch is pytorch there; and xxhash is a library of C, no matter what the wheel is called."""
    project.lock_conda("pytorch", "1.0", depends=["python"])
    project.lock_conda("app", "0.9", depends=["glibc"])
    wheel(project, "torch", "2.0")
    wheel(project)
    keys = [package.key for package in project.lock().packages]
    assert keys == ["app", "pip:app", "python", "pip:torch"]


def test_a_file_whose_content_changes_is_another_package(project: Project) -> None:
    conda(project, files={"share/tool": b"first", "share/more": b"first"})
    first = project.lock()
    assert project.install()["env/share/tool"] == b"first"
    conda(project, files={"share/tool": b"again", "share/more": b"again"})
    assert project.install()["env/share/tool"] == b"again", "the package cache knows it by name, version and build"
    assert project.lock() != first


def test_the_name_of_a_conda_file_does_not_matter(project: Project) -> None:
    made = conda(project, files={"share/tool": b"tool"})
    made.rename(made.with_name("latest.conda"))
    assert [package.filename for package in project.lock().packages if package.injected] == ["tool-1.0-0.conda"]
    assert "env/conda-meta/tool-1.0-0.json" in project.install()


def test_a_pattern_that_names_nothing(project: Project) -> None:
    (project.path / "dist").mkdir()
    (project.path / "dist" / "app-1.0.tar.gz").write_bytes(b"")
    (project.path / "dist" / "bad.whl").write_bytes(b"")
    (project.path / "dist" / "bad.conda").write_bytes(b"")
    said = project.refused(ConfigError, "build/*.whl", "dist/*")
    assert said.startswith("bundle.toml: bundle.inject: ")
    assert "'build/*.whl' matches no file; build the package first" in said
    assert "dist/app-1.0.tar.gz: is neither a wheel nor a conda package" in said
    assert "dist/bad.whl: not a wheel" in said
    assert "dist/bad.conda: not a conda package" in said


def test_locking_asks_for_no_file_that_is_built_later(project: Project) -> None:
    config = project.config("build/*.whl", "dist/*")
    wheel(project, "My_App")
    (project.path / "dist" / "bad.whl").write_bytes(b"")
    assert local_wheel_names(config) == {"my-app"}


def test_the_one_file_that_fits_is_taken(project: Project) -> None:
    for tag in ("cp311-cp311-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_17_x86_64"):
        wheel(project, tag=tag)
    wheel(project, tag="cp311-cp311-manylinux_2_17_aarch64")
    for minor in ("11", "12"):
        build = f"py3{minor}_0"
        conda(project, subdir="linux-64", build=build, depends=[f"python >=3.{minor},<3.{int(minor) + 1}.0a0"])
    found = [package.filename for package in project.lock().packages if package.injected]
    assert found == ["app-1.0-cp311-cp311-manylinux_2_17_x86_64.whl", "tool-1.0-py311_0.conda"]


def test_no_file_fits(project: Project) -> None:
    wheel(project, tag="cp312-cp312-manylinux_2_17_x86_64")
    wheel(project, version="1.1", requires_python=">=3.12")
    said = project.refused(ConfigError)
    assert "no file of app fits this environment on linux-64:" in said
    assert "app-1.0-cp312-cp312-manylinux_2_17_x86_64.whl is for cp312-cp312-manylinux_2_17_x86_64; the env" in said
    assert "app-1.1-py3-none-any.whl needs Python >=3.12" in said
    shutil.rmtree(project.path / "dist")
    conda(project, subdir="linux-aarch64")
    assert "tool-1.0-0.conda is for linux-aarch64" in project.refused(ConfigError)
    shutil.rmtree(project.path / "dist")
    conda(project, depends=["python 3.12.*"])
    assert "tool-1.0-0.conda needs python 3.12.*; there is python 3.11.7" in project.refused(ConfigError)


def test_more_than_one_file_fits(project: Project) -> None:
    for version in ("1.0", "1.1"):
        wheel(project, version=version)
    said = project.refused(ConfigError)
    assert "matches on linux-64: dist/app-1.0-py3-none-any.whl, dist/app-1.1-py3-none-any.whl" in said
    assert "Remove the old ones" in said
    shutil.rmtree(project.path / "dist")
    wheel(project)
    conda(project, "app")
    assert "more than one file of app matches" in project.refused(ConfigError)


def test_the_same_file_by_two_patterns_is_one(project: Project) -> None:
    wheel(project)
    assert sum(package.injected for package in project.lock("dist/*.whl", "dist/app-*").packages) == 1


def test_wheels_need_a_python(project: Project) -> None:
    project.locked.clear()
    wheel(project)
    assert "requires Python, but the environment has none" in project.refused(ConfigError)


def test_what_a_wheel_needs_is_there(project: Project) -> None:
    project.lock_wheel("leaf", "2.0", requires=["twig; extra == 'more'", "never; extra == 'other'"])
    project.lock_wheel("twig", "1.0")
    project.lock_conda("typing_extensions", "4.16.0", depends=["python"])
    project.lock_conda("python-tzdata", "2026a", depends=["python"])
    requires = [
        "leaf[more]>=1,<3",
        "typing-extensions>4",
        "tzdata",
        "pywin; sys_platform == 'win32'",
        "old; python_version < '3'",
        "docs; extra == 'docs'",
    ]
    wheel(project, requires=requires)
    assert f"{SITE}/app/__init__.py" in project.install()


def test_what_a_wheel_needs_is_not_there(project: Project) -> None:
    project.lock_wheel("leaf", "2.0", requires=["twig>=2; extra == 'more'", "gone; extra == 'more'"])
    project.lock_wheel("twig", "1.0")
    project.lock_conda("stem", "1.0", depends=["python"])
    wheel(project, requires=["leaf[more]<2", "missing", "stem>=2", "here; platform_machine == 'x86_64'"])
    said = project.refused(PrefixError)
    assert "injected packages conflict with the lockfile:" in said
    for problem in (
        "app 1.0 requires leaf[more]<2, but found leaf 2.0",
        'app 1.0 requires twig>=2; extra == "more", but found twig 1.0',
        'app 1.0 requires gone; extra == "more", which is missing',
        "app 1.0 requires missing, which is missing",
        "app 1.0 requires stem>=2, but found stem 1.0",
        'app 1.0 requires here; platform_machine == "x86_64", which is missing',
    ):
        assert problem in said
    assert "Add what is missing to environment.yml and lock again" in said


def test_what_needs_a_replaced_package_can_live_with_it(project: Project) -> None:
    project.lock_wheel("user", requires=["app<2"])
    project.lock_conda("conda-user", depends=["python", "tool <2", "torch-like"])
    project.lock_conda("unrelated", depends=["nowhere"])
    project.lock_conda("hasher", depends=["xxhash <0.9"])  # a library; the wheel of that name is another thing
    conda(project, "xxhash", "0.9")
    project.lock_wheel("app", "1.0")
    project.lock_conda("tool", "1.0")
    wheel(project, "app", "2.0")
    conda(project, "tool", "2.0")
    said = project.refused(PrefixError)
    assert "user 1.0 requires app<2, but found app 2.0" in said
    assert "conda-user 1.0 requires tool <2, but found tool 2.0" in said
    assert "hasher 1.0 requires xxhash <0.9, but found xxhash 0.9" in said
    assert "unrelated" not in said
    assert "torch-like" not in said


def test_what_a_conda_package_needs(project: Project) -> None:
    project.lock_conda("leaf", "2.0", build="h1_0")
    project.lock_wheel("twig", "1.0")
    good = ["leaf >=2", "leaf 2.0 h1_*", "twig", "twig >=1", "__glibc >=2.17", "python >=3.8"]
    conda(project, depends=good, constrains=["absent >=9", "leaf >1"])
    assert "env/conda-meta/tool-1.0-0.json" in project.install()
    conda(project, depends=["leaf <2", "leaf 2.0 h2_*", "missing", "twig >=2"], constrains=["leaf >3"])
    said = project.refused(PrefixError)
    for problem in (
        "tool 1.0 requires leaf <2, but found leaf 2.0",
        "tool 1.0 requires leaf 2.0 h2_*, but found leaf 2.0",
        "tool 1.0 requires missing, which is missing",
        "tool 1.0 requires twig >=2, but found twig 1.0",
        "tool 1.0 is only compatible with leaf >3, but found leaf 2.0",
    ):
        assert problem in said


def test_local_packages_may_need_each_other(project: Project) -> None:
    wheel(project, "one", requires=["two"])
    wheel(project, "two", requires=["tool"])
    conda(project, depends=["one"])
    assert {f"{SITE}/one/__init__.py", f"{SITE}/two/__init__.py"} <= project.install().keys()


def test_the_build_says_what_it_was_made_of(project: Project, tmp_path: Path) -> None:
    """The whole command: build id, manifest, inspect and diff."""
    channel = tmp_path / "channel"
    make_package(channel, "python", "3.11.7", subdir="linux-64", build="h1_0_cpython")
    make_package(channel, "tool", "0.9", files={"share/tool": b"old"})
    index(channel)
    (project.path / "environment.yml").write_text("channels: [nowhere]\ndependencies: [python, tool]\n")
    project.config("dist/*.whl", "dist/*.conda")
    native: dict[str, Any] = {"tag": "cp311-cp311-manylinux_2_28_x86_64", "scripts": {"start": "app:main"}}
    wheel(project, **native)
    conda(project)
    old, again = (_build(project, channel, tmp_path / name) for name in ("old", "again"))
    assert old["sha256"] == again["sha256"]
    manifest = _inspect(old)
    packages = {package["name"]: package for package in manifest["packages"]}
    assert packages["app"]["manager"] == "pip"
    assert packages["app"]["injected"]
    assert packages["app"]["packed"] > 0
    assert packages["tool"] | {"size": 0, "packed": 0} == packages["tool"] | {
        "size": 0,
        "packed": 0,
        "url": "file:///local/noarch/tool-1.0-0.conda",
        "version": "1.0",
        "manager": "conda",
        "injected": True,
        "replaces": ["tool 0.9"],
        "channel": "file:///local",
    }
    assert manifest["requires"]["glibc"] == "2.28", "what the wheel's tag asks for"
    wheel(project, files={"app/__init__.py": b"changed = 1\n"}, **native)
    new = _build(project, channel, tmp_path / "new")
    assert new["release"] != old["release"]
    (change,) = json.loads(_run("diff", old["path"], new["path"], "--json"))["packages"]
    assert change["name"] == "pip:app"
    assert str(project.path) not in Path(str(new["path"])).read_bytes().decode("latin-1")


def test_a_build_that_is_refused_leaves_nothing(project: Project, tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    make_package(channel, "python", "3.11.7", subdir="linux-64", build="h1_0_cpython", files={"bin/start": b""})
    index(channel)
    project.config("dist/*.whl")
    options = [
        "build",
        str(project.path),
        "--channel",
        channel.as_uri(),
        "--output-dir",
        str(tmp_path / "out"),
        "--json",
    ]

    def fails(status: int) -> dict[str, Any]:
        done = conda_bundler(*options)
        assert done.returncode == status, done.stderr
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
        assert not list((tmp_path / "cache" / "prefix").glob("*"))
        error: dict[str, Any] = json.loads(done.stdout)["error"]
        return error

    assert fails(2)["where"] == "bundle.toml: bundle.inject"
    assert not (project.path / "conda-lock.yml").exists(), "before anything is locked"
    wheel(project, scripts={"start": "app:main"})
    assert "bin/start: python (conda) and app (wheel)" in fails(5)["message"]
    wheel(project, requires=["missing"])
    assert "app 1.0 requires missing, which is missing" in fails(5)["message"]


def _build(project: Project, channel: Path, output: Path) -> dict[str, Any]:
    options = ["--channel", channel.as_uri(), "--output-dir", str(output), "--compression", "none"]
    bundles: list[dict[str, Any]] = json.loads(_run("build", str(project.path), *options, "--json"))["bundles"]
    return bundles[0]


def _inspect(bundle: dict[str, Any]) -> dict[str, Any]:
    said = _run("inspect", bundle["path"])
    assert "local, a wheel" in said
    assert "local/noarch, replaces tool 0.9" in said
    document: dict[str, Any] = json.loads(_run("inspect", bundle["path"], "--json"))
    return document


def _run(*words: str) -> str:
    done = conda_bundler(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout
