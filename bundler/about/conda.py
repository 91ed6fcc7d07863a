"""A conda package's ``info/`` -> :class:`Facts`.

``index.json`` and ``about.json`` say its license, ``info/licenses`` has the texts, the recipe says what it was built
of, and the paths of its files which Python projects lie in it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml
from packaging.utils import canonicalize_name

from bundler.about.facts import LARGEST, Facts, Inner, Source, Text, decoded
from bundler.fetch.condafile import read_matching
from bundler.package.info import INDEX, PATHS, BadInfo, read_entries
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["conda_facts", "projects_in"]

_ABOUT = "info/about.json"
_FILES = "info/files"
_RECIPES = ("info/recipe/rendered_recipe.yaml", "info/recipe/meta.yaml")
_TEXTS = "info/licenses/"
_LARGEST_LIST = 128 << 20
_METADATA = re.compile(
    r"(?:.*/)?site-packages/(?:.*/)?(?P<name>[^/]+)\.(?P<kind>dist-info|egg-info)(?:/(?:METADATA|PKG-INFO))?"
)
_EGG = re.compile(r"-py\d+(\.\d+)?(-[\w.-]+)?$")


def conda_facts(path: Path) -> Facts:
    """Raises :class:`~bundler.fetch.condafile.NotAPackage`."""
    info = read_matching(path, _largest)
    index, about = _json(info.get(INDEX)), _json(info.get(_ABOUT))
    return Facts(
        license=_text(index.get("license") or about.get("license")),
        texts=tuple(
            Text(name.removeprefix(_TEXTS), decoded(content))
            for name, content in sorted(info.items())
            if name.startswith(_TEXTS)
        ),
        homepage=_url(about.get("home")) or _url(about.get("dev_url")),
        summary=_text(about.get("summary")),
        timestamp=_seconds(index.get("timestamp")),
        depends=tuple(sorted(_text(one) for one in _list(index.get("depends")))),
        sources=tuple(_sources(info)),
        inner=tuple(projects_in(_paths(info), _text(index.get("version")))),
    )


def projects_in(paths: Iterable[str], version: str) -> Iterator[Inner]:
    """The Python projects that have their metadata among ``paths``; ``version`` is that of one which does not say."""
    seen: dict[tuple[str, str], Inner] = {}
    for path in sorted(paths):
        found = _METADATA.fullmatch(path)
        if found is None:
            continue
        name, kind = found["name"], found["kind"]
        if kind == "egg-info":
            name = _EGG.sub("", name)
        project, _, own = name.partition("-")
        directory = path.removesuffix("/METADATA").removesuffix("/PKG-INFO")
        inner = Inner(canonicalize_name(project), own.replace("_", "-") or version, directory)
        if project:
            seen.setdefault((inner.name, inner.version), inner)
    yield from seen.values()


def _largest(name: str) -> int:
    if name in (PATHS, _FILES):
        return _LARGEST_LIST
    return LARGEST if name in (_ABOUT, INDEX, *_RECIPES) or name.startswith(_TEXTS) else 0


def _paths(info: Mapping[str, bytes]) -> list[str]:
    try:
        return [entry.path for entry in read_entries(info)]
    except BadInfo:
        return []


def _sources(info: Mapping[str, bytes]) -> Iterator[Source]:
    """What the recipe, as it was rendered, names as its sources; one that cannot be read names none."""
    for name in _RECIPES:
        try:
            document = load_yaml(info[name]) if info.get(name) else None
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        recipe = document.get("recipe", document) if isinstance(document, dict) else {}
        listed = recipe.get("source") if isinstance(recipe, dict) else None
        for one in _list(listed if isinstance(listed, list) else [listed]):
            urls = one.get("url") if isinstance(one, dict) else None
            url = urls[0] if isinstance(urls, list) and urls else urls
            if _url(url):
                yield Source(_url(url), _text(one.get("sha256")))
        if listed:
            return


def _json(content: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _url(value: Any) -> str:
    """An address that can be shown: old packages have a list of them."""
    value = value[0] if isinstance(value, list) and value else value
    text = _text(value)
    return text if re.fullmatch(r"https?://[!#-;=?-Z_a-z~\[\]]+", text) and "@" not in text else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(value: Any) -> int:
    """Most are in milliseconds, old ones in seconds."""
    if not isinstance(value, int | float) or not 0 < value < 1 << 48:
        return 0
    return int(value / 1000 if value > 1 << 33 else value)
