"""The local channel (examples/channel) and what is made of it: archives, an environment, examples/hello."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rattler
import yaml
from conda_package_streaming.extract import extract
from conda_package_streaming.package_streaming import stream_conda_component
from examplekit import examples_channel

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parent.parent.parent
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
IMPORTS = "ssl sqlite3 ctypes lzma bz2 readline zlib uuid decimal httptools uvicorn"
PLAIN = ((True, False, 0o644), (True, False, 0o755), (False, True, 0o777))  # regular, symbolic link, mode
NO_BUILD = rattler.BuildString("0")
BAKED = "/opt/hello/releases/0.1.0-0123456789ab/env"


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """An archive of the channel, unpacked by conda's own code."""

    archive: Path
    tree: Path

    index: dict[str, Any]  # info/index.json
    paths: list[dict[str, Any]]  # the entries of info/paths.json


@pytest.fixture(scope="module")
def packages(local_channel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Unpacked, ...]:
    found = []
    for archive in archives(local_channel):
        tree = tmp_path_factory.mktemp("package")
        extract(str(archive), tree)
        index, paths = (json.loads((tree / "info" / name).read_bytes()) for name in ("index.json", "paths.json"))
        found.append(Unpacked(archive=archive, tree=tree, index=index, paths=paths["paths"]))
    return tuple(found)


@pytest.fixture(scope="module")
def environment(local_channel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed for the place where it is."""
    prefix = tmp_path_factory.mktemp("environment") / "env"
    install(local_channel, prefix)
    return prefix


@pytest.fixture(scope="module")
def baked(local_channel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed for :data:`BAKED`, as a payload is."""
    prefix = tmp_path_factory.mktemp("baked") / "env"
    install(local_channel, prefix, alternative_target_prefix=BAKED)
    return prefix


def archives(channel: Path) -> list[Path]:
    return sorted(path for path in channel.glob("*/*") if path.name.endswith((".conda", ".tar.bz2")))


def digests(channel: Path) -> dict[str, str]:
    """Everything in a channel but its lock: path -> digest."""
    files = (path for path in channel.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(channel)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def make(channel: Path, cache: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, CHECKOUT / "examples" / "channel", channel, "--cache", cache, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def solve(
    channel: Path,
    *specs: str,
    subdir: str | None = None,
    machine: list[rattler.GenericVirtualPackage] | None = None,
) -> list[rattler.RepoDataRecord]:
    platform = rattler.Subdir(subdir) if subdir else rattler.Subdir.current()
    machine = machine or [virtual.into_generic() for virtual in rattler.VirtualPackage.detect()]
    platforms = [platform, rattler.Subdir("noarch")]
    sources = [rattler.Channel(channel.as_uri())]
    return asyncio.run(rattler.solve(sources, list(specs), platforms=platforms, virtual_packages=machine))


def install(channel: Path, prefix: Path, **options: Any) -> None:
    records = solve(channel, "python", "uvicorn", "httptools", "greeting")
    cache = prefix.parent / "cache"
    asyncio.run(rattler.install(records, prefix, cache_dir=cache, show_progress=False, **options))


def output(*command: str | Path, **environment: str) -> str:
    """What a program prints under an environment that has nothing but ``environment``."""
    own = {"PYTHONDONTWRITEBYTECODE": "1", **environment}  # the .pyc files found are to be those that were shipped
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=own, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestDirectory:
    def test_a_second_channel_is_the_same_bytes(self, local_channel: Path, tmp_path: Path) -> None:
        done = make(tmp_path / "channel", local_channel.parent / "wheels")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{(tmp_path / 'channel').as_uri()}\n"
        assert digests(tmp_path / "channel") == digests(local_channel)

    def test_an_unchanged_channel_is_left_alone(self, local_channel: Path, tmp_path: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in local_channel.glob("*/*")}
        done = make(local_channel, tmp_path / "no-wheel-is-needed")
        assert f"0 packages made, {len(archives(local_channel))} kept, 0 removed" in done.stderr
        assert {path: path.stat().st_mtime_ns for path in local_channel.glob("*/*")} == before

    def test_what_is_missing_damaged_or_stale_is_put_right(self, local_channel: Path, tmp_path: Path) -> None:
        channel = tmp_path / "channel"
        shutil.copytree(local_channel, channel)
        record = json.loads((channel / ".made.json").read_text())
        stale = {**record["tiny 1.0 noarch"], "place": "noarch/tiny-0.9-h0000000_0.conda"}
        (channel / stale["place"]).write_bytes(b"made by another Python")
        (channel / ".made.json").write_text(json.dumps({**record, "tiny 0.9 noarch": stale}))
        (channel / record["tiny 1.0 noarch"]["place"]).write_bytes(b"damaged")
        (channel / record["greeting-data"]["place"]).unlink()
        (channel / "noarch" / "repodata.json").unlink()
        done = make(channel, local_channel.parent / "wheels")
        assert "2 packages made" in done.stderr
        assert "1 removed" in done.stderr
        assert digests(channel) == digests(local_channel)

    def test_a_directory_with_other_things_in_it_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        done = make(tmp_path, tmp_path / "wheels")
        assert done.returncode == 5
        assert "not made by this tool (thesis.tex is in it)" in done.stderr
        assert "Traceback" not in done.stderr
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "thesis.tex"]

    def test_a_system_without_python_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "system").mkdir()
        done = make(tmp_path / "channel", tmp_path / "wheels", "--system", str(tmp_path / "system"))
        assert done.returncode == 5
        assert "the directory has no /usr/bin/python3" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "channel").exists()

    def test_a_wheel_that_is_not_the_pinned_one_is_refused(self, local_channel: Path, tmp_path: Path) -> None:
        channel, cache = tmp_path / "channel", tmp_path / "wheels"
        shutil.copytree(local_channel, channel)
        shutil.copytree(local_channel.parent / "wheels", cache)
        next(channel.glob("noarch/click-*")).unlink()
        for wheel in cache.glob("*/click-*.whl"):
            wheel.write_bytes(wheel.read_bytes() + b"\0")
        done = make(channel, cache)
        assert done.returncode == 5
        assert "its sha256 is" in done.stderr
        assert not list(channel.glob("noarch/click-*"))

    def test_a_wheel_that_cannot_be_had_is_told_though_the_others_can(
        self, local_channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (index := tmp_path / "index").mkdir()
        for wheel in (local_channel.parent / "wheels").glob("*/*.whl"):
            if not wheel.name.startswith("click-"):
                (index / wheel.name).symlink_to(wheel)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(index))
        done = make(tmp_path / "channel", tmp_path / "wheels")
        assert done.returncode == 5
        assert re.search(r"pip could not download .*\bclick==", done.stderr)
        assert "Traceback" not in done.stderr
        assert not list(tmp_path.glob("channel/*/repodata.json"))
        others = {wheel.name for wheel in tmp_path.glob("wheels/*/*.whl")}
        assert others
        assert others <= {wheel.name for wheel in index.iterdir()}


class TestArchives:
    def test_both_formats_and_all_kinds_are_there(self, packages: tuple[Unpacked, ...]) -> None:
        kinds = {(package.index.get("noarch"), package.archive.suffix) for package in packages}
        wanted = {(kind, suffix) for kind in (None, "generic", "python") for suffix in (".conda", ".bz2")}
        assert kinds == wanted

    def test_file_names_are_name_version_build(self, packages: tuple[Unpacked, ...]) -> None:
        for package in packages:
            index = package.index
            stem = f"{index['name']}-{index['version']}-{index['build']}"
            assert package.archive.name in (f"{stem}.conda", f"{stem}.tar.bz2")
            assert package.archive.parent.name == index["subdir"]

    def test_repodata_has_every_archive_with_its_digest(self, local_channel: Path) -> None:
        for subdir in ("noarch", "linux-64", "linux-aarch64"):
            repodata = json.loads((local_channel / subdir / "repodata.json").read_bytes())
            listed = {**repodata["packages"], **repodata["packages.conda"]}
            present = [path for path in archives(local_channel) if path.parent.name == subdir]
            found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in present}
            assert {name: entry["sha256"] for name, entry in listed.items()} == found

    def test_paths_json_tells_the_truth(self, packages: tuple[Unpacked, ...]) -> None:
        for package in packages:
            entries = package.paths
            present = {str(path.relative_to(package.tree)) for path in package.tree.rglob("*") if not path.is_dir()}
            listed = {entry["_path"] for entry in entries}
            assert {path for path in present if not path.startswith("info/")} == listed
            assert (package.tree / "info/files").read_text().split("\n")[:-1] == sorted(listed)
            for entry in entries:
                self.check(package.tree / entry["_path"], entry)

    @staticmethod
    def check(path: Path, entry: dict[str, Any]) -> None:
        content = path.read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest(), path
        assert entry["size_in_bytes"] == len(content), path
        assert entry["path_type"] == ("softlink" if path.is_symlink() else "hardlink"), path
        if "prefix_placeholder" in entry:
            assert len(entry["prefix_placeholder"]) == 255
            assert entry["prefix_placeholder"].encode() in content, path
            assert entry["file_mode"] == ("binary" if content.startswith(b"\x7fELF") else "text"), path
        elif not path.is_symlink():
            assert b"_placehold_placehold" not in content, path

    def test_the_placeholder_is_in_texts_and_in_a_program(self, packages: tuple[Unpacked, ...]) -> None:
        modes = {
            (package.index["name"], entry["file_mode"])
            for package in packages
            for entry in package.paths
            if "file_mode" in entry
        }
        assert modes == {("greeting", "text"), ("greeting", "binary"), ("python", "text")}

    def test_nothing_of_this_machine_is_in_them(self, packages: tuple[Unpacked, ...]) -> None:
        private = {str(CHECKOUT), sys.base_prefix, os.path.realpath(sys.base_prefix)} - {"/usr", "/usr/local"}
        for package in packages:
            for path in package.tree.rglob("*"):
                if path.is_symlink():
                    assert not path.readlink().is_absolute(), path
                elif path.is_file():
                    content = path.read_bytes()
                    assert not [text for text in private if text.encode() in content], path

    def test_the_machines_own_packages_stay_out(self, packages: tuple[Unpacked, ...]) -> None:
        (python,) = (package for package in packages if package.index["name"] == "python")
        listed = [entry["_path"] for entry in python.paths]
        assert not [path for path in listed if "-packages/" in path and not path.endswith("/README.txt")]
        assert not [path for path in listed if "/test/" in path or path.endswith((".a", ".opt-1.pyc"))]

    def test_members_are_roots_and_plain(self, local_channel: Path) -> None:
        for archive in archives(local_channel):
            for part in ("info", "pkg"):
                for _, member in stream_conda_component(str(archive), component=part):
                    mode = 0o777 if member.issym() else member.mode
                    assert (member.isfile(), member.issym(), mode) in PLAIN, f"{archive.name}: {member.name}"
                    assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")

    def test_native_ones_have_valid_bytecode_and_noarch_ones_none(self, packages: tuple[Unpacked, ...]) -> None:
        for package in packages:
            found = sorted(package.tree.rglob("*.pyc"))
            if "noarch" in package.index:
                assert not found
            elif package.index["name"] in ("python", "httptools"):
                assert found
            for path in found:
                assert is_current(path), path

    def test_the_glibc_floor_is_this_machines_at_most(self, packages: tuple[Unpacked, ...]) -> None:
        machine = tuple(int(part) for part in os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("."))  # type: ignore[union-attr]
        for package in packages:
            floors = [spec for spec in package.index["depends"] if spec.startswith("__glibc ")]
            files = (path for path in package.tree.rglob("*") if path.is_file())
            objects = [path for path in files if path.read_bytes().startswith(b"\x7fELF")]
            assert bool(floors) == bool(objects), package.archive
            for spec in floors:
                floor = tuple(int(part) for part in spec.split(">=")[1].split(",")[0].split("."))
                assert (2, 2) <= floor <= machine


class TestSolving:
    def test_an_upper_bound_holds(self, local_channel: Path) -> None:
        assert [str(record.version) for record in solve(local_channel, "tiny")] == ["2.0"]
        found = {r.name.normalized: str(r.version) for r in solve(local_channel, "tiny-user")}
        assert found == {"tiny-user": "1.0", "tiny": "1.1"}

    def test_another_platform_has_a_package_of_its_own(self, local_channel: Path) -> None:
        for subdir in ("linux-64", "linux-aarch64"):
            records = solve(local_channel, "archinfo", "tiny", subdir=subdir)
            assert {record.subdir for record in records} == {subdir, "noarch"}

    def test_the_glibc_that_locking_may_assume_is_enough(self, local_channel: Path) -> None:
        assumed = json.loads((local_channel / "virtual-packages.yml").read_bytes())["subdirs"]
        assert set(assumed) == {"linux-64", "linux-aarch64"}
        glibc = assumed[str(rattler.Subdir.current())]["packages"]["__glibc"]
        machine = [rattler.GenericVirtualPackage(rattler.PackageName("__glibc"), rattler.Version(glibc), NO_BUILD)]
        assert {record.name.normalized for record in solve(local_channel, "python", machine=machine)} == {"python"}


class TestEnvironment:
    def test_python_runs_where_it_was_put(self, environment: Path) -> None:
        script = (
            f"import {', '.join(IMPORTS.split())}, sys, sysconfig\n"
            "print(sys.prefix, sysconfig.get_config_var('prefix'), sysconfig.get_path('purelib'), sep='\\n')\n"
            "print(*(line.split()[-1] for line in open('/proc/self/maps') if '.so' in line))"
        )
        prefix, configured, purelib, libraries = output(environment / "bin/python", "-c", script).splitlines()
        assert (prefix, configured) == (str(environment), str(environment))
        assert purelib == str(environment / "lib" / PYTHON / "site-packages")
        outside = {Path(path).name for path in libraries.split() if not path.startswith(str(environment))}
        glibc = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1"}
        assert {name for name in outside if not name.startswith("ld-linux")} <= glibc

    def test_baked_for_elsewhere_it_still_runs_here(self, baked: Path) -> None:
        script = (
            f"import {', '.join(IMPORTS.split())}, sys, sysconfig\n"
            "print(sys.prefix, sysconfig.get_config_var('prefix'))"
        )
        assert output(baked / "bin/python", "-c", script).split() == [str(baked), BAKED]

    def test_scripts_run_under_the_environments_python(self, environment: Path) -> None:
        assert output(environment / "bin/uvicorn", "--version", PATH="/usr/bin:/bin").startswith("Running uvicorn")
        assert "json" in output(environment / "bin/pydoc3", "json", PATH="/usr/bin:/bin")

    def test_a_program_knows_its_prefix(self, environment: Path) -> None:
        greeting = environment / "bin/greeting"
        share, etc = environment / "share/greeting", environment / "etc/greeting"
        assert output(greeting, "--prefix").splitlines() == [
            str(environment),
            str(share / "hello.txt"),
            f"{share}:{etc}",
        ]
        hello = "Hello from the prefix this was built for.\n"
        assert output(greeting) == output(environment / "bin/hello-greeting") == hello
        assert output(environment / "bin/greet-twice") == f"{hello}Hello again.\n"
        assert output(environment / "bin/greet-where") == f"{environment}\n"

    def test_no_placeholder_is_left(self, baked: Path, packages: tuple[Unpacked, ...]) -> None:
        changed = {entry["_path"] for package in packages for entry in package.paths if "prefix_placeholder" in entry}
        for path in baked.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.parent.name != "conda-meta":
                content = path.read_bytes()
                assert b"_placehold_placehold" not in content, path
                assert str(baked).encode() not in content, path
                assert str(path.relative_to(baked)) not in changed or BAKED.encode() in content, path

    def test_shipped_bytecode_survives_the_installation(self, baked: Path) -> None:
        shipped = list(baked.rglob("*.pyc"))
        assert len(shipped) > 300
        assert [path for path in shipped if not is_current(path)] == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the pinned numpy has no wheel for this Python")
class TestScience:
    def test_wheels_find_the_compilers_libraries_in_the_environment(self, local_channel: Path, tmp_path: Path) -> None:
        channel, prefix = tmp_path / "channel", tmp_path / "env"
        shutil.copytree(local_channel, channel)
        done = make(channel, local_channel.parent / "wheels", "--with", "science")
        assert done.returncode == 0, done.stderr
        records = solve(channel, "scipy", "pandas")
        assert {"libgcc", "libstdcxx", "numpy"} <= {record.name.normalized for record in records}
        asyncio.run(rattler.install(records, prefix, cache_dir=tmp_path / "cache", show_progress=False))
        script = (
            "import numpy.linalg, pandas, scipy.linalg, scipy.optimize\n"
            "print(numpy.linalg.inv(numpy.eye(2)).sum(), pandas.Timestamp('2024-01-01', tz='Europe/Berlin'))\n"
            "print(*{line.split()[-1] for line in open('/proc/self/maps') if '.so' in line})"
        )
        first, libraries = output(prefix / "bin/python", "-c", script).splitlines()
        assert first == "2.0 2024-01-01 00:00:00+01:00"
        outside = {Path(path).name for path in libraries.split() if not path.startswith(str(prefix))}
        assert not [name for name in outside if name.startswith(("libgcc", "libstdc++", "libgfortran", "libz"))]

    def test_the_everyday_channel_has_none_of_them(self, local_channel: Path) -> None:
        names = {path.name.rsplit("-", 2)[0] for path in archives(local_channel)}
        assert names.isdisjoint({"numpy", "scipy", "pandas", "libgcc", "libstdcxx", "bulk-01", "small-files"})


@pytest.mark.skipif(sys.version_info[:2] not in ((3, 11), (3, 12)), reason="the pinned wheels are for these Pythons")
class TestExamples:
    def test_two_versions_of_a_project_are_for_two_environments(self) -> None:
        channel = examples_channel()
        for wanted, numpy in (("scikit-learn =1.5", "1."), ("scikit-learn >=1.6", "2.")):
            found = {r.name.normalized: str(r.version) for r in solve(channel, wanted, f"numpy ={numpy[0]}")}
            assert found["numpy"].startswith(numpy)
            assert {"scipy", "joblib", "threadpoolctl", "libstdcxx"} <= found.keys()

    def test_an_extra_of_a_dependency_is_there_too(self) -> None:
        found = {record.name.normalized for record in solve(examples_channel(), "jupyter_server", "ipykernel")}
        assert {"jsonschema", "webcolors", "fqdn", "tinycss2", "python-fastjsonschema", "pyzmq"} <= found

    def test_what_the_celery_example_names_is_all_that_it_imports(self, tmp_path: Path) -> None:
        """Its client for redis is an extra, of which conda knows nothing."""
        prefix = tmp_path / "env"
        wanted = yaml.safe_load((CHECKOUT / "examples/celery/environment.yml").read_text())["dependencies"]
        records = solve(examples_channel(), *wanted)
        asyncio.run(rattler.install(records, prefix, cache_dir=tmp_path / "cache", show_progress=False))
        assert output(prefix / "bin/python", "-I", "-c", "import kombu.transport.redis; print('all')") == "all\n"

    def test_erlang_runs_where_it_was_put_and_brings_its_libraries(self, tmp_path: Path) -> None:
        prefix = tmp_path / "env"
        records = solve(examples_channel(), "elixir")
        assert {record.name.normalized for record in records} == {"elixir", "erlang"}
        asyncio.run(rattler.install(records, prefix, cache_dir=tmp_path / "cache", show_progress=False))
        code = ':crypto.strong_rand_bytes(1); IO.puts([:code.root_dir(), 10, File.read!("/proc/self/maps")])'
        root, *maps = output(prefix / "bin/elixir", "-e", code, PATH=f"{prefix}/bin:/usr/bin:/bin").splitlines()
        assert root == str(prefix / "lib/erlang")
        loaded = {line.split()[-1] for line in maps if ".so" in line}
        assert str(prefix / "lib/erlang/vendored/libcrypto.so.3") in loaded
        outside = {Path(path).name for path in loaded if not path.startswith(str(prefix))}
        # OpenSSL looks for its old algorithms where Debian has them, Erlang for SCTP, and both do without elsewhere.
        needed = {name for name in outside if not name.startswith(("ld-linux", "libc.", "libm.", "libsctp."))}
        assert needed <= {"legacy.so"}

    def test_erlang_baked_for_elsewhere_names_no_other_place(self, tmp_path: Path) -> None:
        records = solve(examples_channel(), "erlang")
        prefix = tmp_path / "env"
        options: dict[str, Any] = {"cache_dir": tmp_path / "cache", "show_progress": False}
        asyncio.run(rattler.install(records, prefix, alternative_target_prefix=BAKED, **options))
        assert f"ROOTDIR={BAKED}/lib/erlang\n" in (prefix / "bin/erl").read_text()
        for path in prefix.rglob("*"):
            if path.is_symlink():
                assert path.exists(), path
            elif path.is_file() and path.suffix != ".beam" and path.parent.name != "conda-meta":
                content = path.read_bytes()
                assert b"_placehold_placehold" not in content, path
                assert b"/usr/lib/erlang" not in content, path


class TestHello:
    @contextmanager
    def start(self, environment: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
        command = [str(environment / "bin/python"), "-m", "hello"]
        own = {"PYTHONPATH": str(CHECKOUT / "examples/hello/src"), "PYTHONDONTWRITEBYTECODE": "1", **variables}
        with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as service:
            try:
                yield service
            finally:
                service.kill()

    def test_it_serves_and_stops_when_told(self, environment: Path) -> None:
        port = free_port()
        with self.start(environment, PORT=str(port), RELEASE_COOKIE="c" * 64) as service:
            assert get(port, "/healthz") == "ok\n"
            assert "version 0.1.0" in get(port, "/")
            about = json.loads(get(port, "/about"))
            service.send_signal(signal.SIGTERM)
            printed, errors = service.communicate(timeout=20)
        assert about["python"] == str(environment / "bin/python")
        assert about["imports"] == dict.fromkeys(("ctypes", "httptools", "sqlite3", "ssl", "zlib"), True)
        assert about["cookie_sha256"] == hashlib.sha256(b"c" * 64).hexdigest()
        assert "c" * 64 not in json.dumps(about) + printed
        assert "Shutting down" in printed
        assert errors == ""
        # uvicorn ends by the signal itself once it is done, which systemd counts as a clean end.
        assert service.returncode == -signal.SIGTERM

    @pytest.mark.parametrize("port", ["eighty", "0", "65536", "", "²"])
    def test_a_port_that_is_none_is_one_line(self, environment: Path, port: str) -> None:
        with self.start(environment, PORT=port) as service:
            printed, errors = service.communicate(timeout=20)
        assert service.returncode == 1
        assert errors == f"hello: PORT must be a number from 1 to 65535, not {port!r}\n"
        assert printed == ""


def is_current(pyc: Path) -> bool:
    """Whether the import system would take this timestamp .pyc: flags 0, its source's mtime and size."""
    header = pyc.read_bytes()[:16]
    source = pyc.parent.parent / f"{pyc.name.split('.')[0]}.py"
    stat = source.stat()
    recorded = tuple(int.from_bytes(header[start : start + 4], "little") for start in (4, 8, 12))
    return recorded == (0, int(stat.st_mtime), stat.st_size)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
