"""`smoke --attest`: what its statement says, who signed it, and what `verify` makes of it. The machine is e2e's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from slsakit import TEST_RESULT
from smallbundle import TOP, as_user, build, command, give, make_channel, make_project

from bundler.errors import ConfigError, VerificationError
from bundler.progress import QuietProgress
from bundler.smoke.attest import attested
from bundler.smoke.report import Health, Install, ServiceReport, SmokeReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("own_cache")

SOMEBODY = 1987655
SERVICE = ServiceReport(
    unit="small.service", load_state="loaded", active_state="active", sub_state="running", kind="exec",
    result="success", main_pid=4711, restarts=0, user="small", executable="/opt/small/tool",
    health=Health(unit="small-health.service", status=0, seconds=0.25),
)  # fmt: skip
GOOD = SmokeReport(
    bundle="/home/somebody/small.tar", name="small", release="1-abc", system="/home/somebody/rootfs", systemd=252,
    boot_seconds=0.77, install=Install(status=0, seconds=3.25, output="a line\n"), services=(SERVICE,),
    os="Debian GNU/Linux 12 (bookworm)", kernel="6.1.0-28-amd64", suite="bookworm", include=("nginx",),
)  # fmt: skip
BAD = replace(GOOD, services=(replace(SERVICE, restarts=3),))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as a tar."""
    room = tmp_path_factory.mktemp("attested")
    return build(make_project(room / "project"), make_channel(room / "channel"), "tar")


@pytest.fixture
def tar(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(built, tmp_path))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """One of who may sign."""
    return key_of(tmp_path, "release")


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    (tmp_path / "allowed_signers").touch()
    return tmp_path / "allowed_signers"


@pytest.fixture
def users_room() -> Iterator[Path]:
    """A directory that somebody else can reach."""
    with tempfile.TemporaryDirectory() as room:
        Path(room).chmod(0o755)
        yield Path(room)


def key_of(room: Path, name: str, *, stranger: bool = False) -> Path:
    key = room / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    if not stranger:
        with (room / "allowed_signers").open("a") as file:
            file.write(f'{name}@example.org namespaces="conda-bundler" {Path(f"{key}.pub").read_text()}')
    return key


def attest(bundle: Path, report: SmokeReport = GOOD, key: Path | None = None) -> Path:
    """The statement."""
    found = attested(bundle, lambda: report, QuietProgress(), key=key)
    statement = bundle.with_name(f"{bundle.name}.smoke.json")
    assert found.attested == (str(statement), *([f"{statement}.sig"] if key else []))
    assert found.lines()[-1] == f"wrote {found.attested[-1]}"
    return statement


def told(bundle: Path, allowed: Path) -> dict[str, Any]:
    """What `verify` tells of it: that never makes it fail."""
    done = command("verify", bundle, "--allowed-signers", allowed, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["tested"]
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("report", "result"), [(GOOD, "PASSED"), (BAD, "FAILED")], ids=["passed", "failed"])
def test_its_shape_is_the_published_one_and_it_says_what_was_tested(
    tar: Path, report: SmokeReport, result: str
) -> None:
    statement = json.loads(attest(tar, report).read_text())
    validator = jsonschema.Draft202012Validator(TEST_RESULT)
    validator.check_schema(TEST_RESULT)
    assert list(validator.iter_errors(statement)) == []
    subprocess.run(["tar", "-xf", tar.name], cwd=tar.parent, check=True)
    assert {one["name"]: one["digest"]["sha256"] for one in statement["subject"]} == {
        tar.name: sha256(tar),
        f"{TOP}/SHA256SUMS": sha256(tar.parent / TOP / "SHA256SUMS"),
    }
    predicate = statement["predicate"]
    assert predicate["result"] == result
    assert predicate["configuration"][0]["name"] == "Debian GNU/Linux 12 (bookworm)"
    assert predicate["configuration"][0]["annotations"] == {
        "role": "system", "suite": "bookworm", "systemd": 252, "kernel": "6.1.0-28-amd64", "packages": "nginx",
    }  # fmt: skip
    tests = ["install.sh", "small.service", "small-health.service"]
    failed = ["small.service"] if result == "FAILED" else []
    assert predicate.get("failedTests", []) == failed
    assert predicate["passedTests"] == [name for name in tests if name not in failed]
    del predicate["result"]
    assert list(validator.iter_errors(statement)) != []


def test_nothing_of_the_run_is_in_it(tar: Path) -> None:
    """Who tests it again, later and in another place, writes the same bytes."""
    text = attest(tar).read_text()
    assert "somebody" not in text
    assert "4711" not in text
    later = replace(GOOD, bundle="x", system="y", boot_seconds=9.0, install=replace(GOOD.install, seconds=1.0))
    assert attest(tar, later).read_text() == text


def test_verify_says_who_says_what(tar: Path, allowed: Path, key: Path) -> None:
    assert command("sign", tar, "--key", key).returncode == 0
    assert told(tar, allowed) is None
    attest(tar, GOOD, key)
    found = told(tar, allowed)
    assert found["result"] == "PASSED"
    assert found["problem"] == ""
    assert found["signers"][0].startswith("release@example.org (ED25519 SHA256:")
    done = command("verify", tar, "--allowed-signers", allowed)
    said = "  smoke test: PASSED on Debian GNU/Linux 12 (bookworm), systemd 252, kernel 6.1.0-28-amd64; signed by rel"
    assert said in done.stdout
    assert "smoke test" not in command("verify", tar).stdout
    attest(tar, GOOD, key_of(tar.parent, "second"))
    assert len(told(tar, allowed)["signers"]) == 2


def test_a_failure_replaces_what_was_said_before(tar: Path, allowed: Path, key: Path) -> None:
    assert command("sign", tar, "--key", key).returncode == 0
    attest(tar, GOOD, key)
    attest(tar, BAD, key)
    found = told(tar, allowed)
    assert (found["result"], found["failed"], len(found["signers"])) == ("FAILED", ["small.service"], 1)
    assert "smoke test: FAILED (small.service) on" in command("verify", tar, "--allowed-signers", allowed).stdout
    attest(tar, GOOD)
    assert not tar.with_name(f"{tar.name}.smoke.json.sig").exists()
    assert told(tar, allowed)["problem"] == "it is not signed by a permitted signer"


def test_a_directory_finds_what_was_said_of_its_tar(tar: Path, allowed: Path, key: Path) -> None:
    assert command("sign", tar, "--key", key).returncode == 0
    attest(tar, GOOD, key)
    subprocess.run(["tar", "-xf", tar.name], cwd=tar.parent, check=True)
    assert (told(tar.parent / TOP, allowed)["result"], told(tar.parent / TOP, allowed)["problem"]) == ("PASSED", "")
    attest(tar.parent / TOP, BAD, key)
    assert told(tar.parent / TOP, allowed)["result"] == "FAILED"
    assert told(tar, allowed)["result"] == "PASSED"


def _of_another(text: str) -> str:
    document = json.loads(text)
    for one in document["subject"]:
        one["digest"] = {"sha256": "0" * 64}
    return json.dumps(document)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text + "\n", "it is not signed by a permitted signer"),
        (_of_another, "it belongs to a different bundle"),
        (lambda text: text.replace("FAILED", "PASSED"), "it is invalid: its result is PASSED, but it lists 1 failed"),
        (lambda text: text.replace("test-result/v0.1", "test-result/v9"), "it is invalid: predicateType: "),
        (lambda text: text.replace('"subject"', '"x"'), "it is invalid: subject: "),
        (lambda _: "[" * 100_000, "it is invalid: nested too deep"),
        (lambda text: text + " " * (1 << 20), "it is invalid: larger than 1048576 bytes"),
        (lambda _: "", "it is invalid: "),
    ],
)
def test_what_is_wrong_with_it_is_told(
    tar: Path, allowed: Path, key: Path, change: Callable[[str], str], problem: str
) -> None:
    assert command("sign", tar, "--key", key).returncode == 0
    statement = attest(tar, BAD, key)
    assert told(tar, allowed)["problem"] == ""
    statement.write_text(change(statement.read_text()))
    assert told(tar, allowed)["problem"].startswith(problem)
    done = command("verify", tar, "--allowed-signers", allowed)
    assert f"smoke test: not verified: {problem}" in done.stdout


def test_a_stranger_is_nobody(tar: Path, allowed: Path, key: Path) -> None:
    assert command("sign", tar, "--key", key).returncode == 0
    statement = attest(tar, GOOD, key_of(tar.parent, "stranger", stranger=True))
    found = told(tar, allowed)
    assert (found["signers"], found["problem"]) == ([], "it is not signed by a permitted signer")
    shutil.copy(tar.with_name(f"{tar.name}.statement.sig"), f"{statement}.sig")
    assert told(tar, allowed)["problem"] == "it is not signed by a permitted signer", "a signature of another text"


def test_a_bundle_that_changes_meanwhile_is_not_attested(tar: Path) -> None:
    steps: list[str] = []

    class Progress(QuietProgress):
        def step(self, text: str) -> None:
            steps.append(text)

    def smoke() -> SmokeReport:
        with tar.open("ab") as file:
            file.write(b"x")
        return GOOD

    with pytest.raises(VerificationError, match="changed while it was tested"):
        attested(tar, smoke, Progress())
    assert not tar.with_name(f"{tar.name}.smoke.json").exists()
    assert any("small.service: healthy" in line for line in steps), "the report is not lost"


def test_a_damaged_directory_is_not_even_tested(tar: Path) -> None:
    subprocess.run(["tar", "-xf", tar.name], cwd=tar.parent, check=True)
    bundle = tar.parent / TOP
    (bundle / "config" / "small.env").write_text("x")
    with pytest.raises(VerificationError, match="SHA256SUMS does not match the files in the bundle"):
        attested(bundle, lambda: pytest.fail("it was tested"), QuietProgress())


def test_a_key_that_cannot_sign(tar: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key\n")
    with pytest.raises(ConfigError, match="the key cannot sign"):
        attested(tar, lambda: GOOD, QuietProgress(), key=tmp_path / "key")
    assert not tar.with_name(f"{tar.name}.smoke.json").exists()
    done = command("smoke", tar, "--sign-key", tmp_path / "key")
    assert (done.returncode, "--sign-key needs --attest" in done.stderr) == (2, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_where_nothing_can_be_written_nothing_is_tested(tar: Path, users_room: Path) -> None:
    tar = Path(shutil.copy(tar, users_room))
    (users_room / "home").mkdir()
    give(users_room / "home", SOMEBODY)
    env = {"PATH": os.environ["PATH"], "HOME": str(users_room / "home"), "PYTHONPATH": str(Path(__file__).parents[2])}
    words = [*as_user(SOMEBODY), sys.executable, "-m", "bundler", "smoke", "--attest", str(tar)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert f"{users_room}: the statement cannot be written next to the bundle" in done.stderr
