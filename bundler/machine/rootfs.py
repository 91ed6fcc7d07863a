"""Root directories of small Debian systems: made once by mmdebstrap, or unpacked from a tarball, and kept."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.atomic import hold_lock
from bundler.digests import file_sha256
from bundler.errors import ConfigError, MissingToolError, SmokeError
from bundler.machine.enclosure import OWN_NAMESPACES, PLAIN_UMASK
from bundler.machine.privileged import take
from bundler.process import ToolFailed, find_tool, run
from bundler.progress import QuietProgress
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.progress import Progress

__all__ = ["SUITES", "cache_key", "need_root", "rootfs"]

SUITES = ("bookworm", "bullseye", "trixie")

_PACKAGES = ("systemd", "systemd-sysv", "dbus")
_OPTIONS = (
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
)
# Rights of a program are no attribute that a file in our cache may have.
_ATTRIBUTES = ("--xattrs-include=*", "--xattrs-exclude=security.capability")
# Raise it when _make_bare or _extend changes, so that no root directory made the old way is used any more.
_RECIPE = 4
# A hook of mmdebstrap's: apt from outside, as mmdebstrap itself calls it for --include, and dpkg from inside.
_INSTALL = (
    'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" TMPDIR="$1/tmp" apt-get -q -y -o DPkg::Chroot-Directory="$1" '
    "-o Dir::Bin::dpkg=env -o DPkg::Options::=--unset=TMPDIR -o DPkg::Options::=dpkg install"
)
# For consoles, disks and hardware, which a machine of ours has not: systemd runs each generator at every boot and at
# every daemon-reload.
_GENERATORS = (
    *("cryptsetup", "debug", "getty", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local", "run"),
    *("system-update", "veritysetup"),
)
# What is installed on it is to be left as it is.
_TIMERS = ("apt-daily", "apt-daily-upgrade", "e2scrub_all")


def rootfs(source: str | Path = "bookworm", *, include: tuple[str, ...] = (), progress: Progress | None = None) -> Path:
    """A ready root directory, never to be written to: boot it with :class:`bundler.machine.Machine`.

    ``source`` is a Debian suite (then ``include`` names packages to have beside systemd and dbus), or the path
    of a directory or tarball. What is made or unpacked is kept in the cache; the first call for a suite takes
    half a minute and downloads about 60 MB, one for more packages takes what these take.
    Raises ConfigError, MissingToolError (not root, no mmdebstrap), SmokeError (it could not be made).
    """
    need_root()
    _check_packages(source, include)
    progress = progress or QuietProgress()
    if isinstance(source, Path):
        return _given(source, progress)
    if source not in SUITES:
        raise ConfigError(f"no such suite: {source}", where="--suite", remedy=f"Known suites: {', '.join(SUITES)}.")
    return _of_suite(source, tuple(sorted({*include} - {*_PACKAGES})), progress)


def _of_suite(suite: str, more: tuple[str, ...], progress: Progress) -> Path:
    """One with ``more`` packages is a copy of the plain one with these added: a seventh of the work."""

    def make(root: Path) -> None:
        plain = _of_suite(suite, (), progress) if more else None
        progress.step(f"Making a root directory of Debian {suite}{''.join(f', {name}' for name in more)} (once)")
        if plain:
            _extend(plain, suite, more, root)
        else:
            _bootstrap(suite, root)
        _make_bare(root)

    return _cached(cache_key(suite, more), make)


def _check_packages(source: str | Path, include: tuple[str, ...]) -> None:
    """mmdebstrap takes more than names, and nothing can be installed on what the caller has given."""
    for name in include:
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
            raise ConfigError(
                f"{name!r} is not the name of a Debian package",
                where="--include",
                remedy="Give one name per option, such as --include nginx --include redis-server.",
            )
    if include and isinstance(source, Path):
        raise ConfigError(
            "--include and --rootfs are mutually exclusive",
            where="--include",
            remedy=f"Install the packages in {source}, or use --suite instead of --rootfs.",
        )


def cache_key(suite: str, packages: tuple[str, ...]) -> str:
    """The name of a suite's root directory with more ``packages`` in the cache: all that decides what is in it."""
    words = (str(_RECIPE), suite, *_PACKAGES, *packages, *_OPTIONS)
    return f"{suite}-{hashlib.sha256('|'.join(words).encode()).hexdigest()[:12]}"


def need_root() -> None:
    """Refuse early: mounts, namespaces and cgroups are root's."""
    if os.geteuid() != 0:
        raise MissingToolError(
            "a throwaway machine can be booted only by root: it needs mounts, namespaces and cgroups",
            remedy="Run it as root; in a container, in a privileged one. sudo has a search path of its own, so give it "
            'the program\'s path: sudo "$(command -v conda-bundler)" ...',
        )


def _given(source: Path, progress: Progress) -> Path:
    if source.is_dir():
        return _with_systemd(source.resolve(), source)
    if not source.is_file():
        raise ConfigError(f"no such file or directory: {source}", where="--rootfs")

    key = f"tree-{file_sha256(source)[:24]}"

    def unpack(root: Path) -> None:
        progress.step(f"Unpacking {source.name}")
        root.mkdir()
        tar = find_tool("tar", package="tar", purpose="unpacking a root file system")
        try:
            run([tar, "-xpf", source, "-C", root, "--numeric-owner", "--xattrs", *_ATTRIBUTES])
            root.chmod(0o755)  # a tarball need not have "./"
        except ToolFailed as failed:
            raise ConfigError(
                f"tar cannot unpack {source}: {failed.tail(1)}",
                where="--rootfs",
                remedy="Give a directory, or a tarball of a root directory that has systemd in it.",
            ) from failed
        _with_systemd(root, source)
        take(root, cache_dir("rootfs") / key)

    return _cached(key, unpack)


def _with_systemd(root: Path, source: Path) -> Path:
    if not any((root / place / "systemd/systemd").is_file() for place in ("usr/lib", "lib")):
        raise ConfigError(
            f"{source} holds no usr/lib/systemd/systemd: it cannot be booted",
            where="--rootfs",
            remedy="Give the root directory itself of a system that has systemd, or a tarball of it.",
        )
    return root


def _bootstrap(suite: str, root: Path) -> None:
    _mmdebstrap(suite, root, "--variant=minbase", f"--include={','.join(_PACKAGES)}")


def _extend(plain: Path, suite: str, packages: tuple[str, ...], root: Path) -> None:
    copy = f'cp -a --reflink=auto {shlex.quote(str(plain))}/. "$1"'
    install = f"{_INSTALL} {' '.join(packages)}"
    _mmdebstrap(suite, root, "--variant=custom", f"--setup-hook={copy}", f"--customize-hook={install}")


def _mmdebstrap(suite: str, root: Path, *options: str) -> None:
    mmdebstrap = find_tool("mmdebstrap", package="mmdebstrap", purpose="making a throwaway machine")
    unshare = find_tool("unshare", package="util-linux", purpose="making a throwaway machine")
    words = (mmdebstrap, *_OPTIONS, *options, suite, str(root))
    try:
        # In namespaces of its own: a killed mmdebstrap would leave /proc and /sys mounted in a tree that the
        # next run removes, and dpkg running in it.
        run([*PLAIN_UMASK, unshare, *OWN_NAMESPACES, *words])
    except ToolFailed as failed:
        reasons = [line for line in failed.finished.stderr.splitlines() if line.startswith("E: ")]
        unknown = [reason for reason in reasons if "Unable to locate package" in reason]
        if unknown:
            raise ConfigError(
                f"Debian {suite} has no package {unknown[0].split()[-1]}",
                where="--include",
                remedy="Look for its name: https://packages.debian.org",
            ) from failed
        raise SmokeError(
            f"mmdebstrap could not make it: {reasons[0][3:] if reasons else failed.tail(1)}",
            where=f"root directory of Debian {suite}",
            remedy="It downloads from Debian's mirror and needs the package debian-archive-keyring; "
            "without a network give a root file system with --rootfs DIR|TAR. -v shows the command.",
        ) from failed


def _make_bare(root: Path) -> None:
    """Take out what a server without a network does not have, and what this machine left in it."""
    # Empty, not "uninitialized": systemd makes an id at boot without taking that for a first boot,
    # which would apply all presets, as no server does that a bundle is installed on.
    (root / "etc/machine-id").write_bytes(b"")
    for name in ("etc/resolv.conf", "etc/hostname", "etc/apt/sources.list"):
        (root / name).unlink(missing_ok=True)
    for name in ("etc/apt/sources.list.d", "var/cache/apt", "var/lib/apt/lists", "var/log/apt"):
        shutil.rmtree(root / name, ignore_errors=True)
    masked = root / "etc/systemd/system-generators"
    masked.mkdir(exist_ok=True)
    generators = (masked / f"systemd-{name}-generator" for name in _GENERATORS)
    for path in (*generators, *(root / f"etc/systemd/system/{name}.timer" for name in _TIMERS)):
        if not path.is_symlink():  # one that was extended has them
            path.symlink_to("/dev/null")


def _cached(key: str, make: Callable[[Path], None]) -> Path:
    """The cache's directory ``key``; ``make`` fills a new one, which gets that name when it is complete."""
    room = cache_dir("rootfs")
    goal = room / key
    if goal.is_dir():
        return goal
    with hold_lock(room / f".{key}.lock"):
        if goal.is_dir():
            return goal
        partial = room / f".{key}.partial"
        if partial.exists():
            shutil.rmtree(partial)
        try:
            make(partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        partial.rename(goal)
    return goal
