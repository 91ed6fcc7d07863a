"""Shared libraries that the payload's files need and that neither the payload nor glibc provides.

A library counts as provided if a file of the payload has its name or its DT_SONAME, in whatever directory: wheels load
libraries of other wheels before they are needed. All others have to come from the server. DT_NEEDED does not show what
a program opens itself (``dlopen``, ``ctypes``): bundle.toml can name such a library.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeAlias

from bundler.pack.members import LINK_MODE
from bundler.units.knownlibraries import DRIVERS, NOT_LOADED, PACKAGES, PLUG_INS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bundler.config.project import BundleConfig
    from bundler.elf import Elf
    from bundler.pack.members import TreeEntry
    from bundler.pack.payload import Payload
    from bundler.prefix import Prefix

__all__ = ["HostLibrary", "LibraryUser", "Rules", "find_libraries", "host_libraries", "is_loaded", "library_notes"]

Need: TypeAlias = Literal["required", "optional"]

_GLIBC = re.compile(
    r"ld-linux[\w.-]*\.so\.\d+|ld(?:64)?\.so\.\d+|linux-vdso(?:32|64)?\.so\.1|libc\.so\.6|libm\.so\.6|libdl\.so\.2"
    r"|librt\.so\.1|libutil\.so\.1|libpthread\.so\.0|libresolv\.so\.2|libanl\.so\.1|libmvec\.so\.1|libthread_db\.so\.1"
    r"|libBrokenLocale\.so\.1|libnss_(?:files|dns|compat|db|hesiod)\.so\.2"
)
"""Libraries that come with glibc. Not libnsl.so.1 and libcrypt.so.1: on RHEL 9 and later both are in packages that are
not installed by default."""
_OTHER_LIBC = re.compile(r"libc\.musl-.*|libc\.so(?:\.(?!6$)\d+)?")
"""The C libraries of musl, Android and the BSDs: what needs one of them does not run on glibc."""
_VENDORED = re.compile(r"-[0-9a-f]{8}(?=[.-])")
"""auditwheel's suffix of a wheel's private copy, which only that wheel loads, by that name. Some copies keep the
DT_SONAME of the original (torch 2.0.1's libgomp-a34b3233.so.1), but that does not provide it to other packages."""
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, kw_only=True)
class LibraryUser:
    """A package that needs a library: one of its files, by its path below the release, and how many there are.

    ``package`` is empty for files that belong to no package, such as the user's own.
    """

    package: str
    path: str
    files: int = 1


@dataclass(frozen=True, kw_only=True)
class HostLibrary:
    """A library to be looked for on the server. ``soname`` is what DT_NEEDED says.

    ``because`` is why it is optional, or why it is required against the defaults. ``search`` are the absolute
    directories in which the loader is told to look besides its own. ``debian``, ``rpm`` and ``conda`` are packages
    that have it; empty if not known.
    """

    soname: str
    need: Need
    because: str = ""
    needed_by: tuple[LibraryUser, ...] = ()
    search: tuple[str, ...] = ()
    debian: str = ""
    rpm: str = ""
    conda: str = ""

    def row(self) -> tuple[str, ...]:
        """The values for ``each_library`` in install.sh: see there."""
        first = self.needed_by[0] if self.needed_by else LibraryUser(package="", path="")
        files = str(sum(user.files for user in self.needed_by))
        return self.soname, self.need, first.package, first.path, files, self.debian, self.rpm, ":".join(self.search)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings in bundle.toml: names or patterns of libraries, and whether a service uses a GPU.

    ``search`` are the absolute directories in LD_LIBRARY_PATH.
    """

    libraries: tuple[tuple[str, Need], ...] = ()
    gpu: bool = False
    search: tuple[str, ...] = ()

    def need(self, name: str, *, tried: str) -> tuple[Need, str]:
        """Whether ``name`` is required, and the reason unless it is simply that a file needs it.

        ``tried`` is why all files that need it are loaded only on request; empty if one of them is not.
        """
        for pattern, need in sorted(self.libraries, key=lambda one: one[0] != name):  # the exact name comes first
            if pattern == name or fnmatchcase(name, pattern):
                return need, "bundle.toml"
        if self.gpu and name == "libcuda.so.1":
            return "required", "a service with gpu = true"
        reason = next((reason for pattern, reason in DRIVERS if fnmatchcase(name, pattern)), tried)
        return ("optional", reason) if reason else ("required", "")

    def demanded(self) -> tuple[str, ...]:
        """The libraries that are required by name."""
        return tuple(name for name, need in self.libraries if need == "required" and not _PATTERN.search(name))

    def unused(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names and patterns that fit none of ``names``."""
        known = tuple(names)
        return tuple(
            one for one, _ in self.libraries if one not in known and not any(fnmatchcase(name, one) for name in known)
        )


@dataclass(frozen=True, kw_only=True)
class _Objects:
    """The ELF objects that the platform's loader accepts, by path, and the names that they provide."""

    elves: Mapping[str, Elf]
    brought: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, tree: Iterable[TreeEntry], platform: str) -> _Objects:
        elves: dict[str, Elf] = {}
        links: list[tuple[str, str]] = []
        brought: defaultdict[str, set[str]] = defaultdict(set)
        for entry in tree:
            name = posixpath.basename(entry.path)
            if entry.mode == LINK_MODE:
                links.append((name, posixpath.basename(entry.digest)))
            elif entry.elf is not None and is_loaded(entry.path, entry.elf, platform):
                elves[entry.path] = entry.elf
                if entry.elf.dynamic:
                    for one in {name, name if _VENDORED.search(name) else entry.elf.soname}:
                        brought[one].add(entry.path)
        _follow(links, brought)
        return cls(elves=elves, brought={name: frozenset(paths) for name, paths in brought.items()})

    def missing(self) -> dict[str, tuple[str, ...]]:
        """The names that nothing provides, each with the files that need it; sorted."""
        users: defaultdict[str, list[str]] = defaultdict(list)
        for path, elf in sorted(self.elves.items()):
            for name in dict.fromkeys(elf.needed):
                if not _GLIBC.fullmatch(name) and posixpath.basename(name) not in self.brought:
                    users[name].append(path)
        return {name: tuple(users[name]) for name in sorted(users)}

    def only_tried(self) -> frozenset[str]:
        """Plug-ins that are loaded only on request, and libraries that only such plug-ins need."""
        tried = self._closure(path for path in self.elves if _why_tried(path))
        return tried - self._closure(self.elves.keys() - tried)

    def _closure(self, start: Iterable[str]) -> frozenset[str]:
        """``start`` and all files that the loader loads with them."""
        found: set[str] = set()
        left = list(start)
        while left:
            path = left.pop()
            if path not in found:
                found.add(path)
                for name in self.elves[path].needed:
                    left += self.brought.get(posixpath.basename(name), ())
        return frozenset(found)


def is_loaded(path: str, elf: Elf, platform: str) -> bool:
    """Whether a process on the server could load the file, into itself or as a program."""
    return (
        elf.is_for(platform)
        and not any(_OTHER_LIBC.fullmatch(name) for name in elf.needed)
        and not any(fnmatchcase(path, pattern) for pattern in NOT_LOADED)
    )


def _follow(links: Sequence[tuple[str, str]], brought: defaultdict[str, set[str]]) -> None:
    """Add the names of links, and of links to links, to ``brought``. Links are (name, name of the target)."""
    left = set(links)
    while found := {(name, target) for name, target in left if target in brought}:
        for name, target in found:
            brought[name] |= brought[target]
        left -= found


def _why_tried(path: str) -> str:
    """Why this file is loaded only on request; empty if it is not such a file."""
    return next((reason for pattern, reason in PLUG_INS if fnmatchcase(path, pattern)), "")


def host_libraries(config: BundleConfig, payload: Payload, prefix: Prefix) -> tuple[HostLibrary, ...]:
    """The libraries that ``payload`` needs from the server, by name."""
    return find_libraries(payload.tree, prefix.lock.platform, _rules(config), lambda: _owners(prefix, payload))


def _rules(config: BundleConfig) -> Rules:
    tables = [service.table for service in config.services]
    values = [dict(config.config), *(table.environment for table in tables)]
    places = [place for value in values for place in value.get("LD_LIBRARY_PATH", "").split(":")]
    return Rules(
        libraries=tuple(config.bundle.libraries.items()),
        gpu=any(table.gpu for table in tables),
        search=tuple(dict.fromkeys(place for place in places if place.startswith("/"))),
    )


def find_libraries(
    tree: Iterable[TreeEntry], platform: str, rules: Rules, owners: Callable[[], Mapping[str, str]]
) -> tuple[HostLibrary, ...]:
    """The libraries that the server must have, by name; ``owners`` returns each file's package, if it is needed.

    A library that bundle.toml requires by name is included even if no file declares that it needs it.
    """
    objects = _Objects.of(tree, platform)
    missing = objects.missing()
    only_tried, packages = objects.only_tried(), owners() if missing else {}
    found = {}
    for name, paths in missing.items():
        reasons = [_why_tried(path) or "only plug-ins need it" for path in paths if path in only_tried]
        need, because = rules.need(name, tried=min(reasons) if len(reasons) == len(paths) else "")
        users = _users(sorted(paths, key=lambda path: (path in only_tried, path)), packages)
        search = {place for path in paths for place in objects.elves[path].search if place.startswith("/")}
        found[name] = _library(name, need, because, users, (*rules.search, *sorted(search)))
    for name in rules.demanded():
        if name not in found and name not in objects.brought and not _GLIBC.fullmatch(name):
            found[name] = _library(name, "required", "bundle.toml", (), rules.search)
    return tuple(found[name] for name in sorted(found))


def _library(name: str, need: Need, because: str, users: tuple[LibraryUser, ...], search: Iterable[str]) -> HostLibrary:
    debian, rpm, conda = PACKAGES.get(name, ("", "", ""))
    return HostLibrary(
        soname=_plain(name),
        need=need,
        because=because,
        needed_by=users,
        search=tuple(dict.fromkeys(_plain(place) for place in search)),
        debian=debian,
        rpm=rpm,
        conda=conda,
    )


def _users(paths: Sequence[str], packages: Mapping[str, str]) -> tuple[LibraryUser, ...]:
    """Each package once, with the first of its files."""
    owners = [packages.get(path, "") for path in paths]
    files, first = Counter(owners), dict(zip(reversed(owners), reversed(paths), strict=True))
    return tuple(LibraryUser(package=one, path=_plain(first[one]), files=files[one]) for one in files)


def _owners(prefix: Prefix, payload: Payload) -> dict[str, str]:
    """The package of each file below ``env/``."""
    lost = {(note.package, note.path) for note in payload.notes if note.kind == "clobber"}
    owners = {
        f"env/{entry['_path']}": record["name"]
        for _, record in prefix.records()
        for entry in record["paths_data"]["paths"]
        if (record["name"], entry["_path"]) not in lost
    }
    return owners | {f"env/{file}": wheel.package.name for wheel in prefix.wheels for file in wheel.files}


def _plain(text: str) -> str:
    """``text`` with unprintable characters escaped: names come from packages and are shown on terminals."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def library_notes(libraries: Sequence[HostLibrary], config: BundleConfig) -> tuple[str, ...]:
    """The notes of ``build`` on ``libraries``: for each package, what it needs and what to do."""
    groups: defaultdict[tuple[str, Need], list[HostLibrary]] = defaultdict(list)
    for one in libraries:
        for user in one.needed_by[:1]:
            groups[user.package or user.path, one.need].append(one)
    told = [_note(who, need, group) for (who, need), group in sorted(groups.items())]
    unused = Rules(libraries=tuple(config.bundle.libraries.items())).unused(one.soname for one in libraries)
    told += [
        f'bundle.libraries: the bundle does not need "{one}" from the server; the entry has no effect' for one in unused
    ]
    return tuple(told)


def _note(who: str, need: Need, group: Sequence[HostLibrary]) -> str:
    names = ", ".join(one.soname for one in group)
    missing = "which neither the bundle nor glibc provides"
    if need == "optional":
        reasons = "; ".join(dict.fromkeys(one.because for one in group))
        return f"{who} has files that need {names}, {missing}: optional ({reasons})"
    places = "".join(f"\n    {one.soname}: {one.needed_by[0].path}" for one in group)
    conda = " ".join(dict.fromkeys(one.conda for one in group if one.conda))
    line = ", ".join(f'"{one.soname}" = "optional"' for one in group)
    return (
        f"{who} needs {names}, {missing}; install.sh refuses servers without them:{places}"
        f"\n  To include them, add conda packages{f': {conda}' if conda else ''}."
        f" If some are not needed: [bundle] libraries = {{ {line} }}"
    )
