"""examples/hello on the oldest and the newest system; test_hello.py has it on the one between, and in detail."""

from __future__ import annotations

import json
import re
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard
from bundlekit import install
from everywhere import everywhere
from examplekit import ask, exposures, healthy, main_pid, older_channel, unit_complaints, users
from exampleunits import example_units, too_exposed

from bundler.machine import Machine, rootfs
from bundler.progress import QuietProgress
from bundler.reader.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

URL = "http://127.0.0.1:8000"
LIBRARIES = """
import bz2, ctypes, curses, lzma, readline, sqlite3, ssl, sysconfig, uuid, zlib, zoneinfo
print(sysconfig.get_config_var("prefix"), sysconfig.get_path("purelib"), *zoneinfo.TZPATH)
print(*(line.split()[-1] for line in open("/proc/self/maps") if ".so" in line))
"""


@pytest.fixture(scope="module", params=["bullseye", *everywhere("trixie")])
def machine(example: Callable[[str, str], Path], request: pytest.FixtureRequest) -> Iterator[Machine]:
    bundle = example("hello", request.param)
    assert json.loads((bundle / "manifest.json").read_bytes())["decompressor"]
    with Machine(rootfs(request.param)) as machine:
        assert machine.run("sh", "-c", "command -v zstd").status != 0  # the bundle's own reads the payload
        install(machine, bundle)
        yield machine


def test_the_older_channel_assumes_no_newer_glibc_than_its_system_has(example: Callable[[str, str], Path]) -> None:
    assumed = json.loads((older_channel() / "virtual-packages.yml").read_bytes())["subdirs"]["linux-64"]
    assert assumed["packages"]["__glibc"] == "2.31"
    header = (example("hello", "bullseye") / "install.sh").read_text()
    floor = re.search(r"^GLIBC='?2\.(\d+)'?( #|$)", header, re.MULTILINE)
    assert floor
    assert int(floor[1]) <= 31


def test_it_answers_with_what_it_brought_along(machine: Machine) -> None:
    status, text = ask(machine, f"{URL}/about")
    about = json.loads(text)
    assert (status, about["user"]) == (200, "hello")
    assert about["imports"] == dict.fromkeys(("ctypes", "httptools", "sqlite3", "ssl", "zlib"), True)
    program = machine.run("readlink", f"/proc/{main_pid(machine, 'hello')}/exe", check=True).stdout
    assert re.match(r"/opt/hello/releases/0\.1\.0-[0-9a-f]{12}/env/bin/python3\.\d+$", program)
    assert users(machine, "hello") == {"hello"}


def test_it_is_as_it_was_installed_and_the_same_bundle_again_changes_nothing(machine: Machine) -> None:
    pid = main_pid(machine, "hello")
    assert machine.run("/opt/hello/manage", "verify").status == 0
    again = machine.run("sh", "-c", "sh /root/*/install.sh")
    assert (again.status, "is already installed; nothing changed" in again.stderr) == (0, True)
    assert main_pid(machine, "hello") == pid


def test_python_3_9s_module_with_a_dot_in_its_name_is_packed_once(example: Callable[[str, str], Path]) -> None:
    bundle = example("hello", "bullseye")
    verify(bundle, QuietProgress())
    with (
        (bundle / "payload.tar.zst").open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        names = [member.name for member in tar if "__phello__.foo" in member.name]
    library = "env/lib/python3.9"
    assert sorted(names) == [f"{library}/__phello__.foo.py", f"{library}/__pycache__/__phello__.foo.cpython-39.pyc"]


def test_the_older_channel_has_what_pip_lists_need() -> None:
    packages = json.loads((older_channel() / "noarch" / "repodata.json").read_bytes())
    names = {entry["name"] for kind in ("packages", "packages.conda") for entry in packages[kind].values()}
    assert "pip" in names


def test_nothing_but_glibc_is_the_systems(machine: Machine) -> None:
    env = machine.run("readlink", "-f", "/opt/hello/current/env", check=True).stdout.strip()
    configured, loaded = machine.run(f"{env}/bin/python", "-I", "-c", LIBRARIES, check=True).stdout.splitlines()
    prefix, purelib, *zones = configured.split()
    assert prefix == env
    assert re.fullmatch(rf"{env}/lib/python3\.\d+/site-packages", purelib)
    assert "/usr/share/zoneinfo" in zones
    outside = {path.rpartition("/")[2] for path in loaded.split() if not path.startswith(f"{env}/")}
    assert {name for name in outside if not re.match(r"(ld-|lib(c|m|dl|rt|pthread|util)[.-])", name)} == set()


def test_the_units_of_all_examples_are_tight(machine: Machine, tmp_path: Path) -> None:
    """Loaded and asked for, which is all that systemd 247 can do; test_exposure.py has later ones look at the files."""
    units = {f"as-{name}": text for name, text in example_units(tmp_path).items()}
    for name, text in units.items():
        machine.put(f"/run/systemd/system/{name}", text.encode())
    machine.run("systemctl", "daemon-reload", check=True)
    files = {"hello.service", "hello-health.service", "hello-watch.service"}
    files |= {name for name in units if name.endswith(".service")}
    asked = sorted(name.replace("@.", "@1.") for name in files)
    answer = machine.run("systemd-analyze", "security", "--no-pager", *asked, env={"SYSTEMD_COLORS": "0"})
    found = exposures(answer.stdout)
    assert found.keys() == files, answer.stderr
    assert too_exposed(found) == {}


def test_the_units_are_clean(machine: Machine) -> None:
    units = machine.run("ls", "/usr/local/lib/systemd/system", check=True).stdout.split()
    assert {"hello.service", "hello-health.service", "hello-health.timer", "hello-watch.service"} <= set(units)
    assert unit_complaints(machine, *units) == ""


def test_it_is_back_after_a_reboot(machine: Machine) -> None:
    machine.reboot()
    assert healthy(machine, "hello")
    assert ask(machine, f"{URL}/healthz") == (200, "ok\n")
