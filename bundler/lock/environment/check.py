"""What is checked of an environment.yml before conda-lock, which answers a mistake in it with a traceback, sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bundler.errors import ConfigError
from bundler.fetch.channels import has_secret, variables_of, written_out
from bundler.lock.environment.blanks import without_blanks
from bundler.lock.environment.entries import conda_entries, entry_mistakes, long_specs, passed_over, selected_entries
from bundler.lock.environment.keys import key_mistakes, keys_passed_over
from bundler.lock.environment.longform import read_spec
from bundler.lock.environment.notenvironment import checked_encoding, no_mapping, not_yaml
from bundler.lock.environment.pip import pip_mistakes, pip_texts, repository_variables
from bundler.lock.environment.selectors import LeftOut, resolved
from bundler.lock.environment.shown import filtered
from bundler.lock.environment.tabs import without_tabs
from bundler.lock.environment.userurls import user_urls
from bundler.locked import TOOLS
from bundler.plainyaml import load_yaml
from bundler.wheels.requirements import PipList, is_readable, read_pip_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bundler.lock.environment.longform import LongSpec

__all__ = ["Environment", "check_environment"]

_TERMS = (
    "the channel `defaults` belongs to Anaconda, whose terms of service require larger organizations to pay; "
    "conda-forge is free"
)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is to be locked: one checked environment.yml or several.

    ``files`` are they as read, in the order in which conda-lock is to read them; ``overrides`` are the channels that
    replace their own, local ones as ``file://`` URLs; ``variables`` are the environment variables that channel URLs
    name, with their values; ``pip_variables`` the names of those in URLs of package indexes; ``repositories`` are
    these, the first first; ``public_index`` is whether the public one is asked, too; ``has_pip`` is whether there is a
    ``pip:`` list; ``notes`` are what the user should know of it.
    """

    files: tuple[tuple[Path, bytes], ...]
    overrides: tuple[str, ...]
    variables: dict[str, str]
    pip_variables: tuple[str, ...]
    repositories: tuple[str, ...]
    public_index: bool
    has_pip: bool
    notes: tuple[str, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of channels and package indexes that the user gives."""
        return user_urls(self.files, self.overrides)

    @property
    def selected(self) -> tuple[str, ...]:
        """The conda packages that count by a selector in a mapping, which conda-lock passes over."""
        return tuple(text for _, data in self.files for text in selected_entries(load_yaml(data)))

    @property
    def unseen(self) -> tuple[str, ...]:
        """All that conda-lock cannot read of what is asked for of conda, in whatever platform's line."""
        entries = (text for _, data in self.files for text in conda_entries(load_yaml(data)))
        return (*self.selected, *(text for text in entries if read_spec(text).whole is not None))

    @property
    def is_completed(self) -> bool:
        """Whether more has to be written into the lockfile than conda-lock does."""
        return self.has_pip or bool(self.unseen)

    def long_specs(self, platform: str) -> dict[str, LongSpec]:
        """The specs for ``platform`` that say more than conda-lock passes on, by the package's name."""
        return {name: spec for _, data in self.files for name, spec in long_specs(data, platform)}

    def pip_list(self, platform: str | None = None) -> PipList:
        """What all ``pip:`` lists ask for on ``platform``; whatever their selectors say, without one."""
        found = PipList()
        for path, data in self.files:
            document = load_yaml(filtered(data, platform) if platform else data)
            read_pip_list(pip_texts(document), path, _category(document), found)
        return found


@dataclass(frozen=True, kw_only=True)
class _File:
    path: Path
    data: bytes
    document: dict[str, Any]
    left_out: tuple[LeftOut, ...]

    @property
    def category(self) -> str:
        """conda-lock's own key: which category its dependencies belong to."""
        return _category(self.document)

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.document.get("channels") or ())


def _category(document: dict[str, Any]) -> str:
    return str(document.get("category") or "main")


def check_environment(
    paths: Sequence[Path],
    platforms: Sequence[str],
    channels: tuple[str, ...] = (),
    *,
    default: str | None = None,
    texts: Mapping[Path, bytes] | None = None,
) -> Environment:
    """Read and check ``paths``, for ``platforms``; ``channels`` replace those that they name, ``default`` is for
    files that have no ``channels:`` at all. ``texts`` are what is in those that were read already.

    Raises :class:`ConfigError`, with all mistakes at once.
    """
    texts = texts or {}
    files = tuple(_read(path, platforms, texts.get(path)) for path in dict.fromkeys(paths))
    assumed = default if not channels and all(file.document.get("channels") is None for file in files) else None
    channels = (assumed,) if assumed else channels
    mistakes = [(file.path, mistake) for file in files for mistake in _mistakes(file, channels)]
    if not channels:
        mistakes += _no_channels(files)
    if not mistakes:
        mistakes = [(file.path, mistake) for file in files for mistake in _twice(file, platforms)]
    if not mistakes:
        mistakes = [*_contradictions(files), *([] if channels else _misplaced_channels(files))]
    if mistakes:
        raise _all_at_once(mistakes)
    overrides = tuple(_local_as_url(channel) for channel in channels if channel != "nodefaults")
    used = {file.path: overrides or file.channels for file in files}
    return Environment(
        files=tuple((file.path, file.data) for file in sorted(files, key=lambda file: file.category == "main")),
        overrides=overrides,
        variables={name: value for path, named in used.items() for name, value in _variables(named, path).items()},
        pip_variables=tuple(name for file in files for name in repository_variables(file.document, file.path)),
        repositories=max((tuple(file.document.get("pip-repositories") or ()) for file in files), key=len),
        public_index=all(file.document.get("allow-pypi-requests", True) for file in files),
        has_pip=any(isinstance(one, dict) and "pip" in one for file in files for one in file.document["dependencies"]),
        notes=(
            *([f"no file has `channels:`, so packages come from {assumed}"] if assumed else []),
            *(str(one) for file in files for one in file.left_out),
            *(text for file in files for text in passed_over(file.document)),
            *(f"{file.path}: {text}" for file in files for text in keys_passed_over(file.document, platforms)),
            *([_TERMS] if any("defaults" in channels for channels in used.values()) else []),
        ),
    )


def _mistakes(file: _File, channels: tuple[str, ...]) -> list[str]:
    """What is wrong with one file alone; its channels do not matter if ``channels`` replace them."""
    wrong_channels = [] if channels else _channel_mistakes(file.document)
    own = file.document.get("category") == TOOLS
    reserved = [f"`category: {TOOLS}` is reserved for the bundle's own installer tools; rename it"] if own else []
    return [
        *_keys_twice(file.data),
        *_dependency_mistakes(file),
        *pip_mistakes(file.document, file.path),
        *wrong_channels,
        *reserved,
        *key_mistakes(file.document),
    ]


def _no_channels(files: Sequence[_File]) -> list[tuple[Path, str]]:
    """One of the files has to name some."""
    named = [file.document.get("channels") for file in files]
    if any(not _is_texts(channels) or set(channels) - {"nodefaults"} for channels in named if channels):
        return []
    said = "`channels:` is empty" if any(channels is not None for channels in named) else "has no `channels:`"
    return [(files[0].path, f"{said} (add one there, or pass --channel)")]


def _all_at_once(mistakes: list[tuple[Path, str]]) -> ConfigError:
    if len({path for path, _ in mistakes}) == 1:
        return ConfigError("; ".join(mistake for _, mistake in mistakes), where=str(mistakes[0][0]))
    return ConfigError("\n  - ".join([f"{len(mistakes)} problems:", *(f"{path}: {text}" for path, text in mistakes)]))


def _contradictions(files: Sequence[_File]) -> list[tuple[Path, str]]:
    """Packages that two files name differently: conda-lock takes the last and says nothing."""
    named: dict[tuple[str, str], tuple[_File, str]] = {}
    mistakes = []
    for file in files:
        for key, spec in _named(file.document):
            other, first = named.setdefault(key, (file, spec))
            if other is file:
                continue
            if spec != first:
                text = f"requires {key[1]} as `{spec}`, but {other.path.name} as `{first}`; use the same form in both"
                mistakes.append((file.path, text))
            elif file.category != other.category and "main" not in (file.category, other.category):
                text = (
                    f"has {key[1]} in category {file.category}, {other.path.name} in {other.category}; keep it in one "
                    "of them"
                )
                mistakes.append((file.path, text))
    return mistakes


def _twice(file: _File, platforms: Sequence[str]) -> list[str]:
    """Packages that one file names in two ways for one platform, of which conda-lock takes the last and says nothing;
    and platforms for which it names none, which conda-lock answers with a traceback.
    """
    mistakes = dict[str, None]()
    for platform in platforms:
        document = load_yaml(filtered(file.data, platform))
        if not document["dependencies"]:
            mistakes[_all_left_out((platform,))] = None
            continue
        named: dict[tuple[str, str], str] = {}
        for key, spec in _named(document):
            first = named.setdefault(key, spec)
            if key[0] == "conda" and "".join(spec.split()).lower() != "".join(first.split()).lower():
                text = f"requires {key[1]} as `{first}` and as `{spec}`; combine them: `{key[1]} >=1,<2`"
                mistakes[text] = None
    return list(mistakes)


def _all_left_out(platforms: Sequence[str]) -> str:
    return (
        f"`dependencies:` has no package for {', '.join(platforms)}: selectors skip all of them; remove a selector or "
        "the platform"
    )


def _keys_twice(data: bytes) -> list[str]:
    """Keys that a file has twice: whoever reads YAML takes the last of them and says nothing."""
    root = yaml.compose(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    keys = [key for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []
    lines: dict[str, list[int]] = {}
    for key in keys:
        lines.setdefault(str(key.value), []).append(key.start_mark.line + 1)
    return [
        f"has `{name}:` in lines {' and '.join(map(str, found))}; only the last one would apply"
        for name, found in lines.items()
        if len(found) > 1
    ]


def _named(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """What a file asks for: manager and name, and the text that does.

    Of a project ``a_b`` and ``a-b`` are one name; of conda packages these are two.
    """
    for spec in conda_entries(document):
        if name := read_spec(spec).name:
            yield ("conda", name), " ".join(spec.split())
    for spec in pip_texts(document):
        if is_readable(spec) and (found := re.match(r"\s*([\w.-]+)", spec)):  # no option, no URL without a name
            yield ("pip", re.sub(r"[-_.]+", "-", found[1]).lower()), " ".join(spec.split())


def _misplaced_channels(files: Sequence[_File]) -> list[tuple[Path, str]]:
    """conda-lock finds all relative ones from one directory, the first file's."""
    return [
        (file.path, f"its channel {channel} is relative to {files[0].path}; use its URL")
        for file in files[1:]
        for channel in file.channels
        if file.path.absolute().parent != files[0].path.absolute().parent and re.match(r"\.{1,2}(/|$)", channel)
    ]


def _read(path: Path, platforms: Sequence[str], text: bytes | None) -> _File:
    data = b""
    try:
        data = checked_encoding(path.read_bytes() if text is None else text, path.name)
        data, left_out = resolved(without_tabs(data), platforms)
        data = without_blanks(data)
        document = load_yaml(data)
        if not isinstance(document, dict):
            raise no_mapping(data, document)
    except FileNotFoundError as missing:
        raise ConfigError("no such file", where=str(path)) from missing
    except OSError as failed:
        raise ConfigError(f"cannot be read: {failed.strerror}", where=str(path)) from failed
    except ConfigError as wrong:
        raise ConfigError(wrong.message, where=str(path), remedy=wrong.remedy) from wrong
    except (yaml.YAMLError, ValueError) as damaged:
        said = not_yaml(data, damaged)
        raise ConfigError(said.message, where=str(path), remedy=said.remedy) from damaged
    return _File(path=path, data=data, document=document, left_out=left_out)


def _dependency_mistakes(file: _File) -> list[str]:
    document = file.document
    if "dependencies" not in document:
        if {"metadata", "package"} <= set(document):
            return ["is a conda-lock lockfile; set it as [bundle] lockfile in bundle.toml"]
        there = ", ".join(f"`{key}:`" for key in document)
        return [f"has no `dependencies:` (it has {there})" if there else "has no `dependencies:`"]
    dependencies = document["dependencies"]
    if not dependencies and file.left_out:
        return [_all_left_out(tuple(dict.fromkeys(one for left in file.left_out for one in left.platforms)))]
    if not isinstance(dependencies, list):
        return ["`dependencies:` is not a list of packages; write each after `- `"]
    if not dependencies:
        return ["`dependencies:` lists no packages"]
    return list(entry_mistakes(document))


def _channel_mistakes(document: dict[str, Any]) -> list[str]:
    channels = document.get("channels")
    if channels is not None and not _is_texts(channels):
        return ["`channels:` is not a list of names or URLs"]
    return []


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value)


def _local_as_url(channel: str) -> str:
    """A channel that is a path is meant from where the user stands; conda-lock runs elsewhere."""
    if re.match(r"\.{1,2}(/|$)|[/~]", channel):
        return Path(channel).expanduser().resolve().as_uri()
    return channel


def _variables(channels: tuple[str, ...], path: Path) -> dict[str, str]:
    """The variables that the channels on the network name; nothing secret may stand in a URL itself."""
    variables: dict[str, str] = {}
    for channel in channels:
        if not re.match(r"https?://", channel, re.IGNORECASE):
            continue
        if has_secret(channel):
            raise written_out(channel, of="a channel", where=str(path))
        variables |= variables_of(channel, where=str(path))
    return variables
