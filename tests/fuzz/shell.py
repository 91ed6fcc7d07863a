"""The records of install.sh, on a server whose disk or admin has changed them, as dash reads them."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from fuzzkit import PATIENCE, Target, texts_like
from shellkit import with_functions

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TARGETS"]

HEAD = """set -eu
LC_ALL=C PROGRAM=test NAME=hello IMAGE= RELEASE=1.0-0123456789ab RECORD=$PWD/record WORK=$PWD/work ROOT=$PWD/root
ETC=$PWD/etc SERVICE_USER=hello UNIT_DIR=/usr/local/lib/systemd/system
current_release() { echo 1.0-0123456789ab; }
is_complete() { :; }
enablement() { echo enabled; }
property() { echo active; }
flush() { :; }
unguard_boot() { :; }
add_history() { :; }
"""
OWNED = """\
root /opt/hello
user hello
user hello-web
dir /var/lib/hello
unit /usr/local/lib/systemd/system/hello.service
release 1.0-0123456789ab 00 11
was hello.service enabled active
secret TOKEN hex 64
"""
TRANSACTION = (
    "action=install\nfrom=1.0-0123456789ab\nto=2.0-0123456789ab\nphase=switching\nunit hello.service enabled active\n"
)
INVENTORY = "format 1\nservice hello.service - 1 5 -\nsecret TOKEN 32 hex 64 environment\n"
SCRIPTS = {
    "owned": """
owned root; owned_paths unit; recorded_users; owned release | sed 's/ .*//'
owns "user hello" || :
claim "user hello" "dir /var/lib/other"
unclaim "release 1.0-0123456789ab"
unclaim "secret TOKEN"
""",
    "transaction": """
is_pending
for key in action from to phase; do transaction_value "$key"; done
begin_transaction install
state_before enabled hello.service
write_transaction switching
drop_transaction
""",
    "inventory": """
service() { printf '%s|' "$1" "$service_health" "$service_start" "$service_timeout" "$service_url"; }
secret() { printf '%s|' "$1" "$secret_bytes" "$secret_format" "$secret_length" "$secret_delivery"; }
each_entry "$PWD/record" service as_service service
each_entry "$PWD/record" secret as_secret secret
""",
}
_BROKEN = re.compile(
    r"(syntax error|not found|bad substitution|unexpected|parameter not set|Illegal|unbound)", re.IGNORECASE
)


def _record(name: str) -> Target:
    text = with_functions(HEAD + SCRIPTS[name])

    def run(data: bytes, room: Path) -> None:
        for directory in ("record", "work", "root", "etc"):
            (room / directory).mkdir()
        (room / "record" / "owned").write_text(OWNED)
        (room / "record" / name).write_bytes(data)
        script = room / "script"
        script.write_text(text)
        done = subprocess.run(["dash", script], capture_output=True, timeout=PATIENCE, check=False, cwd=room)
        said = done.stderr.decode("utf-8", "replace")
        assert not _BROKEN.search(said.replace(data.decode("utf-8", "replace"), "")), said
        assert done.returncode in (0, 12), (done.returncode, said)

    seeds = {"owned": OWNED, "transaction": TRANSACTION, "inventory": INVENTORY}
    return Target(name=f"record: {name}", inputs=texts_like(seeds[name]), run=run)


def _settings(data: bytes, room: Path) -> None:
    """The operator's settings, as `manage status` and install.sh look at them."""
    (room / "etc").mkdir()
    (room / "etc" / "hello.env").write_bytes(data)
    script = room / "script"
    told = 'told() { printf "%s %s\\n" "$1" "$2"; }\neach_odd_setting "$ETC/hello.env" told\n'
    script.write_text(with_functions(HEAD + told))
    done = subprocess.run(["dash", script], capture_output=True, timeout=PATIENCE, check=False, cwd=room)
    assert done.returncode in (0, 12), done.stderr
    assert not _BROKEN.search(done.stderr.decode("utf-8", "replace")), done.stderr


TARGETS = (
    *map(_record, SCRIPTS),
    Target(name="settings", inputs=texts_like("# x\nPORT=8000\nA=\"b c\\\n\" 'd'\nexport E=$F\n"), run=_settings),
)
