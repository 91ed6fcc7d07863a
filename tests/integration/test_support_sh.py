"""manage support-bundle: of the secrets that were planted none leaves the machine, however they are written."""

from __future__ import annotations

import base64
import html
import json
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from shellkit import THREE_SHELLS, shell_id, with_functions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PREFIX = "2026-11-30T12:00:00+0000 server hello[123]: "
# As programs, people and shells write a value. No line break in any of them but where the value is split.
WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "single quotes": lambda value: "'" + value.replace("'", "'\"'\"'") + "'",
    "backslashes": lambda value: re.sub(r"([^A-Za-z0-9])", r"\\\1", value),
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "hex with blanks": lambda value: value.encode().hex(" "),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 behind one": lambda value: base64.b64encode(b"u" + value.encode()).decode(),
    "base64 behind two": lambda value: base64.b64encode(b"u:" + value.encode()).decode(),
    "base64url": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "URL": lambda value: quote(value, safe=""),
    "form": quote_plus,
    "lower-case URL": lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
    "every byte of a URL": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "URL in a URL": lambda value: quote(quote(value, safe=""), safe=""),
    "JSON": json.dumps,
    "UTF-8 JSON": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value)),
    "JSON with slashes": lambda value: json.dumps(value).replace("/", "\\/"),
    "HTML": html.escape,
    "Python": lambda value: repr(value.encode()),
    "split": lambda value: f"{value[:7]}\n{PREFIX}{value[7:]}",
    "split in three": lambda value: f"{value[:4]}\n{PREFIX}{value[4:8]}\n{PREFIX}{value[8:]}",
    "split base64": lambda value: base64.encodebytes(3 * value.encode()).decode().replace("\n", f"\n{PREFIX}"),
}
# What a machine knows: where it lies, and how it is written there.
VALUES = {
    "secrets.env": "zK9-wQ2_x7Lr4Tn8",
    "quoted in secrets.env": "correct horse & 'battery' <staple>",
    "short in secrets.env": "q7#Wm2x!",
    "credential": "Vu7/tR+q0Zp=ee11",
    "settings": 'grün&Tür/42 "quoted" 9',
    "URL in settings": "hun%ter2@home",
    "drop-in": "drop in's v4lue",
    "own environment": "proc3ss;value;here",
    "another file": "0th3r-file-value",
}
# What nobody has told us, and looks like a secret.
SHAPES = {
    "passWord1x": "DB_PASSWORD=passWord1x",
    "op3nsesame": "connecting with password: op3nsesame",
    "w0rds and w0rds": "SMTP_PASS=w0rds and w0rds",
    "jsonSecret1": '{"user": "bob", "api_key": "jsonSecret1", "x": 1}',
    "dXNlcjpwdw==": "Authorization: Basic dXNlcjpwdw==",
    "b3arer.tok": "sent Bearer b3arer.tok",
    "ur1passw": "redis://:ur1passw@cache:6379/0",
    "mysqlPw7": "dsn root:mysqlPw7@tcp(db:3306)/hello",
    "c00kievalue": "Set-Cookie: sid=c00kievalue; HttpOnly",
    "tok3nInQuery": "GET /?access_token=tok3nInQuery&page=2 HTTP/1.1",
    "opt10nvalue": "hello --db-password opt10nvalue",
    "sa1dInProse": "the secret is sa1dInProse",
    "idByThis9": "CREATE USER x IDENTIFIED BY 'idByThis9'",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln": "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "4f1c9a0b7d3e5f6a8b9c0d1e2f3a4b5c": "session 4f1c9a0b7d3e5f6a8b9c0d1e2f3a4b5c opened",
    "AKIAIOSFODNN7EXAMPLE": "using AKIAIOSFODNN7EXAMPLE",
    "Zx8Kq-pL3v_Nm5Rt7Yw2": "value Zx8Kq-pL3v_Nm5Rt7Yw2",
    "MIIshortline": "-----BEGIN RSA PRIVATE KEY-----\nMIIshortline\n-----END RSA PRIVATE KEY-----",
    "n3xtline": "password:\n  n3xtline",
    "s3tcred": "SetCredential=db:s3tcred",
}
USEFUL = (
    "request 17 took 35 ms",
    "KeyError: 'DATABASE'",
    'File "/opt/hello/releases/1.0-0123456789ab/env/lib/python3.11/site-packages/flask/app.py", line 3',
)


def planted() -> dict[str, str]:
    """What must not be found -> the text in which it is planted. No word before a value says what it is."""
    values = [write(value) for value in VALUES.values() for write in WRITTEN.values()]
    return {text: f"{PREFIX}line {number} {text} ." for number, text in enumerate(values)} | {
        secret: "".join(f"{PREFIX}{line}\n" for line in text.split("\n")) for secret, text in SHAPES.items()
    }


@pytest.fixture(params=THREE_SHELLS, ids=shell_id)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


# The machine's part: what systemd says, from files; and no machine's facts.
STUBS = """
RECORD=$PWD/record ETC=$PWD/etc SECRETS=$PWD/etc/secrets.env ROOT=$PWD/root RUN_DIR=$PWD/run IMAGE= UNIT_DIR=$PWD
PLATFORM=linux-64 TOOL_VERSION=0 COMMAND=support-bundle
id() { echo 0; }
control() { [ "$1" != cat ] || cat journal; }
property() { [ ! -f "property.$2" ] || cat "property.$2"; }
journalctl() { cat journal; }
systemctl() { :; }
status() { cat journal; }
releases() { :; }
verify() { exit 11; }
current_release() { :; }
"""


def bundle(shell: tuple[str, ...], room: Path, journal: str, more: str = "") -> subprocess.CompletedProcess[str]:
    """Run it in ``room``, on a machine that knows VALUES."""
    for directory in ("etc/credentials", "record", "root"):
        (room / directory).mkdir(parents=True, exist_ok=True)
    quoted = VALUES["settings"].replace('"', '\\"')
    files = {
        "etc/secrets.env": f'A={VALUES["secrets.env"]}\nB="{VALUES["quoted in secrets.env"]}"\n'
        f"D={VALUES['short in secrets.env']}\n",
        "etc/credentials/C": f"{VALUES['credential']}\n",
        "etc/hello.env": f'# {VALUES["credential"]}\nMOTTO="{quoted}"\nPORT=8000\n'
        f"DB=postgres://me:{quote(VALUES['URL in settings'], safe='')}@db/x\n",
        "other.env": f"OTHER={VALUES['another file']}\n",
        "property.EnvironmentFiles": f"{room}/other.env (ignore_errors=no)\n",
        "property.Environment": f'X=1 "DROPPED={VALUES["drop-in"]}"\n',
        "record/owned": "unit /etc/systemd/system/hello.service\n",
        "journal": journal,
    }
    for name, text in files.items():
        (room / name).write_text(text)
    environ = subprocess.Popen(["sleep", "600"], env={"PATH": "/usr/bin:/bin", "MY_TOKEN": VALUES["own environment"]})
    try:
        (room / "property.MainPID").write_text(f"{environ.pid}\n")
        script = f"{STUBS}{more}\nOPERAND=out.tar.gz\nsupport_bundle\n"
        text = with_functions(script, of="manage")
        return subprocess.run([*shell, "-c", text], cwd=room, capture_output=True, text=True, check=False)
    finally:
        environ.kill()
        environ.wait()


def test_of_all_that_is_planted_nothing_is_found(shell: tuple[str, ...], tmp_path: Path) -> None:
    secrets = planted()
    assert len(secrets) > 150
    journal = "\n".join([*secrets.values(), *(PREFIX + line for line in USEFUL)]) + "\n"
    done = bundle(shell, tmp_path, journal)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        texts = {
            member.name: archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in archive
            if member.isfile()
        }
    assert "hello-support/journal/hello.service.txt" in texts
    joined = {name: re.sub(rf"\s|{re.escape(PREFIX)}", "", text) for name, text in texts.items()}
    found = [
        (name, secret)
        for secret in secrets
        for name in texts
        if secret in texts[name] or re.sub(rf"\s|{re.escape(PREFIX)}", "", secret) in joined[name]
    ]
    assert found == []
    shown = texts["hello-support/journal/hello.service.txt"]
    assert [line for line in USEFUL if line not in shown] == []
    settings = texts["hello-support/settings.txt"]
    assert ("PORT=8000" in settings, "MOTTO=***" in settings) == (True, True)


def test_the_file_is_roots_alone_and_nothing_else_is_left(shell: tuple[str, ...], tmp_path: Path) -> None:
    assert bundle(shell, tmp_path, "").returncode == 0
    assert (tmp_path / "out.tar.gz").stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "run").iterdir()) == []
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_file_that_is_there_is_left_alone(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "out.tar.gz").symlink_to("nowhere")
    done = bundle(shell, tmp_path, "")
    assert (done.returncode, "out.tar.gz already exists" in done.stderr) == (2, True)
    assert (tmp_path / "out.tar.gz").is_symlink()


@pytest.mark.parametrize("broken", ["awk", "tar", "gzip"])
def test_a_step_that_fails_leaves_no_file(shell: tuple[str, ...], broken: str, tmp_path: Path) -> None:
    done = bundle(shell, tmp_path, "x", f"{broken}() {{ return 1; }}")
    assert (done.returncode, done.stderr.startswith("test: error: cannot ")) == (12, True)
    assert not (tmp_path / "out.tar.gz").exists()
    assert [*(tmp_path / "run").iterdir(), *tmp_path.glob(".*")] == []
