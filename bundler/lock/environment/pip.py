"""The ``pip:`` lists of an environment.yml, before they are locked and after.

Only wheels can be installed without running anybody's code, so all that cannot become one is refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundler.errors import LockError, without_credentials
from bundler.fetch.channels import variables_of, written_out
from bundler.fetch.secrets import is_http_url
from bundler.wheels.requirements import BUILD_IT, is_without_secret, read_pip_list

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from bundler.locked import LockedPackage

__all__ = ["check_wheels", "pip_mistakes", "pip_texts", "repository_variables"]


def pip_texts(document: dict[str, Any]) -> tuple[str, ...]:
    """The entries of its ``pip:`` lists, those that are texts."""
    dependencies = document.get("dependencies")
    entries = dependencies if isinstance(dependencies, list) else []
    listed = [entry.get("pip") for entry in entries if isinstance(entry, dict)]
    return tuple(text for texts in listed if isinstance(texts, list) for text in texts if isinstance(text, str))


def pip_mistakes(document: dict[str, Any], path: Path) -> list[str]:
    """A sentence for each entry of the ``pip:`` lists and of ``pip-repositories:`` that cannot be locked."""
    mistakes = read_pip_list(pip_texts(document), path, "main").mistakes
    repositories = document.get("pip-repositories") or []
    if not isinstance(repositories, list) or not all(isinstance(url, str) for url in repositories):
        return [*mistakes, "`pip-repositories:` is not a list of URLs"]
    mistakes += [
        f"`{without_credentials(url)}` of `pip-repositories:` is not an http:// or https:// URL"
        for url in repositories
        if not is_http_url(url)
    ]
    return mistakes


def repository_variables(document: dict[str, Any], path: Path) -> tuple[str, ...]:
    """The environment variables that package indexes name. No credential may stand there itself."""
    where, names = f"{path}: pip-repositories", list[str]()
    for text in document.get("pip-repositories") or []:
        if not is_without_secret(text):
            raise written_out(text, of="the package index", where=where)
        names += variables_of(text, where=where)
    listed = read_pip_list(pip_texts(document), path, "main")
    for text in (*listed.indexes, *listed.find_links):
        names += variables_of(text, where=f"{path}: dependencies: pip")
    return tuple(names)


def check_wheels(packages: Iterable[LockedPackage], where: Path | str, replaced: Collection[str] = ()) -> None:
    """Refuse what is locked and is no wheel, or no hash is known of; ``replaced`` are names that do not count.

    Raises :class:`LockError` with all of them.
    """
    wanted = [package for package in packages if package.manager == "pip" and package.name not in replaced]
    if sources := [package for package in wanted if not package.filename.endswith(".whl")]:
        raise LockError(
            "no wheel available, only source, for:\n" + "\n".join(_listed(sources)),
            where=str(where),
            remedy=f"conda-bundler does not build from source. Use another version or a conda package; or {BUILD_IT}.",
        )
    if unhashed := [package for package in wanted if not package.sha256]:
        raise LockError(
            "no sha256 is known for:\n" + "\n".join(_listed(unhashed)),
            where=str(where),
            remedy="Packages that cannot be verified are not installed: use a package index that provides sha256 "
            "checksums.",
        )


def _listed(packages: Iterable[LockedPackage]) -> Iterator[str]:
    lines = {f"    {package.name} {package.version} for {package.platform}: {package.filename}" for package in packages}
    yield from sorted(lines)
