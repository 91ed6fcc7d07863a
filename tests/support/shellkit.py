"""The harness for tests of install.sh's and manage's functions: the shells, and the partials that a script needs.

A test's script calls functions of the two programs; this finds the partials that contain them and the functions that
those call. For a function that the test replaces with its own, nothing is included.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Literal

import pytest

from bundler.installer.launcher import launchers
from bundler.installer.partials import partials_of
from bundler.resources import templates_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "BUSYBOX",
    "GNU",
    "SHELLS",
    "SHELLS_WITH_TOOLS",
    "SHELL_IDS",
    "THREE_SHELLS",
    "WAYS",
    "Script",
    "Way",
    "called_in",
    "functions_of",
    "shell_id",
    "with_functions",
    "write_service",
]

Script = Literal["install", "manage"]
Way = Literal["launcher", "unit"]
WAYS: tuple[Way, ...] = ("launcher", "unit")
"""How a release describes a service to `manage run`: releases of conda-bundler 0.1 have only units."""
# What install.sh, manage and the head of a .run must run under.
SHELLS = (("dash",), ("bash", "--posix"), ("bash",), ("busybox", "sh"))
SHELL_IDS = ("dash", "bash-posix", "bash", "busybox")
# Without the one that reads the same file in two ways, for what takes long.
THREE_SHELLS = (SHELLS[0], SHELLS[1], SHELLS[3])
# A shell, and whose tools it finds; busybox sh runs its own, whatever is in PATH.
GNU, BUSYBOX = "gnu", "busybox"
SHELLS_WITH_TOOLS = (
    pytest.param("dash", GNU, id="dash"),
    pytest.param("bash", GNU, id="bash"),
    pytest.param("dash", BUSYBOX, id="dash-busybox-tools"),
    pytest.param("busybox sh", BUSYBOX, id="busybox-alone"),
)
# What main alone calls: as words they are in records, too.
_STEPS = {"check", "install", "look", "main", "plan", "rollback", "uninstall", "verify"}
# What the frames and the header set that the partials' top level or messages read.
_HEADER = """set -eu
LC_ALL=C
export LC_ALL
PROGRAM=test HELP='test --help' NAME=hello RELEASE=1.0-0123456789ab SERVICE_USER=hello SERVICE_UID= PAYLOAD_CODEC=gzip
"""


def shell_id(shell: tuple[str, ...]) -> str:
    """The shell's name in a test's id."""
    return dict(zip(SHELLS, SHELL_IDS, strict=True))[shell]


def with_functions(script: str, *, of: Script = "install", header: str = "") -> str:
    """``script`` behind those partials of install.sh, or manage, that it calls, whole and in the scripts' order.

    ``header`` are values that the partials' top level reads; all others the script sets itself, which comes later.
    """
    partials = functions_of(of)
    bodies = {name: body for functions in partials.values() for name, body in functions.items()}
    own = {*_functions(script), *re.findall(r"^ *(\w+)\(\)", script, re.MULTILINE)}
    needed: set[str] = set()
    called = called_in(script) - _STEPS
    while called:
        needed |= (found := (called & bodies.keys()) - own - needed)
        called = {word for name in found for word in called_in(bodies[name])} - _STEPS
    read = {name for one in (script, *map(bodies.__getitem__, needed)) for name in _READ.findall(one)}
    read -= set(_SET.findall(f"{header}\n{script}"))
    texts = {path: (templates_dir() / path).read_text("utf-8") for path in partials}
    more = {path for path in partials if needed & partials[path].keys()}
    chosen: set[str] = set()
    while more:
        chosen |= more
        # what their top level reads has to be there before the script sets anything
        read |= {name for path in more for line in _TOP.findall(texts[path]) for name in _READ.findall(line)}
        more = {path for path, text in texts.items() if read & set(_BEGINS.findall(text))} - chosen
    return "\n".join((f"{_HEADER}{header}", *(text for path, text in texts.items() if path in chosen), script))


# Variables of ours: those that are read, that a script sets, and that a partial's top level sets.
_READ = re.compile(r"\$\{?\#?([A-Z][A-Z_]*)\b")
_SET = re.compile(r"(?:^|(?<=[ ;]))([A-Z][A-Z_]*)=", re.MULTILINE)
_BEGINS = re.compile(r"^([A-Z][A-Z_]*)=", re.MULTILINE)
_TOP = re.compile(r"^[A-Z][A-Z_]*=.*", re.MULTILINE)


def write_service(root: Path, unit: str, way: Way) -> None:
    """hello.service of release 1.0 below ``root``."""
    release = root / "releases/1.0"
    files = (
        {"units/hello.service": unit} if way == "unit" else launchers(["hello.service"], {"units/hello.service": unit})
    )
    for name, text in files.items():
        (release / name).parent.mkdir(parents=True, exist_ok=True)
        (release / name).write_text(text)


@cache
def functions_of(of: Script) -> dict[str, dict[str, str]]:
    """The functions of each partial, with their bodies."""
    return {path: _functions((templates_dir() / path).read_text("utf-8")) for path in partials_of(of)}


def _functions(text: str, indent: str = "") -> dict[str, str]:
    text = _DOCUMENT.sub(_quoted, text)
    found = re.finditer(
        rf"^{indent}(\w+)\(\) (?:[{{(](?: #[^\n]*)?\n(.*?)^{indent}[}})]$|\{{ ([^\n]*) \}}$)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    return {match[1]: match[2] or match[3] for match in found}


# A here-document, which is for people but for what it has in $(…).
_DOCUMENT = re.compile(r"<<'?([A-Z]+)'?([^\n]*\n)(.*?)^\1$", re.MULTILINE | re.DOTALL)


def _quoted(document: re.Match[str]) -> str:
    return document[2].rstrip("\n") + ' "' + document[3].replace('"', "") + '"\n'


def called_in(text: str) -> set[str]:
    """The words that may be names of functions: no comments, and of text in double quotes only commands."""
    words = set(re.findall(r"(?<![\w./-])\w+(?![\w./=-])", "".join(_code(_DOCUMENT.sub(_quoted, text)))))
    if '"env_$env_state"' in text:  # its states are functions, which it calls by a name that it puts together
        words |= {name for partial in functions_of("install").values() for name in partial if name.startswith("env_")}
    return words


# One piece of shell text: where commands are, in double quotes, and in ${…}.
_COMMANDS = r"""\\.|'[^']*'|(?:^|(?<=\s))\#[^\n]*|\$\(|\$\{|["(){}]|[^\\'"$(){}\#]+|."""
_QUOTED = r"""\\.|\$\(|\$\{|"|[^\\"$]+|."""
_EXPANSION = r"""\\.|'[^']*'|\$\(|\$\{|["}]|[^\\"$}']+|."""


def _code(text: str) -> Iterator[str]:
    """The text without comments and double-quoted text, except commands in it."""
    inside = [""]  # of what: a quote, an expansion ${…}, a command $(…) or its parentheses
    place = 0
    while place < len(text):
        where = inside[-1]
        pattern = {'"': _QUOTED, "${": _EXPANSION}.get(where, _COMMANDS)
        found = re.compile(pattern, re.DOTALL | re.MULTILINE).match(text, place)
        assert found
        token, place = found[0], found.end()
        if token in ("$(", "${") or (token == '"' and where != '"'):
            inside.append(token)
            yield " "
        elif token == "(" and where in ("$(", "("):
            inside.append("(")
        elif (token, where) in ((")", "$("), (")", "("), ("}", "${"), ('"', '"')):
            inside.pop()
            yield " "
        elif where not in ('"', "${") and not token.startswith("#"):
            yield f" {token} " if token in "(){}" else token
