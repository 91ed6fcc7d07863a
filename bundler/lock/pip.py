"""The ``pip:`` list of an environment.yml, before conda-lock locks it and after.

Only wheels can be installed without running anybody's code, so all that cannot become one is refused here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bundler.errors import LockError, without_credentials
from bundler.fetch.channels import VARIABLE, variables_of, written_out

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from bundler.lock.lockfile import LockedPackage

__all__ = ["BUILD_IT", "check_wheels", "pip_mistakes", "repository_variables"]

BUILD_IT = "build a wheel of it and name that in bundle.toml ([bundle] inject)"


def pip_mistakes(document: dict[str, Any]) -> list[str]:
    """A sentence for each entry of the ``pip:`` lists and of ``pip-repositories:`` that cannot be locked."""
    mistakes = []
    dependencies = document.get("dependencies")
    for entry in dependencies if isinstance(dependencies, list) else ():
        listed = entry.get("pip") if isinstance(entry, dict) else None
        for text in listed if isinstance(listed, list) else ():
            if isinstance(text, str) and (reason := _reason(text.strip())):
                mistakes.append(f"`{without_credentials(text)}` of `pip:` {reason}")
    repositories = document.get("pip-repositories") or []
    if not isinstance(repositories, list) or not all(isinstance(url, str) for url in repositories):
        return [*mistakes, "`pip-repositories:` is not a list of URLs"]
    mistakes += [
        f"`{without_credentials(url)}` of `pip-repositories:` is no http:// or https:// URL; conda-lock asks no other"
        for url in repositories
        if not re.match(r"https?://[^/]", url)
    ]
    return mistakes


def _reason(text: str) -> str:
    """What is wrong with one entry; empty if it can be locked."""
    from packaging.requirements import InvalidRequirement, Requirement

    if re.match(r"(-e|--editable)\b", text):
        return f"is an editable project, which cannot be shipped: {BUILD_IT}"
    if text.startswith("-"):
        return "is an option of pip's; name the packages themselves, and other indexes under `pip-repositories:`"
    if re.match(r"[./~]|file:", text) or (text.endswith(".whl") and "://" not in text):
        return f"is a file of this machine: {BUILD_IT}"
    bare = re.match(r"(\w+\+)?(https?|ssh|git)://", text)
    try:
        url = text if bare else Requirement(text.partition(" --hash=")[0]).url
    except InvalidRequirement as invalid:
        return f"is no requirement: {str(invalid).splitlines()[0]}"
    return _url_reason(url) if url else ""


def _url_reason(text: str) -> str:
    text = text.partition(" ;")[0]
    url = urlsplit(text)
    if re.match(r"[./]|file:", text):
        return f"is a file of this machine: {BUILD_IT}"
    if url.scheme != "https" or not url.path.endswith(".whl"):
        return f"is the URL of no wheel (https://….whl): {BUILD_IT}"
    if url.username is not None:
        return "has credentials in its URL, which would be in the lockfile: take it from an index (`pip-repositories:`)"
    if not re.search(r"\bsha256=[0-9a-f]{64}\b", url.fragment):
        return "has no hash: write #sha256=… behind the URL"
    return ""


def repository_variables(document: dict[str, Any], path: Path) -> tuple[str, ...]:
    """The environment variables that ``pip-repositories:`` name. No credential may stand there itself."""
    where, names = f"{path}: pip-repositories", list[str]()
    for text in document.get("pip-repositories") or []:
        url = urlsplit(text)
        secret = url.username if url.password is None else url.password  # a user alone is a token
        if secret and not VARIABLE.fullmatch(secret):
            raise written_out(text, of="the package index", where=where)
        names += variables_of(text, where=where)
    return tuple(names)


def check_wheels(packages: Iterable[LockedPackage], where: Path | str, replaced: Collection[str] = ()) -> None:
    """Refuse what is locked and is no wheel, or no hash is known of; ``replaced`` are names that do not count.

    Raises :class:`LockError` with all of them.
    """
    wanted = [package for package in packages if package.manager == "pip" and package.name not in replaced]
    if sources := [package for package in wanted if not package.filename.endswith(".whl")]:
        raise LockError(
            "there is no wheel, only source, of:\n" + "\n".join(_listed(sources)),
            where=str(where),
            remedy="Nobody's code is run to build one here. Take another version of it, or a conda package, if one has "
            f"what is needed; or {BUILD_IT}.",
        )
    if unhashed := [package for package in wanted if not package.sha256]:
        raise LockError(
            "no sha256 is known of:\n" + "\n".join(_listed(unhashed)),
            where=str(where),
            remedy="What cannot be verified is not installed: take it from a package index that gives sha256 sums.",
        )


def _listed(packages: Iterable[LockedPackage]) -> Iterator[str]:
    lines = {f"    {package.name} {package.version} for {package.platform}: {package.filename}" for package in packages}
    yield from sorted(lines)
