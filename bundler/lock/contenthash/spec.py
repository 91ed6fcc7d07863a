"""What conda-lock reads in environment.yml files, read without conda-lock: importing it takes most of a second.

This has to agree with conda-lock exactly, so it covers only part of the syntax: anything else raises
:class:`UnknownError`, and the caller has to ask conda-lock. The tests compare the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urlparse, urlunparse

import yaml

from bundler.lock.environment.selectors import CONDA_LOCKS, SELECTOR
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from urllib.parse import ParseResult

__all__ = ["LockSpec", "UnknownError", "read_lock_spec"]

_SPEC = re.compile(r"(?:([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*)::)?([A-Za-z0-9_][A-Za-z0-9_.-]*)([ =<>!~].*)?")
_RELATION = re.compile(r"(?:==|!=|<=|>=|~=|=|<|>)(?=[^=<>!~])")
_VERSION = re.compile(r"(?:[0-9]+!)?[0-9][0-9a-z]*(?:[._][0-9a-z]+)*(?:\+[0-9a-z]+(?:[._][0-9a-z]+)*)?(?:\.\*|\*)?")
_VALUE = r"""(?:"[^"'\s]+"|'[^"'\s]+'|[\w.*]+)"""
_KEYS = re.compile(rf"([A-Za-z0-9_][A-Za-z0-9_.-]*)\[((?:(?:version|build)={_VALUE}(?:, ?|(?=\])))+)\]")
_PAIR = re.compile(rf"(version|build)=({_VALUE})")
_BUILD = re.compile(r"[A-Za-z0-9_.*]+")
_PLATFORM_MARKERS = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
_NOT_PARSED_AS_YAML = ("pyproject.toml", "meta.yaml")


class UnknownError(Exception):
    """conda-lock has to be asked: what follows is written in a way that is not known here."""


@dataclass(frozen=True, kw_only=True)
class LockSpec:
    """The fields of `conda-lock render-lock-spec` that are in the content hash.

    ``exact`` is False if conda's own configuration, which is not looked at, may change how conda-lock reads it.
    """

    channels: tuple[dict[str, Any], ...]
    pip_repositories: tuple[dict[str, Any], ...]
    dependencies: dict[str, list[dict[str, Any]]]
    exact: bool

    def document(self) -> dict[str, Any]:
        """As `render-lock-spec` prints it."""
        return {
            "channels": list(self.channels),
            "pip_repositories": list(self.pip_repositories),
            "dependencies": self.dependencies,
        }


def read_lock_spec(files: Sequence[tuple[Path, bytes]], overrides: Sequence[str], platforms: Iterable[str]) -> LockSpec:
    """What conda-lock reads in ``files``, in their order; ``overrides`` replace their channels.

    Raises :class:`UnknownError`.
    """
    if any(path.name in _NOT_PARSED_AS_YAML for path, _ in files):
        raise UnknownError("another kind of file")
    documents = [_mapping(data) for _, data in files]
    channels = _unified([_channels(document) for document in documents])
    if overrides:
        channels = [_channel(text) for text in overrides]
    found = {platform: _merged(files, platform) for platform in platforms}
    return LockSpec(
        channels=tuple(channels),
        pip_repositories=tuple(_unified([_repositories(document) for document in documents])),
        dependencies=found,
        exact=not any(one.get("conda_channel") for specs in found.values() for one in specs),
    )


def _mapping(data: bytes) -> dict[str, Any]:
    try:
        document = load_yaml(data.decode("utf-8").encode())
    except (yaml.YAMLError, ValueError) as damaged:
        raise UnknownError("not YAML") from damaged
    if not isinstance(document, dict) or not isinstance(document.get("dependencies"), list):
        raise UnknownError("no mapping with `dependencies:`")
    return document


def _texts(value: Any, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise UnknownError(f"`{key}:` is no list of texts")
    return list(value)


def _channels(document: dict[str, Any]) -> list[dict[str, Any]]:
    named = _texts(document.get("channels", []), "channels")
    if "nodefaults" in named:
        named.remove("nodefaults")  # the first: conda-lock refuses another
    if "nodefaults" in named:
        raise UnknownError("`nodefaults` twice")
    return [_channel(text) for text in named]


def _repositories(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"url": url} for url in _texts(document.get("pip-repositories", []), "pip-repositories")]


def _unified(lists: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The longest list, which has to end with each of the others."""
    longest = max(lists, key=len)
    if any(one and longest[-len(one) :] != one for one in lists):
        raise UnknownError("lists that contradict each other")
    return longest


def _channel(text: str) -> dict[str, Any]:
    """A channel as conda-lock writes it: credentials only by the variables that they are in."""
    if "://" not in text:
        return {"url": text, "used_env_vars": []}
    try:
        url = urlparse(text)
        port = url.port
    except ValueError as invalid:
        raise UnknownError("a channel that is no URL") from invalid
    names = [_variable(value) for value in (url.username, url.password) if value]
    if url.username:
        if not url.hostname:
            raise UnknownError("a channel without a host")
        host = f"{url.hostname}:{port}" if port else url.hostname
        url = url._replace(netloc=":".join(f"${{{name}}}" for name in names) + f"@{host}")
    url = _with_token(url, names)
    return {"url": urlunparse(url), "used_env_vars": sorted(set(names))}


def _with_token(url: ParseResult, names: list[str]) -> ParseResult:
    token = re.search(r"(.*)/t/(\$?\{?[a-zA-Z0-9-_]*\}?)(/.*)", url.path)
    if token is None or not token[2]:
        return url
    names.append(_variable(token[2]))
    before, after = url.path[: token.start()], url.path[token.end() :]
    return url._replace(path=f"{before}{token[1]}/t/${{{names[-1]}}}{token[3]}{after}")


def _variable(value: str) -> str:
    """The environment variable that a credential is in. One in plain text conda-lock looks for in all of them."""
    if not value.startswith("$"):
        raise UnknownError("a credential in a URL")
    return value.lstrip("$").strip("{}")


def _merged(files: Sequence[tuple[Path, bytes]], platform: str) -> list[dict[str, Any]]:
    """The specs of all files; of those that name the same package the last."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for _, data in files:
        for spec in _specs(_mapping(_selected(data, platform))):
            found[spec["manager"], spec["name"]] = spec
    return list(found.values())


def _selected(data: bytes, platform: str) -> bytes:
    """Without comments, and the lines that are for other platforms by their selectors."""
    lines = []
    for line in data.decode("utf-8").splitlines():
        if line.lstrip().startswith("#"):
            continue
        if selector := SELECTOR.fullmatch(line):
            if platform not in CONDA_LOCKS:
                raise UnknownError(f"a selector, which {platform} has none of")
            if selector[1] not in (CONDA_LOCKS[platform], "unix", "linux"):
                continue
        lines.append(line)
    return "\n".join(lines).encode()


def _specs(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    category = document.get("category") or "main"
    if not isinstance(category, str):
        raise UnknownError("a category that is no text")
    entries = document["dependencies"]
    for entry in entries:
        if isinstance(entry, str):
            yield _conda_spec(entry, category)
    for entry in entries:
        if isinstance(entry, str):
            continue
        if not isinstance(entry, dict):
            raise UnknownError("an entry that is neither a text nor a mapping")
        if entry.get("pip") is None:
            continue
        for text in entry["pip"]:
            yield from _pip_spec(text, category)
        yield _spec("pip", "conda", "main", version="*")


def _spec(name: str, manager: str, category: str, **fields: Any) -> dict[str, Any]:
    common: dict[str, Any] = {"name": name, "manager": manager, "category": category, "extras": [], "markers": None}
    versioned = {"version": "", "build": None, "conda_channel": None, "hash": None}
    return common | ({} if "url" in fields else versioned) | fields


def _conda_spec(text: str, category: str) -> dict[str, Any]:
    """A match spec in the two forms that people write, or with its version and build in brackets."""
    if keys := _KEYS.fullmatch(text):
        return _bracketed_spec(text, keys[1], dict(_pairs(keys[2])), category)
    parsed = _SPEC.fullmatch(text)
    if parsed is None or " if " in text or text.endswith((".conda", ".tar.bz2")):
        raise UnknownError(f"`{text}`")
    version, build = _version_and_build((parsed[3] or "").strip(), text)
    return _spec(parsed[2].lower(), "conda", category, version=version, build=build, conda_channel=parsed[1] or None)


def _pairs(keys: str) -> Iterator[tuple[str, str]]:
    for pair in _PAIR.finditer(keys):
        yield pair[1], pair[2].strip("\"'")


def _bracketed_spec(text: str, name: str, keys: dict[str, str], category: str) -> dict[str, Any]:
    """There the version stays as it is written."""
    version, build = keys.get("version", ""), keys.get("build")
    for part in version.split(",") if version else ():
        if _one_version(part, text) != part:
            raise UnknownError(f"`{text}`")
    if build is not None and not _BUILD.fullmatch(build):
        raise UnknownError(f"`{text}`")
    return _spec(name.lower(), "conda", category, version=version, build=build)


def _version_and_build(rest: str, text: str) -> tuple[str, str | None]:
    """`=1.2`, `1.2 py_0`, `=1.2=py_0`, `>=1,<2`: the version as conda writes it, and the build."""
    if not rest:
        return "", None
    version, build = rest, None
    for place in range(1, len(rest)):
        after = rest[place + 1 :]
        if rest[place] in " =" and rest[place - 1] not in "=!|,<>~" and after and not set(after) & set("-=,|<>~"):
            version, build = rest[:place], after.strip()
            break
    if build is not None and not _BUILD.fullmatch(build):
        raise UnknownError(f"`{text}`")
    return _version(version.replace(" ", ""), text, alone=build is None), build


def _version(version: str, text: str, *, alone: bool) -> str:
    """Without the sign that says no more than the version itself, and with the star that `=1.2` means."""
    if version.startswith("==") and alone:
        version = version[2:]
    elif version.startswith("=") and not set(version[1:]) & set("=,|"):
        version = version[1:] if not alone or version.endswith("*") else f"{version[1:]}*"
    if "," in version and "|" in version:
        raise UnknownError(f"`{text}`")
    joint = "|" if "|" in version else ","
    return joint.join(_one_version(part, text) for part in version.split(joint))


def _one_version(part: str, text: str) -> str:
    relation = _RELATION.match(part)
    plain = part[relation.end() :] if relation else part
    if not (_VERSION.fullmatch(plain) or (part == "*" and not relation)):
        raise UnknownError(f"`{text}`")
    if relation or part == "*" or not part.endswith("*") or part.endswith(".*"):
        return part
    return f"{part[:-1]}.*"


def _pip_spec(text: Any, category: str) -> Iterator[dict[str, Any]]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if not isinstance(text, str):
        raise UnknownError("an entry of `pip:` that is no text")
    if re.match(r"-e .*$", text):
        return
    bare, _, markers = (part.strip() for part in text.rpartition(";")) if ";" in text else (text, "", None)
    bare, *hashes = bare.split(" --hash=")
    if len(hashes) > 1 or bare.startswith(("git+", "https://", "ssh://")):
        raise UnknownError(f"`{text}`")
    try:
        parsed = Requirement(bare)
    except InvalidRequirement as invalid:
        raise UnknownError(f"`{text}`") from invalid
    if markers is not None and not _is_for_linux(markers):
        return
    name, extras = canonicalize_name(parsed.name), sorted(parsed.extras)
    if parsed.url:
        if not parsed.url.startswith("https://"):
            raise UnknownError(f"`{text}`")
        url, fragment = urldefrag(parsed.url)
        fields: dict[str, Any] = {"url": url, "hashes": [fragment.replace("=", ":")]}
    else:
        version = ",".join(sorted(str(parsed.specifier).replace("===", "==").split(",")))
        fields = {"version": version or "*", "hash": hashes[0] if hashes else None}
    yield _spec(name, "pip", category, extras=extras, markers=markers, **fields)


def _is_for_linux(markers: str) -> bool:
    """Whether they may hold there. Of what depends on the Python, which conda-lock does not know yet, all may."""
    from packaging.markers import InvalidMarker, Marker

    try:
        parsed = Marker(markers)._markers  # noqa: SLF001 -- there is no public way to its parts
    except InvalidMarker as invalid:
        raise UnknownError(f"the marker `{markers}`") from invalid
    told: set[str] = set()
    return _holds(parsed, told, markers)


def _holds(marker: Any, told: set[str], text: str) -> bool:
    if isinstance(marker, list):
        alternatives = [[]]  # type: list[list[bool]]
        for one in marker:
            if one == "or":
                alternatives.append([])
            elif one != "and":
                alternatives[-1].append(_holds(one, told, text))
        return any(all(one) for one in alternatives)
    left, operator, right = marker
    name, value = str(left.value), str(right.value)
    if type(left).__name__ != "Variable" or type(right).__name__ != "Value":
        raise UnknownError(f"the marker `{text}`")
    if name in _PLATFORM_MARKERS:
        if operator.value not in ("==", "!="):
            raise UnknownError(f"the marker `{text}`")
        return (_PLATFORM_MARKERS[name] == value) is (operator.value == "==")
    kind = "python" if name.startswith("python_") else name
    if kind in told or name == "extra":  # conda-lock's parser finds out whether two exclude each other
        raise UnknownError(f"the marker `{text}`")
    told.add(kind)
    return True
