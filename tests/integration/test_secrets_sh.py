"""Secrets as the shell makes them: their form, that no character is rarer than another, what counts as cut off."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import THREE_SHELLS, shell_id, with_functions

from bundler.config.tables import SecretForm

if TYPE_CHECKING:
    from pathlib import Path

ALPHABETS = {
    "hex": "0123456789abcdef",
    "base32": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "base64url": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    "alphanumeric": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
}
FORMS = (
    SecretForm(),
    SecretForm(length=33),
    SecretForm(format="base32"),
    SecretForm(format="base32", length=26),
    SecretForm(format="base64url", bytes=16),
    SecretForm(format="base64url", bytes=1024),
    SecretForm(format="base64url", length=50),
    SecretForm(format="alphanumeric"),
    SecretForm(format="alphanumeric", length=22),
)


@pytest.fixture(params=THREE_SHELLS, ids=shell_id)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def run(shell: tuple[str, ...], script: str, room: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` with what install.sh has of secrets."""
    text = with_functions(f"PROGRAM=test\nRELEASE=\nIMAGE=\nRECORD={room}\n{script}")
    return subprocess.run([*shell, "-c", text, "test", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_a_secret_has_the_length_and_characters_of_its_form(
    shell: tuple[str, ...], form: SecretForm, tmp_path: Path
) -> None:
    secret = form.named("KEY")
    make = 'make_secret "$1" "$2" "$3"; printf %s "$TOKEN"'
    words = (str(secret.bytes), secret.format, str(secret.characters))
    first, second = (run(shell, make, tmp_path, *words) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert len(first.stdout) == secret.characters
    assert not set(first.stdout) - set(ALPHABETS[secret.format])
    assert first.stdout != second.stdout


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 6, 7, 16])
def test_bytes_are_encoded_as_everybody_does(shell: tuple[str, ...], size: int, tmp_path: Path) -> None:
    content = bytes((249 - 37 * number) % 256 for number in range(size))
    numbers = " ".join(map(str, content))
    for bits, encoded in ((5, base64.b32encode(content)), (6, base64.urlsafe_b64encode(content))):
        done = run(shell, 'encode "$1" "$2"; printf %s "$TOKEN"', tmp_path, str(bits), numbers)
        assert done.stdout == encoded.decode().rstrip("=")


def test_no_character_is_rarer_than_another(tmp_path: Path) -> None:
    """62 characters do not divide 256 bytes: with a plain remainder A to H would come up a quarter more often."""
    script = "random_bytes() { n=0; while [ $n -lt 256 ]; do echo $n; n=$((n + 1)); done; }\n"
    script += 'choose_characters 248; printf %s "$TOKEN"'
    made = run(("dash",), script, tmp_path).stdout
    assert sorted(made) == sorted(ALPHABETS["alphanumeric"] * 4)


def test_a_source_that_gives_too_little_is_an_error_and_no_loop(shell: tuple[str, ...], tmp_path: Path) -> None:
    for form in ("base32", "base64url", "alphanumeric"):
        done = run(shell, f"random_bytes() {{ echo 1; }}; make_secret 30 {form} 40", tmp_path)
        if form == "alphanumeric":
            done = run(shell, "random_bytes() { echo 255; }; make_secret 30 alphanumeric 30", tmp_path)
        assert (done.returncode, "random source" in done.stderr) == (12, True)


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("", ""),
        ("OTHER=1\n", ""),
        ("KEY=1\nKEY=2\nOTHER=3\n", "2"),
        ("KEY=1\nKEY=\n", ""),
        ("XKEY=1\nKEY=a=b\nKEY2=1\n", "a=b"),
        ("OTHER=1\nKEY=2", "2"),
    ],
)
def test_the_last_line_of_a_secret_counts(shell: tuple[str, ...], lines: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text(lines)
    done = run(shell, f"SECRETS={tmp_path}/secrets.env ETC={tmp_path}; secret_value KEY environment", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{value}\n", "")


@pytest.mark.parametrize("delivery", ["environment", "credential"])
@pytest.mark.parametrize("unread", ["secrets.env", "credentials/KEY", "owned"])
def test_a_secret_that_cannot_be_read_is_not_made_anew(
    shell: tuple[str, ...], delivery: str, unread: str, tmp_path: Path
) -> None:
    (tmp_path / "credentials").mkdir()
    for name, text in (("secrets.env", "KEY=0a0a\n"), ("credentials/KEY", "0a0a\n"), ("owned", "secret KEY hex 4\n")):
        (tmp_path / name).write_text(text)
    places = f"SECRETS={tmp_path}/secrets.env ETC={tmp_path} GIVEN= SECRETS_ADDED=\n"
    reads = f'sed() {{ case $* in *"{tmp_path}/{unread}"*) return 4 ;; esac; command sed "$@"; }}\n'
    made = "put() { echo made; }\nmake_dir() { :; }\n"
    done = run(shell, f"{places}{reads}{made}as_secret add_secret KEY 32 hex 64 {delivery}; echo kept", tmp_path)
    assert (done.returncode, done.stdout) == (12, "")
    assert f"cannot read {tmp_path}/{unread}" in done.stderr


@pytest.mark.parametrize(
    ("value", "wanted", "record", "torn"),
    [
        ("", ("hex", 64), "", True),
        ("0a" * 31, ("hex", 64), "", True),
        ("0a" * 32, ("hex", 64), "", False),
        ("0A" * 31, ("hex", 64), "", False),  # not ours: the operator's
        ("ABCD2345", ("base32", 52), "", True),
        ("ABCD2345-", ("base32", 52), "", False),
        ("Ab-_" * 10, ("base64url", 43), "", True),
        ("Ab-." * 10, ("base64url", 43), "", False),
        ("Ab0" * 10, ("alphanumeric", 43), "", True),
        ("0a" * 32, ("base64url", 86), "secret KEY hex 64", False),  # made for the release before
        ("0a" * 31, ("base64url", 43), "secret KEY hex 64", True),
        ("0a" * 8, ("hex", 64), "given KEY", False),
    ],
)
def test_what_is_cut_off(
    shell: tuple[str, ...], value: str, wanted: tuple[str, int], record: str, torn: bool, tmp_path: Path
) -> None:
    (tmp_path / "owned").write_text(f"dir /etc/x\n{record}\n")
    done = run(shell, 'secret_is_torn KEY "$1" "$2" "$3"', tmp_path, value, wanted[0], str(wanted[1]))
    assert (done.returncode, done.stderr) == (0 if torn else 1, "")
