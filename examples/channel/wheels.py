"""Which wheels become packages of the channel, and where their files come from."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from model import ChannelError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from bundler.process import ToolFailed, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from interpreter import Interpreter

__all__ = ["SCIENCE", "Pin", "download", "listed"]


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One wheel: its conda name, and its PyPI name where that is another."""

    name: str
    version: str
    sha256: str | None  # None: there is one wheel for each Python and machine, and pip checks the index's hash
    pypi: str | None = None
    extras: tuple[str, ...] = ()
    archive: Literal[".conda", ".tar.bz2"] = ".conda"

    @property
    def project(self) -> str:
        """The PyPI name, normalised."""
        return canonicalize_name(self.pypi or self.name)


# What many services carry, and what `make bench` measures with: for Python 3.11 and later.
SCIENCE = (
    Pin(name="numpy", version="2.4.6", sha256=None),
    Pin(name="pandas", version="3.1.1", sha256=None),
    Pin(
        name="python-dateutil",
        version="4.0.0",
        sha256="a5e246f79eb80475e691bf93862cead98decd8a498cf53ba0516fcdc0f50dc1c",
    ),
    Pin(
        name="pytz",
        version="2026.6",
        sha256="7fed3fee8fd6bd4a2b7b75a8d56021d0624127bf69bd5691f115db929ac570b3",
    ),
    Pin(name="scipy", version="1.17.1", sha256=None),
    Pin(
        name="six",
        version="1.17.0",
        sha256="4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
    ),
    Pin(
        name="python-tzdata",  # conda-forge's `tzdata` is another thing: the zones for the whole environment
        version="2026.6",
        sha256="0a10eec6e13ef16b627fabed9a5f2ba61a62b1c67f327305f4e7e412a70b4aec",
        pypi="tzdata",
    ),
)


# What conda-forge calls a project of PyPI otherwise; a hyphen for an underscore is no other name there.
_ELSEWHERE = {"python-fastjsonschema": "fastjsonschema", "python-tzdata": "tzdata", "redis-py": "redis"}
_OLDER_FORMAT = frozenset({"click"})  # so that it is met too
_PINS = Path(__file__).with_name("pins")
_PIPS = 4
_OLDEST_GLIBC = 17  # 2.17, which manylinux2014 is another name for; pip knows the still older names


def listed(name: str, python: str) -> tuple[Pin, ...]:
    """The pins of ``pins/<name>.txt``: a requirement a line, under its conda name, as pip's requirements files are.

    A Python that today's versions have left behind has lists of its own, ``pins/3.9/<name>.txt``. A line without a
    hash is a project with a wheel for each Python and machine.
    """
    own = _PINS / python / f"{name}.txt"
    text = (own if own.is_file() else _PINS / f"{name}.txt").read_text(encoding="utf-8")
    lines = (line.partition(" #")[0].split() for line in text.splitlines() if not line.startswith("#"))
    return tuple(_pin(*words) for words in lines if words)


def _pin(requirement: str, digest: str = "") -> Pin:
    wanted = Requirement(requirement)
    (exactly,) = wanted.specifier
    return Pin(
        name=wanted.name,
        version=exactly.version,
        sha256=digest.removeprefix("--hash=sha256:") or None,
        pypi=_ELSEWHERE.get(wanted.name),
        extras=tuple(sorted(wanted.extras)),
        archive=".tar.bz2" if wanted.name in _OLDER_FORMAT else ".conda",
    )


def download(pins: Iterable[Pin], cache: Path, interpreter: Interpreter) -> Mapping[Pin, Path]:
    """The wheel of each of ``pins`` for ``interpreter``; pip fetches those that ``cache`` lacks.

    Raises :class:`ChannelError` if pip fails or a wheel is not the pinned one.
    """
    wanted = tuple(dict.fromkeys(pins))
    room = cache / f"{interpreter.cache_tag}-{interpreter.machine}"
    if interpreter.foreign:  # a glibc that the wheels of a room of this machine's need not run with
        room = room.with_name(f"{room.name}-glibc{interpreter.glibc}")
    room.mkdir(parents=True, exist_ok=True)
    found = _find(wanted, room)
    missing = [pin for pin in wanted if pin not in found]
    while missing:
        # pip refuses two versions of a project in one call.
        batch = {pin.project: pin for pin in missing}
        _fetch_at_once(tuple(batch.values()), room, interpreter)
        missing = [pin for pin in missing if batch[pin.project] != pin]
    return _find(wanted, room)


def _find(pins: Sequence[Pin], room: Path) -> dict[Pin, Path]:
    present = {parse_wheel_filename(path.name)[:2]: path for path in sorted(room.glob("*.whl"))}
    wheels = {(name, str(version)): path for (name, version), path in present.items()}
    found = {pin: wheels[key] for pin in pins if (key := (pin.project, pin.version)) in wheels}
    for pin, path in found.items():
        if pin.sha256:
            _check(path, pin.sha256)
    return found


def _check(wheel: Path, sha256: str) -> None:
    actual = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if actual != sha256:
        raise ChannelError(
            f"its sha256 is {actual}, pinned is {sha256}",
            where=str(wheel),
            remedy="Delete the file; if a new download differs too, the index serves another wheel than was pinned.",
        )


def _fetch_at_once(pins: Sequence[Pin], room: Path, interpreter: Interpreter) -> None:
    """By several pips: one takes a wheel after the other, and waits for the index before each."""
    shares = [share for start in range(_PIPS) if (share := pins[start::_PIPS])]
    with ThreadPoolExecutor(max_workers=_PIPS) as pool:
        list(pool.map(lambda share: _fetch(share, room, interpreter), shares))


def _fetch(pins: Sequence[Pin], room: Path, interpreter: Interpreter) -> None:
    wanted = [f"{pin.project}=={pin.version}" for pin in pins]
    with tempfile.TemporaryDirectory(dir=room, prefix=".partial-") as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
        quiet = ["--disable-pip-version-check", "--no-input", "--quiet"]
        try:
            run([*pip, *quiet, *_target(interpreter), "--dest", scratch, *wanted])
        except ToolFailed as failure:
            raise ChannelError(
                f"pip could not download {', '.join(wanted)}:\n{failure.tail()}",
                where="PyPI",
                remedy="The channel is made from wheels: let pip reach PyPI or a mirror (PIP_INDEX_URL).",
            ) from failure
        for wheel in Path(scratch).glob("*.whl"):
            wheel.replace(room / wheel.name)


def _target(interpreter: Interpreter) -> tuple[str, ...]:
    """pip's words for another Python than the one that it runs under. The tags are PEP 600's."""
    if not interpreter.foreign:
        return ()
    newest = int(interpreter.glibc.partition(".")[2])
    words = ["--implementation", "cp", "--python-version", interpreter.python]
    for minor in range(newest, _OLDEST_GLIBC - 1, -1):  # the best first
        words += ["--platform", f"manylinux_2_{minor}_{interpreter.machine}"]
    return (*words, "--platform", f"manylinux2014_{interpreter.machine}")
