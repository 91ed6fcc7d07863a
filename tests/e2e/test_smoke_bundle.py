"""smoke on small hand-made bundles: what it finds out must not depend on our own install.sh."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from bundlekit import LEAST
from commandkit import conda_bundler
from slsakit import TEST_RESULT
from terminalkit import Screen

from bundler.errors import SmokeError
from bundler.progress import QuietProgress
from bundler.smoke.run import SmokeOptions, smoke

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.smoke.report import SmokeReport

pytestmark = pytest.mark.e2e

COOKIE = "c00c1ec00c1ec00c1e"

SERVER = """\
use IO::Socket::INET;
$| = 1;
print "cookie $ENV{COOKIE}\\n";
die "no answer, cookie $ENV{COOKIE}\\n" if "@@STATUS@@" eq "0";
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ENV{PORT}, Listen => 5) or die $!;
while (my $client = $server->accept) {
    while (<$client>) { last if /^\\r?$/ }
    print $client "HTTP/1.0 @@STATUS@@ said\\r\\n\\r\\nhello $ENV{COOKIE}\\n";
    close $client;
}
"""

UNIT = """\
[Service]
Type=exec
User=games
Environment=PORT=8123
EnvironmentFile=/etc/tiny/secrets.env
ExecStart=/usr/bin/perl /opt/tiny/server
"""

HEALTH_UNIT = """\
[Service]
Type=oneshot
ExecStart=/bin/bash -c "exec 3<>/dev/tcp/127.0.0.1/8123; echo -e 'GET / HTTP/1.0\\\\n' >&3; grep '200 said' <&3"
"""

INSTALL = f"""\
set -eu
test -f manifest.json
test -z "$(command -v python3)"
echo "installing with $# arguments: $*"
mkdir -p /opt/tiny /etc/tiny
cp server /opt/tiny/
cp tiny.service tiny-health.service /etc/systemd/system/
(umask 077; echo 'COOKIE="{COOKIE}"' >/etc/tiny/secrets.env)
echo "a careless word: {COOKIE}" >&2
systemctl daemon-reload
systemctl start tiny.service
sleep 0.5
exit @@EXIT@@
"""


def bundle(tmp_path: Path, *, status: int = 200, code: int = 0) -> Path:
    """A directory; its service answers ``status`` (0: it dies), its install.sh exits with ``code``."""
    room = tmp_path / "tiny-1-linux-64"
    room.mkdir()
    services = [
        {"unit": "tiny.service", "health_unit": "tiny-health.service", "health": {"http": "http://127.0.0.1:${PORT}/"}}
    ]
    manifest = LEAST | {"name": "tiny", "release": "1-abc", "services": services}
    (room / "manifest.json").write_text(json.dumps(manifest))
    (room / "server").write_text(SERVER.replace("@@STATUS@@", str(status)))
    (room / "tiny.service").write_text(UNIT)
    (room / "tiny-health.service").write_text(HEALTH_UNIT)
    (room / "install.sh").write_text(INSTALL.replace("@@EXIT@@", str(code)))
    return room


def tarred(room: Path) -> Path:
    path = room.parent / "bundle.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(room, arcname=room.name)
    return path


@pytest.fixture(autouse=True)
def _no_secret_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Not even with --debug, apart from what install.sh and the journal say themselves."""
    caplog.set_level("DEBUG")
    yield
    said = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert f'COOKIE="{COOKIE}"' not in said
    assert f"COOKIE={COOKIE}" not in said


def run(bundle: Path, *install_args: str) -> SmokeReport:
    report = smoke(bundle, SmokeOptions(install_args=install_args), QuietProgress())
    assert COOKIE not in "\n".join(report.lines())
    assert COOKIE not in json.dumps(report.document())
    return report


@pytest.mark.parametrize("form", ["tar", "dir"])
def test_a_healthy_bundle(tmp_path: Path, form: str) -> None:
    room = bundle(tmp_path)
    report = run(tarred(room) if form == "tar" else room, "--keep", "2")
    assert report.healthy, "\n".join(report.lines())
    assert report.systemd == 252
    assert report.install.status == 0
    assert report.install.output == "installing with 2 arguments: --keep 2\na careless word: ***\n"
    (service,) = report.services
    assert (service.active_state, service.sub_state, service.restarts) == ("active", "running", 0)
    assert (service.user, service.executable) == ("games", "/usr/bin/perl")
    assert service.health is not None
    assert service.health.status == 0
    assert service.http is not None
    assert (service.http.url, service.http.status, service.http.body) == ("http://127.0.0.1:8123/", 200, "hello ***\n")
    assert float(service.exposure.split()[0]) > 5  # nothing is hardened
    assert service.journal == ()


def test_a_service_that_answers_badly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.smoke.run._PATIENCE", 1)
    report = run(bundle(tmp_path, status=503))
    (service,) = report.services
    assert not report.healthy
    assert service.active_state == "active"
    assert service.health is not None
    assert service.health.status == 1
    assert service.http is not None
    assert service.http.status == 503
    assert any("cookie ***" in line for line in service.journal)


def test_a_service_that_dies(tmp_path: Path) -> None:
    report = run(bundle(tmp_path, status=0, code=15))
    (service,) = report.services
    assert not report.healthy
    assert report.install.status == 15
    assert (service.active_state, service.result) == ("failed", "exit-code")
    assert (service.health, service.http) == (None, None)
    assert any("no answer, cookie ***" in line for line in service.journal)
    assert "  | a careless word: ***" in report.lines()


def test_a_service_that_was_never_installed(tmp_path: Path) -> None:
    room = bundle(tmp_path)
    (room / "install.sh").write_text("echo disk full >&2; exit 12\n")
    report = run(room)
    assert not report.healthy
    assert (report.install.status, report.install.output) == (12, "disk full\n")
    assert report.services[0].load_state == "not-found"


def test_services_that_a_failed_install_left_stopped_are_asked_all_the_same(tmp_path: Path) -> None:
    room = bundle(tmp_path, code=15)
    script = (room / "install.sh").read_text().replace("systemctl start", "systemctl disable --now")
    (room / "install.sh").write_text(script)
    report = smoke(room, SmokeOptions(keep_going=True), QuietProgress())
    assert (report.healthy, report.install.status) == (False, 15)
    (service,) = report.services
    assert service.healthy
    assert service.http is not None
    assert service.http.status == 200


def test_a_statement_that_others_can_rely_on(tmp_path: Path, hello: Path) -> None:
    """A real bundle and what is said of it: docs/how-to/sign.md."""
    bundle, key = Path(shutil.copytree(hello, tmp_path / "carried" / hello.name)), tmp_path / "release_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f'release@example.org namespaces="conda-bundler" {Path(f"{key}.pub").read_text()}')
    assert conda_bundler("sign", "--key", key, bundle).returncode == 0
    done = conda_bundler("smoke", bundle, "--attest", "--sign-key", key, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    statement = bundle.with_name(f"{bundle.name}.smoke.json")
    assert report["attested"] == [str(statement), f"{statement}.sig"]
    said = json.loads(statement.read_text())
    assert list(jsonschema.Draft202012Validator(TEST_RESULT).iter_errors(said)) == []
    assert said["predicate"]["result"] == "PASSED"
    assert said["predicate"]["passedTests"] == ["install.sh", "hello.service", "hello-health.service"]
    system = said["predicate"]["configuration"][0]
    assert system["name"] == "Debian GNU/Linux 12 (bookworm)"
    assert system["annotations"] == {
        "role": "system", "suite": "bookworm", "systemd": 252, "kernel": os.uname().release,
    }  # fmt: skip
    done = conda_bundler("verify", bundle, "--allowed-signers", allowed)
    assert "  smoke test: PASSED on Debian GNU/Linux 12 (bookworm), systemd 252, kernel " in done.stdout, done.stderr
    assert "signed by release@example.org (ED25519 SHA256:" in done.stdout


def test_a_shell_on_the_machine_with_packages_of_debians(tmp_path: Path) -> None:
    options = ("--include", "hello", "--shell")
    with closing(Screen([sys.executable, "-m", "bundler", "smoke", *options, str(bundle(tmp_path))])) as screen:
        assert screen.shows("A root shell on", patience=240), screen.text
        assert "http      200" in screen.text
        # It says 42 once it has the terminal; before that, Ctrl-C would be the shell's, which waits for it.
        screen.press(b"hello; systemctl is-active tiny; id -un; sh -c 'echo $((6*7))cm; exec sleep 600'\r")
        assert screen.shows("Hello, world!"), screen.text
        assert screen.shows("\r\nactive\r\nroot\r\n42cm\r\n"), screen.text
        screen.press(b"\x03")  # ends what runs there, neither the shell nor smoke
        screen.press(b"exit\r")
        assert screen.end() == 0


def test_an_installation_that_hangs(tmp_path: Path) -> None:
    room = bundle(tmp_path)
    (room / "install.sh").write_text("echo waiting; sleep 600\n")
    report = smoke(room, SmokeOptions(timeout=0.5), QuietProgress())
    assert not report.healthy
    assert (report.install.status, report.install.output) == (124, "waiting\n")
    assert report.install.seconds < 4


def test_another_architecture(tmp_path: Path) -> None:
    room = bundle(tmp_path)
    manifest = json.loads((room / "manifest.json").read_text()) | {"requires": {"machine": "vax"}}
    (room / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SmokeError, match="is for vax"):
        smoke(room, SmokeOptions(), QuietProgress())
