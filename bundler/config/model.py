"""bundle.toml as it stands: every key is declared here or in one of the tables' own modules, once.

A declaration gives a key its type and default; its docstring is what the JSON schema (:mod:`bundler.config.schema`) and
the reference (:mod:`bundler.config.reference`) say of it. Every key is part of the build id
(:mod:`bundler.bundle.identity`) unless it is annotated with :class:`~bundler.config.fields.NotInBuildId`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from bundler.config import patterns
from bundler.config.fields import Inside, Line, Model, Name, NotInBuildId, Setting, Variable
from bundler.config.files import FilesTable
from bundler.config.hooks import HooksTable
from bundler.config.licenses import LicensesTable
from bundler.config.platforms import Platform, PlatformTable
from bundler.config.services import ServiceTable
from bundler.config.tables import ChannelsTable, LockTable, ReleaseTable, SecretForm
from bundler.config.uids import Uid

__all__ = ["BundleFile", "BundleTable"]

_Version = Annotated[str, StringConstraints(pattern=patterns.VERSION)]
_PackageName = Annotated[str, StringConstraints(pattern=r"^((conda|pip):)?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$")]
_Library = Annotated[str, StringConstraints(pattern=r"^[!-~]+$")]


def _in_order(value: Any) -> Any:
    return tuple(sorted(set(value))) if isinstance(value, tuple) else value


def _by_name(value: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(value.items()))


_Names = Annotated[tuple[Line, ...], AfterValidator(_in_order)]
"""Names whose order has no meaning."""
_BY_NAME = AfterValidator(_by_name)
"""For tables in which the order of the entries has no meaning."""


class BundleTable(Model):
    """What the bundle is, and what is left out of it or added to it."""

    name: Name
    """The bundle's name. Its root is ``/opt/<name>``, and its user and state directory are called so; names that
    servers have already (``postgres``, ``systemd``) are refused."""
    uid: Uid | None = None
    """The number of the bundle's user, and of its group, on every server, for files on NFS say: from 100 to 59999 or
    65536 to 524287. The next that is free unless said. install.sh refuses a number that somebody else or containers
    have (``/etc/subuid``), and an upgrade to another one than the user has."""
    version: _Version | None = None
    """The version, part of the release's name. Required here or as ``--bundle-version``."""
    description: Line = ""
    """A line of text for people, which the units show as well. The name unless said."""
    author: Line = ""
    """Who makes the bundle, such as a company: the author of its SBOM."""
    platforms: Annotated[
        tuple[Platform, ...] | None, NotInBuildId("each platform's bundle is built by itself, with its own build id")
    ] = Field(default=None, min_length=1)
    """The platforms to build for: those that have a ``[platforms.<name>]`` table, or linux-64, unless said."""
    environment: Annotated[
        str | Annotated[tuple[str, ...], Field(min_length=1)] | None,
        NotInBuildId("a location; the packages that are locked for it count"),
    ] = None
    """The environment file, or several that together make one environment; ``environment.yml`` unless said."""
    categories: tuple[Line, ...] = ("main",)
    """Which of conda-lock's categories go into the bundle; ``main`` always does."""
    lockfile: Annotated[
        str | Annotated[tuple[str, ...], Field(min_length=1)], NotInBuildId("a location; the locked packages count")
    ] = "conda-lock.yml"
    """A conda-lock.yml, pixi.lock or @EXPLICIT file; in a list @EXPLICIT files of several platforms, and a pylock.toml
    or uv.lock for the wheels."""
    lockfile_environment: Annotated[Line | None, NotInBuildId("a location; the locked packages count")] = None
    """The environment of a pixi.lock; ``default`` unless said."""
    exclude: tuple[Line, ...] = ()
    """Patterns (fnmatch) of files of the environment to leave out, such as ``*.a`` or ``*/tests/*``."""
    include: tuple[Line, ...] = ()
    """Patterns of files that ``exclude`` would leave out and that are kept."""
    inject: Annotated[tuple[Line, ...], NotInBuildId("locations; the injected packages count by their digests")] = ()
    """Wheels and conda packages that come from no channel and no index: paths or patterns (glob), such as
    ``dist/*.whl``."""
    owners: dict[Inside, _PackageName] = Field(default_factory=dict)
    """Whose file is used where packages have different ones: a path below the prefix, or a pattern (fnmatch) of such,
    and a package's name; ``conda:`` or ``pip:`` before it tells a conda package from a wheel of that name. An exact
    path goes before patterns, and of these the first that matches."""
    link_scripts: Literal["all"] | _Names = ()
    """Packages whose pre-link and post-link scripts are run at build, in a cage without network; or "all" of them."""
    bytecode: Literal["build", "install", "none"] = "build"
    """Where modules without bytecode are compiled: ``build`` (for the platform of another machine ``install``),
    ``install`` (on the server) or ``none``."""
    libraries: dict[_Library, Literal["required", "optional"]] = Field(default_factory=dict)
    """Libraries that the server has, or may have: names or patterns (fnmatch)."""


class BundleFile(Model):
    """All of bundle.toml."""

    bundle: BundleTable
    """What the bundle is, and what is in it."""
    platforms: Annotated[
        dict[Platform, PlatformTable], NotInBuildId("of the tables that of the platform that is built for counts")
    ] = Field(default_factory=dict)
    """What may be assumed of the servers of each platform."""
    files: Annotated[
        FilesTable, NotInBuildId("locations; the files that are shipped count by path, mode and content")
    ] = Field(default_factory=dict)
    """Your own files: where each goes below ``app/``, and where it is beside bundle.toml; or a table that says more."""
    config: dict[Variable, Setting] = Field(default_factory=dict)
    """Default variables of all services, which the operator can override in ``/etc/<name>/<name>.env``."""
    secrets: Annotated[dict[Variable, SecretForm | Literal[False]], _BY_NAME] = Field(default_factory=dict)
    """Secrets, which are made on the server and are never in the bundle. RELEASE_COOKIE is one unless it is
    ``false``."""
    release: ReleaseTable = ReleaseTable()
    """How the Erlang nodes of ``beam`` services find each other."""
    channels: Annotated[ChannelsTable, NotInBuildId("how packages are found; those that are locked count")] = (
        ChannelsTable()
    )
    """How channels are reached."""
    lock: Annotated[LockTable, NotInBuildId("how packages are found; those that are locked count")] = LockTable()
    """Which packages may be locked."""
    licenses: Annotated[LicensesTable, NotInBuildId("what may be built; the packages count")] = LicensesTable()
    """What the bundle may hold, by its license: SPDX identifiers, such as ``GPL-3.0-only``. `build` exits with 7 and
    lists the packages that are refused. A package under ``A OR B`` is fine if one of them is; ``GPL-2.0-or-later`` is
    the choice between that version and each later one; a license ``WITH`` an exception is one of its own, which
    ``deny`` of the license alone does not mean."""
    hooks: HooksTable = HooksTable()
    """Programs that run when a release takes over or is left."""
    services: Annotated[dict[Name, ServiceTable], _BY_NAME] = Field(default_factory=dict)
    """The services and jobs, by the names of their units. There has to be at least one."""
