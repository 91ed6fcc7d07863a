"""install.sh and the health probe without a machine: their syntax, what a damaged script does, how the probe asks."""

from __future__ import annotations

import hashlib
import http.server
import os
import random
import re
import shutil
import socket
import socketserver
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from installkit import COOKIE, NEEDS, Spec, but, script, write_bundle
from shellkit import SHELL_IDS, SHELLS, with_functions

from bundler.config.project import Secret
from bundler.installer.render import render_install, render_manage, render_programs
from bundler.resources import templates_dir
from bundler.units.libraries import HostLibrary, LibraryUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NASTY = """it's "quoted" $(touch evil) `id` ${HOME} \\ ; & | < > * ? # ! % {{ }} <{ }> <% %>"""
FIELD = HostLibrary(
    soname="libfield.so.1", need="required", needed_by=(LibraryUser(package="field", path=NASTY),), debian="field1"
)

MATRIX = {
    "plain": Spec(),
    "no-secrets": Spec(secrets=()),
    "secrets": Spec(secrets=(COOKIE, Secret(name="KEY", bytes=16, format="hex"))),
    "health": Spec(health="exit 0\n", start_period=0.5, timeout=12.3),
    "url": Spec(health="exit 0\n", url="http://127.0.0.1:${PORT}/a'b\"c`id`$(id)*"),
    "services": Spec(services=("hello", "hello-b", "hello-c"), health="exit 0\n"),
    "nasty": Spec(description=NASTY),
    "no-glibc": Spec(needs=replace(NEEDS, glibc="")),
    "hardware": Spec(needs=replace(NEEDS, linux="4.18", level="x86_64_v2", cuda="12.4", gpu=True)),
    "libraries": Spec(needs=replace(NEEDS, libraries=(FIELD, replace(FIELD, soname=NASTY, search=(NASTY, "/srv"))))),
}


def rendered(spec: Spec) -> str:
    return render_install(script(spec, "0" * 64, {f"units/{NASTY}": "1" * 64, "manifest.json": "2" * 64}))


def managing(spec: Spec) -> str:
    return render_manage(script(spec, "0" * 64, {}))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(Spec(), tmp_path_factory.mktemp("bundle") / "good")


# --- the text


# Reading one takes shellcheck seconds: what a bundle can vary is in two of them together.
CHECKED = {
    "least": rendered(Spec(secrets=(), needs=replace(NEEDS, glibc=""))),
    "most": rendered(
        but(
            MATRIX["services"],
            secrets=MATRIX["secrets"].secrets,
            url=MATRIX["url"].url,
            description=NASTY,
            start_period=0.5,
            timeout=12.3,
            needs=replace(MATRIX["hardware"].needs, libraries=MATRIX["libraries"].needs.libraries),
        )
    ),
    "manage": managing(Spec()),
}


@pytest.mark.parametrize("name", CHECKED)
def test_shellcheck_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(CHECKED[name])
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "--severity=style", tmp_path / name], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_manage_is_the_same_for_all_of_these() -> None:
    assert {managing(spec) for spec in MATRIX.values()} == {CHECKED["manage"]}


@pytest.mark.parametrize("name", ["probe", "watch"])
def test_shellcheck_has_nothing_to_say_about_what_the_target_runs(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(render_programs()[name])
    subprocess.run(["shellcheck", "--shell=sh", "--severity=style", path], check=True)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_every_shell_reads_it(shell: tuple[str, ...], tmp_path: Path) -> None:
    for spec in MATRIX.values():
        for text in (rendered(spec), managing(spec)):
            (tmp_path / "script").write_text(text)
            subprocess.run([*shell, "-n", tmp_path / "script"], check=True)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_free_text_stays_text(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "install.sh").write_text(rendered(Spec(description=NASTY)))
    version = subprocess.run(
        [*shell, "install.sh", "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (version.returncode, version.stdout.splitlines()[1]) == (0, NASTY)
    assert [path.name for path in tmp_path.iterdir()] == ["install.sh"]


def ask(shell: tuple[str, ...], install: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*shell, install, *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_usage(shell: tuple[str, ...], bundle: Path) -> None:
    install = bundle / "install.sh"
    for option in ("-h", "--help"):
        assert "--health-timeout S" in ask(shell, install, option).stdout
    wrong = (
        ("--frobnicate",),
        ("extra",),
        ("--health-timeout",),
        ("--health-timeout", "-1"),
        ("--health-timeout=1.5",),
        ("--secret", "NAME"),
        ("--secret", "=file"),
        ("--cookie-file",),
        ("",),
    )
    for options in wrong:
        done = ask(shell, install, *options)
        assert (done.returncode, done.stdout) == (2, ""), options
        assert done.stderr.startswith("install.sh: error: "), options


def test_it_cannot_be_piped_into_a_shell(bundle: Path, tmp_path: Path) -> None:
    with (bundle / "install.sh").open() as file:
        done = subprocess.run(["sh"], stdin=file, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "cannot read itself" in done.stderr) == (11, True)


# --- a damaged install.sh

# Runs every copy of install.sh in "$1", with --check and without, in a world in which the whole one would pass: its
# own mounts, a /run with systemd in it, and a layer over each directory that an install writes to. Prints "status
# status name" for each; the layers must stay empty.
_TRIAL = """
set -eu
room=$1; shift
mount -t tmpfs none "$room"
mkdir "$room/run"
mount --bind "$room/run" /run
mkdir -p /run/systemd/system /usr/local/lib
for directory in etc opt usr var; do
    mkdir -p "$room/$directory/upper" "$room/$directory/work"
    mount -t overlay -o "lowerdir=/$directory,upperdir=$room/$directory/upper,workdir=$room/$directory/work" \
        overlay "/$directory"
done
printf '#!/bin/sh\\n[ "$1" = --version ] && echo systemd 252\\n' >/usr/local/sbin/systemctl
chmod 755 /usr/local/sbin/systemctl
touch "$room/start"
for copy in "$@"; do
    status=0 check=0
    sh=$(cat "${copy%/*}/shell")
    timeout 20 $sh "$copy" --check </dev/null >/dev/null 2>&1 || check=$?
    timeout 20 $sh "$copy" </dev/null >/dev/null 2>&1 || status=$?
    echo "$check $status $copy"
done
find "$room"/*/upper -newer "$room/start" >&2
"""


def damages(text: bytes, *, seed: int, count: int) -> list[bytes]:
    """Copies of ``text`` with one byte changed, or cut off somewhere."""
    random_ = random.Random(seed)
    copies = []
    for _ in range(count):
        position = random_.randrange(len(text))
        value = random_.choice([byte for byte in (*b"\n #'\"*?!|&;)0", text[position] ^ 1) if byte != text[position]])
        copies.append(text[:position] + bytes([value]) + text[position + 1 :])
    # Before the brace there are only comments: what is cut off there exits with 0, having done nothing.
    start = text.index(b"\n{") + 2
    copies += [text[: random_.randrange(start, len(text))] for _ in range(count // 2)]
    copies += [text[:start], text[:-1], text + b"\n", text.replace(b"    self_check\n", b"\n")]
    copies += [
        text.replace(b'" = "$SELF_SHA256"', b'" != "$SELF_SHA256"'),
        text.replace(b"-h | --help", b"-* | --help"),
        # The body of a function becomes the script's own, and returns 0 from it.
        text.replace(b"watch_service() { # ", b"watch_service() {## "),
    ]
    assert text not in copies
    return copies


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
@pytest.mark.parametrize(("shell", "count"), [(SHELLS[0], 250), (SHELLS[1], 60), (SHELLS[3], 60)])
def test_a_damaged_script_never_succeeds_and_changes_nothing(
    bundle: Path, tmp_path: Path, shell: tuple[str, ...], count: int
) -> None:
    good = (bundle / "install.sh").read_bytes()
    copies = []
    for number, text in enumerate([good, *damages(good, seed=7, count=count)]):
        room = tmp_path / str(number)
        shutil.copytree(bundle, room, copy_function=os.link)
        (room / "install.sh").unlink()
        (room / "install.sh").write_bytes(text)
        (room / "shell").write_text(" ".join(shell))
        copies.append(room / "install.sh")
    (tmp_path / "room").mkdir()
    whole, *broken = copies

    done = try_all(tmp_path / "room", broken)
    assert [line for line in done.stdout.splitlines() if "0" in line.split()[:2]] == []
    assert len(done.stdout.splitlines()) == len(broken)
    assert done.stderr == ""  # nothing that they changed

    sound = try_all(tmp_path / "room", [whole])
    assert sound.stdout.startswith("0 "), sound.stdout  # so it was the damage
    assert "/opt/upper" in sound.stderr  # and what it does would have been seen


def try_all(room: Path, copies: list[Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", _TRIAL, "sh", room, *copies], capture_output=True, text=True, check=True
    )


def test_the_digest_is_of_the_script_with_its_value_left_empty(bundle: Path) -> None:
    text = (bundle / "install.sh").read_text()
    found = re.search("^SELF_SHA256='([0-9a-f]{64})'$", text, re.MULTILINE)
    assert found is not None
    assert hashlib.sha256(text.replace(found[1], "").encode()).hexdigest() == found[1]


@pytest.mark.parametrize("spec", [Spec(description=f"SELF_SHA256='{'0' * 64}'"), but(Spec(), version="2.0")])
def test_the_self_check_holds_for_every_script(spec: Spec, tmp_path: Path) -> None:
    install = write_bundle(spec, tmp_path / "bundle") / "install.sh"
    assert ask(("sh",), install, "--version").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mknod needs root")
def test_devices_and_sockets_in_the_tree_are_refused(tmp_path: Path) -> None:
    """A machine in a container cannot make devices, so its tar never gets that far."""
    script = with_functions('PROGRAM=install.sh STAGE="$1"; refuse_special_files')
    for kind in ("b", "c"):
        stage = tmp_path / kind
        (stage / "app").mkdir(parents=True)
        subprocess.run(["mknod", stage / "app/evil", kind, "1", "3"], check=True)
        done = subprocess.run(
            ["sh", "-c", script, "sh", stage],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "a device, FIFO or socket: app/evil" in done.stderr) == (11, True), done.stderr


# --- the probe

WAYS = ("python", "curl", "wget", "bash")


class Answers(http.server.BaseHTTPRequestHandler):
    """/<status> answers with that status and says so in its body; redirects lead to /500."""

    def do_GET(self) -> None:
        status = int(self.path.rsplit("/", 1)[1])
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/500")
        self.end_headers()
        self.wfile.write(b"first line\n" + f"the status is {status}, all's well\n".encode() + 5000 * b"more\n")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found.server_port
        found.shutdown()


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """The probe where a release has it, beside an environment with a Python."""
    path = tmp_path / "release/share/probe"
    path.parent.mkdir(parents=True)
    shutil.copy(templates_dir() / "share/probe.sh", path)
    (tmp_path / "release/env/bin").mkdir(parents=True)
    (tmp_path / "release/env/bin/python").symlink_to("/usr/bin/python3")
    return path


def knock(probe: Path, *arguments: str, way: str = "python", shell: str = "sh") -> subprocess.CompletedProcess[str]:
    if way != "python" and not shutil.which(way):
        pytest.skip(f"{way} is not installed")
    proxies = {
        "http_proxy": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }
    return subprocess.run(
        [*shell.split(), probe, *arguments],
        env={**os.environ, **proxies, "PROBE_WITH": way, "PYTHONPATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("status", "good"), [(200, True), (204, True), (302, True), (404, False), (500, False), (503, False)]
)
def test_probe_judges_the_status(probe: Path, server: int, way: str, status: int, good: bool) -> None:
    done = knock(probe, "http", f"http://127.0.0.1:{server}/{status}", "5", way=way)
    assert (done.returncode, done.stdout) == (0 if good else 1, "")
    if good:
        assert done.stderr == ""
    else:
        assert re.fullmatch(f"http://127.0.0.1:{server}/{status}: answered with status {status}\n", done.stderr)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("statuses", "status", "good"),
    [("204", 204, True), ("200,503", 503, True), ("204", 200, False), ("20", 200, False), ("-", 302, True)],
)
def test_probe_takes_the_statuses_that_it_is_told(
    probe: Path, server: int, way: str, statuses: str, status: int, good: bool
) -> None:
    done = knock(probe, "http", f"http://127.0.0.1:{server}/{status}", "5", statuses, way=way)
    assert (done.returncode, done.stdout) == (0 if good else 1, "")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("body", "good"),
    [("the status is 200, all's well", True), ("first", True), ("s.a.u", False), ("HTTP/1", False), ("-e x", False)],
)
def test_probe_looks_into_the_body(probe: Path, server: int, way: str, body: str, good: bool) -> None:
    done = knock(probe, "http", f"http://127.0.0.1:{server}/200", "5", "-", body, way=way)
    assert (done.returncode, done.stdout) == (0 if good else 1, "")
    assert good or "answered without" in done.stderr


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("curl", "wget")])
def test_probe_connects(probe: Path, way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert knock(probe, "tcp", address, "5", way=way).returncode == 0
    done = knock(probe, "tcp", address, "5", way=way)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"{address}: connection refused\n", done.stderr, re.IGNORECASE), done.stderr


def test_probe_says_that_it_has_nothing_to_ask_with(probe: Path) -> None:
    done = knock(probe, "tcp", "127.0.0.1:80", "5", way="wget")
    assert (done.returncode, "no HTTP or TCP client for" in done.stderr) == (3, True)


@pytest.mark.parametrize("way", WAYS)
def test_probe_says_that_nobody_listens(probe: Path, way: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: nobody else can take the port
        done = knock(probe, "http", f"http://127.0.0.1:{taken.getsockname()[1]}/", "5", way=way)
    assert done.returncode == 1
    assert re.fullmatch("http://127.0.0.1:[0-9]+/: connection refused\n", done.stderr, re.IGNORECASE), done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_probe_says_that_nobody_answers(probe: Path, way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = knock(probe, "http", f"http://127.0.0.1:{silent.getsockname()[1]}/", "1", way=way)
    assert done.returncode == 1
    assert done.stderr.endswith("no answer within 1 s\n"), done.stderr


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH\r\n\r\n"], ids=["nothing", "no-http"])
def test_probe_knows_a_stranger(probe: Path, way: str, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def answer() -> None:
            stranger.settimeout(5)
            link, _ = stranger.accept()
            with link:
                link.recv(1000)
                link.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        done = knock(probe, "http", f"http://127.0.0.1:{stranger.getsockname()[1]}/", "5", way=way)
        thread.join()
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("http",),
        ("tcp", "http://127.0.0.1:80/", "5"),
        ("tcp", "127.0.0.1", "5"),
        ("tcp", "127.0.0.1:80", "5", "200"),
        ("http", "http://127.0.0.1/", "5", "2xx"),
        ("http", "http://127.0.0.1/", "5", "200", "x", "y"),
        ("http", "https://127.0.0.1/", "5"),
        ("http", "http://", "5"),
        ("http", "http://:80/", "5"),
        ("http", "http://127.0.0.1:x/", "5"),
        ("http", "http://127.0.0.1:/", "5"),
        ("http", "http://127.0.0.1/a b", "5"),
        ("http", "http://127.0.0.1/a\r\nX: y", "5"),
        ("http", "http://127.0.0.1/", "0"),
        ("http", "http://127.0.0.1/", "1.5"),
        ("http", "http://127.0.0.1/", ""),
        ("http", "unix:web.sock:/", "5"),
        ("tcp", "unix:/run/web.sock:/", "5"),
    ],
)
@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh"])
def test_probe_refuses_what_is_no_url(probe: Path, arguments: tuple[str, ...], shell: str) -> None:
    done = knock(probe, *arguments, shell=shell)
    assert (done.returncode, done.stderr) == (
        2,
        "usage: probe http URL SECONDS [STATUSES [BODY]] | probe tcp HOST:PORT SECONDS\n",
    )


@pytest.mark.parametrize("way", WAYS)
def test_probe_asks_ipv6(probe: Path, way: str) -> None:
    class Six(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    try:
        server = Six(("::1", 0), Answers)
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert knock(probe, "http", f"http://[::1]:{server.server_port}/200", "5", way=way).returncode == 0
        server.shutdown()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same server at a Unix socket."""

    class Local(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, object]:
            link, _ = super().get_request()
            return link, ("local", 0)

    name = str(tmp_path_factory.mktemp("socket") / "web.sock")
    with Local(name, Answers) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield name
        found.shutdown()


UNIX_WAYS = ("python", "curl", "erl")


def with_erl(probe: Path) -> None:
    """An environment's own, if this machine has one."""
    if found := shutil.which("erl"):
        (probe.parent.parent / "env/bin/erl").symlink_to(found)


@pytest.mark.parametrize("way", UNIX_WAYS)
@pytest.mark.parametrize(
    ("place", "more", "said"),
    [
        (":/200", (), ""),
        (":/503", (), "answered with status 503"),
        (":/503", ("503", "all's well"), ""),
        (":/200", ("-", "nothing of it"), "answered without 'nothing of it'"),
    ],
)
def test_probe_asks_a_unix_socket(
    probe: Path, path: str, way: str, place: str, more: tuple[str, ...], said: str
) -> None:
    with_erl(probe)
    done = knock(probe, "http", f"unix:{path}{place}", "5", *more, way=way)
    assert (done.returncode, done.stderr) == (1 if said else 0, f"unix:{path}{place}: {said}\n" if said else "")


@pytest.mark.parametrize("way", UNIX_WAYS)
def test_probe_connects_to_a_unix_socket(probe: Path, path: str, way: str) -> None:
    with_erl(probe)
    assert knock(probe, "tcp", f"unix:{path}", "5", way=way).returncode == 0
    done = knock(probe, "tcp", f"unix:{path}-not", "5", way=way)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr


@pytest.mark.parametrize("way", ["wget", "bash"])
def test_probe_says_who_could_ask_a_unix_socket(probe: Path, path: str, way: str) -> None:
    done = knock(probe, "http", f"unix:{path}:/200", "5", way=way)
    assert (done.returncode, "curl is required" in done.stderr) == (3, True), done.stderr


def test_probe_says_what_is_missing(probe: Path, tmp_path: Path) -> None:
    (probe.parent.parent / "env/bin/python").unlink()
    done = subprocess.run(
        ["/bin/sh", probe, "http", "http://127.0.0.1:1/", "5"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "bash and timeout are required (or, for http, curl or wget)" in done.stderr
