"""The model of bundle.toml: every key is declared once, here or in its table's module.

A declaration has the key's type, default and docstring, from which the JSON schema (:mod:`bundler.config.schema`) and
the reference (:mod:`bundler.config.reference`) are generated. Every key is part of the build id
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
"""Names whose order does not matter."""
_BY_NAME = AfterValidator(_by_name)
"""For tables in which the order of the entries does not matter."""


class BundleTable(Model):
    """The bundle itself, and what is excluded from it or added to it."""

    name: Name
    """The bundle's name, which is also that of its user and of its directories, such as ``/opt/<name>``. Names that
    already exist on servers (``postgres``, ``systemd``) are refused."""
    uid: Uid | None = None
    """The uid and gid of the bundle's user on every server, for example for files on NFS: 100 to 59999 or 65536 to
    524287; default: the next free ones. install.sh refuses numbers that are in use or reserved for containers
    (``/etc/subuid``), and an upgrade that would change the uid."""
    version: _Version | None = None
    """The version, part of the release's name. Required here or as ``--bundle-version``."""
    description: Line = ""
    """A one-line description, also shown by the units; default: the name."""
    author: Line = ""
    """Who makes the bundle, such as a company; the author in its SBOM."""
    platforms: Annotated[
        tuple[Platform, ...] | None, NotInBuildId("each platform's bundle is built separately, with its own build id")
    ] = Field(default=None, min_length=1)
    """The platforms to build for; default: those with a ``[platforms.<name>]`` table, or else linux-64."""
    environment: Annotated[
        str | Annotated[tuple[str, ...], Field(min_length=1)] | None,
        NotInBuildId("a location; the locked packages count"),
    ] = None
    """The environment file, or several that are merged into one environment; default: ``environment.yml``."""
    categories: tuple[Line, ...] = ("main",)
    """The categories of conda-lock to include in the bundle; ``main`` is always included."""
    lockfile: Annotated[
        str | Annotated[tuple[str, ...], Field(min_length=1)], NotInBuildId("a location; the locked packages count")
    ] = "conda-lock.yml"
    """A conda-lock.yml, pixi.lock or @EXPLICIT file; or a list, for @EXPLICIT files of several platforms, or with a
    pylock.toml or uv.lock for the wheels."""
    lockfile_environment: Annotated[Line | None, NotInBuildId("a location; the locked packages count")] = None
    """The environment in a pixi.lock; default: ``default``."""
    exclude: tuple[Line, ...] = ()
    """Patterns (fnmatch) of files in the environment to exclude, such as ``*.a`` or ``*/tests/*``."""
    include: tuple[Line, ...] = ()
    """Patterns of files to include although they match ``exclude``."""
    inject: Annotated[tuple[Line, ...], NotInBuildId("locations; the injected packages count by their digests")] = ()
    """Local wheels and conda packages to add: paths or patterns (glob), such as ``dist/*.whl``."""
    owners: dict[Inside, _PackageName] = Field(default_factory=dict)
    """The package whose file is used if several contain different files with the same path: a path below the prefix, or
    a pattern (fnmatch), and the package's name; the prefix ``conda:`` or ``pip:`` distinguishes a conda package from a
    wheel of the same name. An exact path takes precedence over patterns; of these, the first match is used."""
    link_scripts: Literal["all"] | _Names = ()
    """Packages whose pre-link and post-link scripts are run by `build`, in a sandbox without a network; or "all"."""
    bytecode: Literal["build", "install", "none"] = "build"
    """Where Python modules without bytecode are compiled: ``build``, ``install`` (on the server) or ``none``. For a
    platform other than the build machine's, ``build`` means ``install``."""
    libraries: dict[_Library, Literal["required", "optional"]] = Field(default_factory=dict)
    """Libraries that the server must have (``required``), or may lack (``optional``): names or patterns (fnmatch)."""


class BundleFile(Model):
    """The whole of bundle.toml."""

    bundle: BundleTable
    """The bundle's name, version and content."""
    platforms: Annotated[
        dict[Platform, PlatformTable], NotInBuildId("the table of the bundle's own platform counts")
    ] = Field(default_factory=dict)
    """What all servers of each platform have."""
    files: Annotated[FilesTable, NotInBuildId("locations; the included files count by path, mode and content")] = Field(
        default_factory=dict
    )
    """Your own files: the path below ``app/``, and the source relative to bundle.toml, or a table with more settings.
    """
    config: dict[Variable, Setting] = Field(default_factory=dict)
    """Default environment variables of all services; operators can override them in ``/etc/<name>/<name>.env``."""
    secrets: Annotated[dict[Variable, SecretForm | Literal[False]], _BY_NAME] = Field(default_factory=dict)
    """Secrets, which are generated on the server and never in the bundle. RELEASE_COOKIE is one unless it is set to
    ``false``."""
    release: ReleaseTable = ReleaseTable()
    """How the Erlang nodes of ``beam`` services find each other."""
    channels: Annotated[ChannelsTable, NotInBuildId("how packages are found; the locked packages count")] = (
        ChannelsTable()
    )
    """How channels are reached."""
    lock: Annotated[LockTable, NotInBuildId("how packages are found; the locked packages count")] = LockTable()
    """Restrictions on the packages that may be locked."""
    licenses: Annotated[LicensesTable, NotInBuildId("a restriction; the packages count")] = LicensesTable()
    """Which licenses the bundle's packages may have, as SPDX identifiers such as ``GPL-3.0-only``. `build` exits with 7
    and lists the packages that are refused. A package under ``A OR B`` is accepted if one of them is;
    ``GPL-2.0-or-later`` is a choice between that version and each later one; a license ``WITH`` an exception is a
    separate license, which a ``deny`` of the license alone does not include."""
    hooks: HooksTable = HooksTable()
    """Programs that run when a release is activated or left."""
    services: Annotated[dict[Name, ServiceTable], _BY_NAME] = Field(default_factory=dict)
    """The services and jobs, by the names of their units. At least one is required."""
