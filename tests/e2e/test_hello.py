"""The main job: a machine with loopback alone, no Python and no conda, on which the bundle becomes a service."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from bundlekit import install
from waiting import until

from bundler.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e


def get(machine: Machine, path: str) -> str:
    """GET by the bash of the machine itself: it has neither curl nor Python."""
    request = f"exec 3<>/dev/tcp/127.0.0.1/8000; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    answer = machine.run("timeout", "10", "bash", "-c", request, check=True).stdout
    head, _, body = answer.partition("\n\n")
    assert head.splitlines()[0].endswith("200 OK"), head
    return body


def main_pid(machine: Machine) -> int:
    return int(machine.run("systemctl", "show", "--property=MainPID", "--value", "hello", check=True).stdout)


def environment(machine: Machine) -> dict[str, str]:
    """The running process's own."""
    text = machine.run("cat", f"/proc/{main_pid(machine)}/environ", check=True).stdout
    return dict(entry.split("=", 1) for entry in text.split("\0") if entry)


def cookie(machine: Machine) -> str:
    found = re.search(r"^RELEASE_COOKIE=(.*)$", machine.run("cat", "/etc/hello/secrets.env").stdout, re.MULTILINE)
    assert found
    return found[1].strip('"')


def release(bundle: Path) -> str:
    manifest = json.loads((bundle / "manifest.json").read_text())
    return f"/opt/hello/releases/{manifest['release']}"


def test_the_machine_has_neither_python_nor_conda_nor_a_network(server: Machine) -> None:
    for program in ("python", "python3", "conda", "curl", "wget"):
        assert server.run("sh", "-c", f"command -v {program}").status != 0
    assert server.run("ls", "/sys/class/net").stdout.split() == ["lo"]


def test_it_is_active_and_answers(server: Machine) -> None:
    assert server.run("systemctl", "is-active", "hello").stdout.strip() == "active"
    assert server.run("systemctl", "is-enabled", "hello").stdout.strip() == "enabled"
    assert get(server, "/healthz").strip() == "ok"


def test_it_runs_as_its_own_user_with_the_releases_own_python(server: Machine, hello: Path) -> None:
    pid = main_pid(server)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert server.run("readlink", f"/proc/{pid}/exe").stdout.strip() == f"{release(hello)}/env/bin/{version}"
    about = json.loads(get(server, "/about"))
    assert about["user"] == "hello"
    assert about["prefix"] == f"{release(hello)}/env"


def test_compiled_modules_import(server: Machine) -> None:
    imports = json.loads(get(server, "/about"))["imports"]
    assert {"ssl", "sqlite3", "ctypes", "zlib", "httptools"} <= imports.keys()
    assert all(imports.values()), imports


def test_the_cookie_is_made_here_and_known_to_the_process_alone(server: Machine) -> None:
    made = cookie(server)
    assert re.fullmatch(r"[0-9a-f]{64}", made)
    mode = server.run("stat", "-c", "%a %U %G", "/etc/hello/secrets.env").stdout.split()
    assert mode == ["600", "root", "root"]
    assert environment(server)["RELEASE_COOKIE"] == made
    assert json.loads(get(server, "/about"))["cookie_sha256"] == hashlib.sha256(made.encode()).hexdigest()
    told = {
        "systemctl show": server.run("systemctl", "show", "hello").stdout,
        "systemctl cat": server.run("systemctl", "cat", "hello").stdout,
        "the journal": server.run("journalctl", "--no-pager", "-a").stdout,
        "install.sh": server.run("cat", "/root/install.log").stdout,
        "ps": server.run("sh", "-c", "cat /proc/[0-9]*/cmdline").stdout,
    }
    assert all(told.values())
    assert [where for where, text in told.items() if made in text] == []


def test_nothing_of_the_release_is_the_services_to_write(server: Machine) -> None:
    assert server.run("find", "/opt/hello", "!", "-user", "root").stdout == ""
    assert server.run("find", "/opt/hello", "!", "-type", "l", "-perm", "/022").stdout == ""
    written = server.run("setpriv", "--reuid=hello", "--regid=hello", "--clear-groups", "touch", "/opt/hello/x")
    assert written.status != 0


def test_no_file_holds_a_placeholder_or_the_build_machines_prefix(server: Machine, hello: Path) -> None:
    """The whole tree, binaries and link targets too; the ``prefix_placeholder`` fields of conda-meta excepted."""
    tree = server.root / "opt" / "hello"
    needles = [b"placehold_placehold", os.environ["CONDA_BUNDLER_CACHE"].encode(), sys.base_prefix.encode()]
    scanned, found = 0, []
    for path in tree.rglob("*"):
        scanned += 1
        if path.is_symlink():
            content = os.fsencode(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
            if path.parent.name == "conda-meta":
                content = re.sub(rb'"prefix_placeholder": "[^"]*"', b"", content)
        else:
            continue
        found += [(path, needle) for needle in needles if needle in content]
    assert scanned > 1000
    assert found == []


def test_a_program_with_the_prefix_compiled_in_finds_its_files(server: Machine, hello: Path) -> None:
    said = server.run(f"{release(hello)}/env/bin/greeting", check=True).stdout
    assert said.strip()


def test_bytecode_is_loaded_not_compiled(server: Machine, hello: Path) -> None:
    """The release is read-only and has one mtime: a stale .pyc would be compiled at every start."""
    python = f"{release(hello)}/env/bin/python"
    loud = server.run(python, "-I", "-v", "-c", "import json, email.parser, http.client", check=True).stderr
    assert len(re.findall(r"^# .*\.pyc matches|# code object from '.*\.pyc'", loud, re.MULTILINE)) > 10
    assert "bytecode is stale" not in loud
    stale = [line for line in loud.splitlines() if "code object from" in line and line.rstrip("'").endswith(".py")]
    assert stale == []


def test_exposure_is_low_and_the_unit_is_clean(server: Machine) -> None:
    text = server.run("systemd-analyze", "security", "--no-pager", "hello", env={"SYSTEMD_COLORS": "0"}).stdout
    exposure = re.search(r"Overall exposure level for hello.service: ([0-9.]+)", text)
    assert exposure
    assert float(exposure[1]) <= 1.5
    verified = server.run("systemd-analyze", "verify", "hello.service", "hello-health.service")
    assert (verified.status, verified.stdout + verified.stderr) == (0, "")


def test_the_operators_file_wins(server: Machine) -> None:
    before = server.run("cat", "/etc/hello/hello.env", check=True).stdout
    assert '#PORT="8000"' in before.replace("# ", "#")
    try:
        server.put("/etc/hello/hello.env", b"PORT=8001\n", 0o640)
        server.run("systemctl", "restart", "hello", check=True)
        assert until(lambda: server.run("systemctl", "start", "hello-health").status == 0)
        assert environment(server)["PORT"] == "8001"
    finally:
        server.put("/etc/hello/hello.env", before.encode(), 0o640)
        server.run("systemctl", "restart", "hello", check=True)
        assert until(lambda: server.run("systemctl", "start", "hello-health").status == 0)


def test_the_same_bundle_again_changes_nothing(server: Machine, hello: Path) -> None:
    listing = ("find", "/opt/hello", "/etc/hello", "/usr/local/lib/systemd", "-printf", "%p %m %U %s %T@ %i\n")
    before, pid, made = server.run(*listing, check=True).stdout, main_pid(server), cookie(server)
    again = server.run("sh", f"/root/{hello.name}/install.sh")
    assert again.status == 0, again.stderr
    assert server.run(*listing, check=True).stdout == before
    assert (main_pid(server), cookie(server)) == (pid, made)


def test_after_a_reboot_it_is_up_again_with_the_same_cookie(server: Machine) -> None:
    made = cookie(server)
    server.reboot()
    assert until(lambda: server.run("systemctl", "is-active", "hello").stdout.strip() == "active")
    assert until(lambda: server.run("systemctl", "start", "hello-health").status == 0)
    assert get(server, "/healthz").strip() == "ok"
    assert environment(server)["RELEASE_COOKIE"] == made == cookie(server)


def test_another_machine_has_another_cookie(server: Machine, hello: Path, bookworm: Path) -> None:
    with Machine(bookworm) as other:
        install(other, hello)
        assert cookie(other) != cookie(server)


def test_a_clusters_cookie_is_taken_and_kept(hello: Path, bookworm: Path) -> None:
    with Machine(bookworm) as machine:
        machine.copy_in(hello, f"/root/{hello.name}")
        machine.put("/root/cookie", b"a-shared-cookie-of-our-cluster\n", 0o600)
        script = f"/root/{hello.name}/install.sh"
        machine.run("sh", script, "--cookie-file", "/root/cookie", check=True)
        assert environment(machine)["RELEASE_COOKIE"] == "a-shared-cookie-of-our-cluster"
        machine.run("sh", script, check=True)
        assert cookie(machine) == "a-shared-cookie-of-our-cluster"
        machine.put("/root/cookie", b"another-cookie-altogether\n", 0o600)
        refused = machine.run("sh", script, "--cookie-file", "/root/cookie")
        assert refused.status == 2
        assert "was kept" in refused.stderr
        assert "shared-cookie" not in refused.stderr
        assert cookie(machine) == "a-shared-cookie-of-our-cluster"


def test_one_flipped_byte_in_any_file_is_refused_and_nothing_has_changed(hello: Path, bookworm: Path) -> None:
    places = ("/etc", "/opt", "/usr", "/var/lib", "/root")
    files = sorted(path.relative_to(hello).as_posix() for path in hello.rglob("*") if path.is_file())
    assert len(files) >= 8
    outcomes = {}
    with Machine(bookworm) as machine:
        machine.copy_in(hello, f"/root/{hello.name}")

        def state() -> str:
            # a directory's size is the filesystem's own affair: overlayfs changes it when it copies one up
            shown = ("-type", "d", "-printf", "%p %m %U %G\n", "-o", "-printf", "%p %m %U %G %s %l\n")
            return machine.run("find", *places, *shown, check=True).stdout

        before = state()
        for name in files:
            good = (hello / name).read_bytes()
            bad = bytearray(good)
            bad[len(bad) * 2 // 3] ^= 0x01
            mode = stat.S_IMODE((hello / name).stat().st_mode)
            machine.put(f"/root/{hello.name}/{name}", bytes(bad), mode)
            outcomes[name] = machine.run("sh", f"/root/{hello.name}/install.sh").status
            machine.put(f"/root/{hello.name}/{name}", good, mode)
            assert state() == before, name
        assert outcomes.pop("install.sh") != 0
        assert set(outcomes.values()) == {11}, outcomes
        assert machine.run("sh", f"/root/{hello.name}/install.sh").status == 0


def test_the_health_url_is_reached_from_the_hosts_side_too(server: Machine) -> None:
    """What smoke shows: the host's Python on the machine's network."""
    program = f"import {urllib.request.__name__} as r; print(r.urlopen('http://127.0.0.1:8000/healthz').read())"
    assert "ok" in server.run_on_its_network(sys.executable, "-c", program).stdout


def systemd_properties(machine: Machine, unit: str, *names: str) -> dict[str, Any]:
    shown = machine.run("systemctl", "show", f"--property={','.join(names)}", unit, check=True).stdout
    return dict(line.split("=", 1) for line in shown.splitlines())


def test_a_broken_service_reaches_failed_instead_of_looping(server: Machine) -> None:
    """The default start limit never trips with RestartSec=5; ours does. Seconds are scaled down here."""
    shown = systemd_properties(server, "hello", "StartLimitIntervalUSec", "StartLimitBurst", "RestartUSec")
    assert shown == {"StartLimitIntervalUSec": "2min", "StartLimitBurst": "5", "RestartUSec": "5s"}
