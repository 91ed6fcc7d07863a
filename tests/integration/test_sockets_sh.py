"""What install.sh makes of sockets, under every shell: whose they are, which stay open, what settings do not move."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
# What systemd knows: web.socket is open at 127.0.0.1:8000 and at a path, api.socket is not.
STUBS = r"""
PROBLEMS=0
OWN_USERS=
OWN_USERS=
problem() { printf '%s\n' "$1"; }
property() {
    case $1,$2 in
        web.socket,ActiveState) echo active ;;
        *,ActiveState) echo inactive ;;
        web.socket,Listen) printf '127.0.0.1:8000 (Stream)\n/run/web.sock (Stream)\n' ;;
        *,Listen) echo '127.0.0.1:8001 (Stream)' ;;
    esac
}
has_socket() { [ "$1 $2" = "1 77" ]; }
"""


def run(shell: tuple[str, ...], room: Path, script: str) -> str:
    """What ``script`` prints, on a machine that is in ``room``."""
    header = f"PROGRAM=install.sh NAME=hello IMAGE={room} SYSTEMD=yes BARE= SERVICE_USER=hello UNIT_DIR=\n"
    places = f"ROOT={room}/opt/hello RECORD={room}/records/hello BUNDLE={room}/bundle ETC=/etc/hello WORK={room}\n"
    text = with_functions(f"{header}{places}{STUBS}RELEASE=2 FROM=1\n{script}\n")
    return subprocess.run([*shell, "-c", text], capture_output=True, text=True, check=True).stdout


def put(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((*lines, "")))


def test_whose_a_socket_is(shell: tuple[str, ...], tmp_path: Path) -> None:
    put(tmp_path / "records/hello/owned", "unit /usr/lib/web.socket", "unit /usr/lib/api.socket")
    ask = 'for one in "77 8000" "77 /run/web.sock" "77 8001" "77 800" "77 /run/web" "78 8000"; do is_held_for_us $one'
    found = run(shell, tmp_path, f'{ask} && echo "$one" || :; done')
    assert found.splitlines() == ["77 8000", "77 /run/web.sock"]


def test_a_path_that_is_taken(shell: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as opened, socket.socket(socket.AF_UNIX) as link:
        opened.bind(str(path))
        assert run(shell, tmp_path, f"path_listeners /proc/net {path}") == ""
        opened.listen()
        link.connect(str(path))  # which is of that name as well
        number = run(shell, tmp_path, f"path_listeners /proc/net {path}").split()
        assert len(number) == 1
        put(tmp_path / "bundle/units/web.socket", "[Socket]", f"ListenStream={path}")
        assert f"{path} of web.socket is already in use" in run(shell, tmp_path, "check_sockets")
        assert run(shell, tmp_path, f'path_of_url "unix:{path}:/x:y"').strip() == str(path)


@pytest.mark.parametrize(
    ("listens", "taken"), [("127.0.0.1:8000", True), ("8000", True), ("8001", False), ("/run/web.sock", False)]
)
def test_another_bundles_address_is_taken(shell: tuple[str, ...], tmp_path: Path, listens: str, taken: bool) -> None:
    put(tmp_path / "records/other/owned", "root /opt/other")
    put(tmp_path / "opt/other/releases/1/units/them.socket", "[Socket]", "ListenStream=[::1]:8000")
    (tmp_path / "opt/other/current").symlink_to("releases/1")
    put(tmp_path / "bundle/units/web.socket", "[Socket]", f"ListenStream={listens}")
    said = run(shell, tmp_path, "SYSTEMD=no; check_sockets")
    assert said == (
        f"{listens} of web.socket is also the address of them.socket, which belongs to the bundle 'other'\n"
        if taken
        else ""
    )


def test_a_socket_is_restarted_only_if_it_has_changed(shell: tuple[str, ...], tmp_path: Path) -> None:
    for release, port in (("1", "8000"), ("2", "8000"), ("3", "8001")):
        unit = (f"# release {release}", "[Unit]", f"Description={release}", "[Socket]", f"ListenStream={port}")
        put(tmp_path / f"opt/hello/releases/{release}/units/web.socket", *unit, "[Install]", "WantedBy=x")
    put(tmp_path / "states", "unit web.service enabled active", "unit web.socket enabled active")
    ask = "restarted_with web.service"
    put(tmp_path / "records/hello/transaction", "to=2")
    assert run(shell, tmp_path, ask) == ""
    assert run(shell, tmp_path, f"RESUMED=yes; {ask}") == "web.socket\n"
    put(tmp_path / "records/hello/transaction", "to=3")
    assert run(shell, tmp_path, f"RELEASE=3; {ask}") == "web.socket\n"
    assert run(shell, tmp_path, f"RELEASE=1; {ask}") == "web.socket\n"  # on the way back
    put(tmp_path / "states", "unit web.service enabled active")
    assert run(shell, tmp_path, f"RELEASE=3; {ask}") == ""  # it comes with its service's own job


@pytest.mark.parametrize(
    ("port", "url", "told"), [(8002, "${PORT}", True), (8000, "${PORT}", False), (8002, "", False)]
)
def test_settings_that_move_no_socket(shell: tuple[str, ...], tmp_path: Path, port: int, url: str, told: bool) -> None:
    put(tmp_path / "bundle/units/web.socket", "[Socket]", "ListenStream=127.0.0.1:8000")
    said = run(shell, tmp_path, f"URL_PORT={port}; check_moved web.service 'http://127.0.0.1:{url}/' 2>&1")
    assert ("web.socket listens on 127.0.0.1:8000" in said) == told
