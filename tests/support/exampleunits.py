"""The units of every example as a build writes them, and those that install.sh writes, without building a bundle.

An example's payload decides one thing about its units: whether memory may be written and then executed
(MemoryDenyWriteExecute). So there are two of each, one without that directive, whatever the payload really has.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from examplekit import CHECKOUT
from installkit import Member, Spec, but, units, write_bundle

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["example_units", "installer_units", "too_exposed"]

# Kinds of units that no example has.
_OTHER_KINDS = """
[services.web]
command = ["serve"]
socket = "127.0.0.1:80"
ports = [80]
reload = ["serve", "--reload"]
health = { tcp = "127.0.0.1:80" }
[services.worker]
command = ["serve"]
instances = 2
health = { command = ["serve", "--check", "{instance}"] }
[services.tls]
command = ["serve"]
ports = [443]
[services.cuda]
command = ["serve"]
gpu = true
[hooks]
service = "web"
before_switch = ["serve", "--migrate"]
after_switch = ["serve", "--warm"]
back = ["serve", "--back"]
"""

_LIMIT = 1.5
_MORE = {"tls.service": 1.7, "cuda-gpu.service": 2.3}
"""Units of these that need more: a port below 1024 of one's own, the device files of a GPU."""

# What is not in a Spec's ``tables``.
_OTHERS = re.compile(r"^\[(?:bundle|files)\][^\n]*\n(?:[^\[\n][^\n]*\n|\n)*", re.MULTILINE)
_COMPILES = frozenset({"numba"})
# What install.sh would write; what it asks of the machine is answered by directories.
_WRITTEN = """\
trap - EXIT
IMAGE=$1
FROM=$RELEASE
set_places
PLACE=$BAKED_ROOT ROOT=$IMAGE$BAKED_ROOT UNIT_DIR=$IMAGE/usr/local/lib/systemd/system
"$2"
exit 0
"""


def example_units(room: Path) -> dict[str, str]:
    """File name -> text. ``room`` is a directory of the caller's for what is made meanwhile."""
    found: dict[str, str] = {}
    for spec in _specs():
        bundle = write_bundle(spec, room / spec.name)
        found |= units(spec)
        found |= {f"compiles-{name}": text for name, text in units(but(spec, packages=_COMPILES)).items()}
        written = installer_units(bundle, spec.name, spec.release, room / f"{spec.name}-image")
        found |= {f"{spec.name}-{name}.service": text for name, text in written.items()}
    return found


def too_exposed(levels: dict[str, float]) -> dict[str, float]:
    """Those of ``levels``, by the units' files, that are above what is allowed."""

    def limit(name: str) -> float:
        return _MORE.get(name.removeprefix("as-").removeprefix("compiles-"), _LIMIT)

    return {name: level for name, level in levels.items() if level > limit(name)}


def _specs() -> Iterator[Spec]:
    yield Spec(name="other-kinds", services=("web", "worker", "tls", "cuda"), tables=_OTHER_KINDS)
    for path in sorted((CHECKOUT / "examples").glob("**/bundle.toml")):
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        services = table["services"].values()
        programs = {words[0] for service in services for words in _commands(service)}
        places = sorted(f"app/{name}" if "/" in name else f"env/bin/{name}" for name in programs)
        yield Spec(
            name=table["bundle"]["name"],
            description=table["bundle"]["description"],
            services=tuple(table["services"]),
            tables=_OTHERS.sub("", path.read_text(encoding="utf-8")),
            members=tuple(Member(name=place, mode=0o755) for place in places),
        )


def _commands(service: dict[str, Any]) -> Iterator[list[str]]:
    yield service["command"]
    if "command" in service.get("health", {}):
        yield service["health"]["command"]


def installer_units(bundle: Path, name: str, release: str, image: Path) -> dict[str, str]:
    """What install.sh of ``bundle`` writes itself: ``recover`` while an upgrade lasts, and for the first boot of an
    image ``user``, if the user is still to be made, and ``least``, if it has been. ``image`` must not exist yet."""

    def written(function: str) -> str:
        text = (bundle / "install.sh").read_text()
        program = image.with_name(f"{image.name}-program")
        program.write_text(text.replace('\nmain "$@"\n', f"\n{_WRITTEN}"))
        done = subprocess.run(["sh", program, image, function], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    (image / f"opt/{name}/releases/{release}/config").mkdir(parents=True)
    users = image / "etc/passwd"
    users.parent.mkdir()
    users.touch()
    found = {"recover": written("guard_unit"), "user": written("first_boot_unit")}
    users.write_text(f"{name}:x:999:999::/:/bin/false\n")
    found["least"] = written("first_boot_unit")
    return {unit: text.replace(str(image), "") for unit, text in found.items()}
