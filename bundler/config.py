"""bundle.toml and the command line -> :class:`BundleConfig`.

The file's format is design section 3. All mistakes are reported at once, each with its key's path.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bundler.errors import ConfigError
from bundler.forms import ReleaseTable, Secret, SecretForm

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AppFile", "BundleConfig", "Health", "Overrides", "ReleaseTable", "Secret", "Service", "load_config"]

CONFIG_NAME = "bundle.toml"
NAME_PATTERN = r"^[a-z][a-z0-9-]{0,30}$"
VERSION_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z._+~-]{0,39}$"
PLACES = ("app", "env", "root", "state", "cache", "runtime")
"""What ``{…}`` in commands and environments may name."""
PLACE = re.compile(r"\{(\{[a-z]+\})\}|\{([a-z]+)\}")
"""``{{word}}``, which stands for ``{word}``, or ``{place}``."""

_VARIABLE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
_HEALTH_URL = re.compile(
    rf"http://(?:[0-9A-Za-z.-]+|\[[0-9A-Fa-f:]+\]|{_VARIABLE})(?::(?:[0-9]{{1,5}}|{_VARIABLE}))?(?:/[!-~]*)?"
)


def _one_line(value: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("control characters and line breaks are not allowed here")
    return value


def _http_url(value: str) -> str:
    if not _HEALTH_URL.fullmatch(value):
        raise ValueError("not a health URL; write it like http://127.0.0.1:${PORT}/healthz")
    return value


def _places(value: str) -> str:
    unknown = [name for _, name in PLACE.findall(value) if name and name not in PLACES]
    if unknown:
        raise ValueError(f"unknown place {{{unknown[0]}}}; there are " + " ".join(f"{{{name}}}" for name in PLACES))
    return value


def _inside(value: str) -> str:
    path = Path(value)
    if path.is_absolute() or ".." in path.parts or path == Path():
        raise ValueError("must be a relative path without '..'")
    return path.as_posix()


Line = Annotated[str, AfterValidator(_one_line)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Version = Annotated[str, StringConstraints(pattern=VERSION_PATTERN)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Value = Annotated[str, AfterValidator(_places)]
Word = Annotated[str, StringConstraints(min_length=1), AfterValidator(_one_line), AfterValidator(_places)]
Inside = Annotated[str, AfterValidator(_inside)]
Directive = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$")]
Platform = Annotated[str, StringConstraints(pattern=r"^linux-[a-z0-9]+$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(_Model):
    """How a service is asked whether it is well: an HTTP GET that answers 2xx or 3xx."""

    http: Annotated[Line, AfterValidator(_http_url)]
    start_period: Annotated[float, Field(ge=0, le=3600)] = 5
    """Seconds in which a failing probe does not count yet."""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30
    """Seconds after ``start_period`` within which the service must be well."""


class ServiceTable(_Model):
    command: Annotated[tuple[Word, ...], Field(min_length=1)]
    environment: dict[Variable, Value] = {}
    secrets: tuple[Variable, ...] | None = None
    """Those that it gets; None: all."""
    profile: Literal["python", "beam", "generic"] = "python"
    restart: Literal["no", "on-success", "on-failure", "on-abnormal", "on-abort", "always"] = "on-failure"
    memory_max: Annotated[str, StringConstraints(pattern=r"^([0-9]+[KMGT]?|[0-9]+%|infinity)$")] | None = None
    cpu_quota: Annotated[str, StringConstraints(pattern=r"^[0-9]+%$")] | None = None
    health: Health | None = None
    unit: dict[Literal["Unit", "Service", "Install"], dict[Directive, Line | tuple[Line, ...]]] = {}


class _BundleTable(_Model):
    name: Name
    version: Version | None = None
    description: Line = ""
    platforms: Annotated[tuple[Platform, ...], Field(min_length=1)] = ("linux-64",)
    environment: str = "environment.yml"
    lockfile: str = "conda-lock.yml"
    exclude: tuple[Line, ...] = ()
    include: tuple[Line, ...] = ()
    bytecode: Literal["build", "install", "none"] = "build"


class _File(_Model):
    """bundle.toml as it stands."""

    bundle: _BundleTable
    files: dict[Inside, Inside] = {}
    config: dict[Variable, str] = {}
    secrets: dict[Variable, SecretForm | Literal[False]] = {}
    release: ReleaseTable = ReleaseTable()
    services: dict[Name, ServiceTable] = {}


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What the command line says; each replaces what bundle.toml says, and together they do without one."""

    environment: Path | None = None
    name: str | None = None
    version: str | None = None
    command: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    virtual_packages: Path | None = None


@dataclass(frozen=True, kw_only=True)
class AppFile:
    """One entry of ``[files]``: a file or directory to be copied to ``app/<target>``."""

    target: str
    source: Path


@dataclass(frozen=True, kw_only=True)
class Service:
    """One ``[services.<name>]`` table."""

    name: str
    table: ServiceTable

    @property
    def unit(self) -> str:
        return f"{self.name}.service"

    @property
    def health_unit(self) -> str | None:
        """The oneshot that probes the service once, if it has a health check."""
        return f"{self.name}-health.service" if self.table.health else None


@dataclass(frozen=True, kw_only=True)
class BundleConfig:
    """Everything that a build is told, checked, with absolute paths."""

    directory: Path
    source: str
    """What to call the configuration in messages: ``bundle.toml``, or ``command line``."""
    name: str
    version: str
    description: str
    platforms: tuple[str, ...]
    environment: Path
    lockfile: Path
    channels: tuple[str, ...]
    """Replaces the environment spec's channels if it is not empty."""
    virtual_packages: Path | None
    """What the target has, for the solver; None: the virtual-packages.yml beside the environment spec, if any."""
    files: tuple[AppFile, ...]
    exclude: tuple[str, ...]
    """Patterns of files below the prefix that are left out, and in ``include`` of those that are taken back in."""
    include: tuple[str, ...]
    bytecode: Literal["build", "install", "none"]
    """Where it is made."""
    config: tuple[tuple[str, str], ...]
    secrets: tuple[Secret, ...]
    release: ReleaseTable
    services: tuple[Service, ...]

    @property
    def root(self) -> str:
        """Where the bundle lives on the target unless the operator says otherwise."""
        return f"/opt/{self.name}"


def load_config(directory: Path, overrides: Overrides | None = None) -> BundleConfig:
    """Read ``directory/bundle.toml``, lay the command line over it and check the whole.

    Without a bundle.toml, ``overrides`` must name the bundle. Raises :class:`ConfigError` with every mistake
    that was found.
    """
    overrides = overrides or Overrides()
    path = directory / CONFIG_NAME
    if path.is_file():
        document, source = _read_toml(path), CONFIG_NAME
    elif overrides.environment or overrides.name:
        document, source = {"bundle": {}}, "command line"
    else:
        raise ConfigError(
            f"there is no {CONFIG_NAME} in {directory}",
            remedy="Name its directory, or give --environment, --name, --bundle-version and --command.",
        )
    _apply(overrides, document)
    try:
        parsed = _File.model_validate(document)
    except ValidationError as error:
        raise ConfigError(
            _sentences(error), where=source, remedy="See the README's table of bundle.toml keys."
        ) from error
    config = _resolve(parsed, directory=directory.resolve(), source=source, overrides=overrides)
    _check(config)
    return config


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error


def _apply(overrides: Overrides, document: dict[str, Any]) -> None:
    bundle = document.setdefault("bundle", {})
    if not isinstance(bundle, dict):
        return  # the model says what is wrong with it
    if overrides.name:
        bundle["name"] = overrides.name
    if overrides.version:
        bundle["version"] = overrides.version
    if overrides.platforms:
        bundle["platforms"] = list(overrides.platforms)
    services = document.setdefault("services", {})
    if overrides.command and isinstance(services, dict):
        name = str(bundle.get("name"))
        services[name] = {**services.get(name, {}), "command": list(overrides.command)}


def _resolve(parsed: _File, *, directory: Path, source: str, overrides: Overrides) -> BundleConfig:
    bundle = parsed.bundle
    if bundle.version is None:
        raise ConfigError(
            "bundle.version: there is no version",
            where=source,
            remedy="Set it, or pass --bundle-version (a tag, in CI).",
        )
    forms = {"RELEASE_COOKIE": SecretForm(), **parsed.secrets}
    environment = overrides.environment.resolve() if overrides.environment else directory / bundle.environment
    lockfile = environment.with_name("conda-lock.yml") if source != CONFIG_NAME else directory / bundle.lockfile
    return BundleConfig(
        directory=directory,
        source=source,
        name=bundle.name,
        version=bundle.version,
        description=bundle.description or bundle.name,
        platforms=tuple(dict.fromkeys(bundle.platforms)),
        environment=environment,
        lockfile=lockfile,
        channels=overrides.channels,
        virtual_packages=overrides.virtual_packages,
        files=tuple(AppFile(target=to, source=directory / of) for to, of in sorted(parsed.files.items())),
        exclude=bundle.exclude,
        include=bundle.include,
        bytecode=bundle.bytecode,
        config=tuple(parsed.config.items()),
        secrets=tuple(form.named(name) for name, form in sorted(forms.items()) if form),
        release=parsed.release,
        services=tuple(Service(name=name, table=table) for name, table in sorted(parsed.services.items())),
    )


def _check(config: BundleConfig) -> None:
    """What no single key can know: files that are missing, names that meet."""
    problems = [
        f"files.{file.target}: no such file or directory: {file.source}"
        for file in config.files
        if not file.source.exists()
    ]
    if not config.environment.is_file():
        problems.append(f"bundle.environment: no such file: {config.environment}")
    if config.virtual_packages and not config.virtual_packages.is_file():
        problems.append(f"--virtual-packages: no such file: {config.virtual_packages}")
    if not config.services:
        problems.append("services: there is none; a bundle needs at least one [services.<name>] table (or --command)")
    taken = {service.name for service in config.services}
    problems += [
        f"services.{name}-health: this name is taken by the health check of services.{name}"
        for name in sorted(taken)
        if f"{name}-health" in taken
    ]
    secret = {secret.name for secret in config.secrets}
    problems += [f"config.{name}: is a secret as well" for name, _ in config.config if name in secret]
    for service in config.services:
        at = f"services.{service.name}"
        problems += [
            f"{at}.environment.{name}: is a secret as well" for name in service.table.environment if name in secret
        ]
        problems += [
            f"{at}.secrets: there is no secret {name}" for name in service.table.secrets or () if name not in secret
        ]
    problems += _release_problems(config)
    if problems:
        raise ConfigError(_joined(problems), where=config.source)


def _release_problems(config: BundleConfig) -> list[str]:
    """A node that listens on every address has to be told by which one others find it."""
    if config.release.distribution != "name" or config.release.listen != "0.0.0.0":  # noqa: S104 -- compared
        return []
    named = {name for name, _ in config.config}
    return [
        f"release.listen: with every address, services.{service.name} does not know its node's name; set RELEASE_NODE"
        " in its environment or in [config], such as hello@10.0.0.5"
        for service in config.services
        if service.table.profile == "beam" and "RELEASE_NODE" not in named | set(service.table.environment)
    ]


def _sentences(error: ValidationError) -> str:
    return _joined([f"{_key(detail['loc'])}: {_reason(detail)}" for detail in error.errors()])


def _joined(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else "\n  - ".join([f"{len(problems)} mistakes:", *problems])


def _key(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]")


def _reason(detail: Any) -> str:
    kind, given = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch":
        return f"{given!r} does not fit {detail['ctx']['pattern']}"
    return str(detail["msg"]).removeprefix("Value error, ")
