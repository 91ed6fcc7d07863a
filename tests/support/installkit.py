"""Small but real bundles for the tests of install.sh: the service is a shell script, with any kinds of files."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.assemble import place
from bundler.bundle.identity import Identity
from bundler.bundle.segmentlist import SEGMENTS
from bundler.config.project import Secret, load_config
from bundler.config.users import user_of
from bundler.installer.activation import Activation
from bundler.installer.installed import install_services, service_files
from bundler.installer.launcher import launchers
from bundler.installer.render import (
    InstallDecompressor,
    InstallScript,
    InstallService,
    render_install,
    render_manage,
    render_programs,
    render_unit,
)
from bundler.installer.requirements import Requirements
from bundler.pack.codecs import CODECS
from bundler.pack.contents import NEVER_LINKED, Content, lists
from bundler.pack.decompressor import TOOLS
from bundler.pack.listing import unpacked_sha256
from bundler.pack.members import LINK_MODE, TreeEntry, parents
from bundler.units.contents import Contents
from bundler.units.newer import newer_directives
from bundler.units.read import UnitText
from bundler.units.service import make_units
from bundler.units.sisters import sisters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundler.config.project import BundleConfig

PROGRAM = f"{TOOLS}/bin/zstd.gz"
"""The decompressor that a bundle includes."""
COOKIE = Secret(name="RELEASE_COOKIE", bytes=32, format="hex")
NEEDS = Requirements(machines=("x86_64",), glibc="2.17")
SERVE = "#!/bin/sh\nwhile :; do sleep 1; done\n"


@dataclass(frozen=True, kw_only=True)
class Member:
    """An additional entry of the payload, which may be malicious."""

    name: str
    content: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The description of a bundle. ``health`` is a script whose exit status is the service's health."""

    name: str = "hello"
    version: str = "1.0"
    description: str = "Hello"
    serve: str = SERVE
    health: str | None = None
    url: str = ""
    start_period: float = 1
    timeout: float = 4
    secrets: tuple[Secret, ...] = (COOKIE,)
    services: tuple[str, ...] = ("hello",)
    members: tuple[Member, ...] = ()
    needs: Requirements = NEEDS
    parts: int = 1
    """The number of parts of the payload, which are unpacked in parallel."""
    payload_kib: int = 100
    payload_files: int = 10
    sockets: tuple[tuple[str, str], ...] = ()
    """Services, and the addresses on which systemd listens for them."""
    hooks: tuple[tuple[str, str], ...] = ()
    """Hooks, such as ``before-switch``, and their scripts."""
    instances: tuple[tuple[str, int], ...] = ()
    """Services with instances, and how many; they have no health check."""
    directives: tuple[str, ...] = ()
    """Additional lines of each service's ``[Service]`` section."""
    config: str = 'PORT="8000"\n'
    wanted_by: str = "multi-user.target"
    tables: str = ""
    """bundle.toml from [services.*] on; the units are then generated from it as by a build."""
    packages: frozenset[str] = frozenset()
    uid: int | None = None
    """The number of its user."""
    tools: Path | None = None
    """The tools/ of a real bundle; the payload is then compressed with zstd, and the bundle includes these."""

    @property
    def codec(self) -> str:
        return "zstd" if self.tools else "gzip"

    @property
    def payload(self) -> str:
        return f"payload{CODECS[self.codec]().suffix}"

    @property
    def build_id(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    @property
    def release(self) -> str:
        return f"{self.version}-{self.build_id}"

    @property
    def release_dir(self) -> str:
        return f"/opt/{self.name}/releases/{self.release}"


def write_bundle(spec: Spec, directory: Path) -> Path:
    """Write the bundle's directory; ``directory`` must not exist yet."""
    directory.mkdir(parents=True)
    parts, segments = write_payload(spec, directory / spec.payload)
    sha256 = _sha256((directory / spec.payload).read_bytes())
    if spec.tools:
        shutil.copytree(spec.tools, directory / TOOLS)
    files = {
        "manifest.json": "{}\n",
        "conda-lock.yml": "version: 1\n",
        f"config/{spec.name}.env": f"# Defaults\n{spec.config}",
        **{f"config/{name}": text for name, text in environments(spec).items()},
        **{f"units/{name}": text for name, text in units(spec).items()},
        **launchers(started_units(spec), {f"units/{name}": text for name, text in units(spec).items()}),
        "manage": render_manage(script(spec, sha256, {})),
        SEGMENTS: segments,
    }
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    tools = [path.relative_to(directory).as_posix() for path in (directory / TOOLS).rglob("*.gz")]
    digests = {name: _sha256((directory / name).read_bytes()) for name in (*files, *tools)}
    install = render_install(script(spec, sha256, digests, parts))
    (directory / "install.sh").write_text(install)
    write_sums(directory, {**digests, spec.payload: sha256, "install.sh": _sha256(install.encode())})
    return directory


def write_sums(directory: Path, digests: dict[str, str]) -> None:
    """Write SHA256SUMS."""
    text = "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items()))
    (directory / "SHA256SUMS").write_text(text)


def script(
    spec: Spec, payload_sha256: str, digests: dict[str, str], parts: tuple[tuple[str, int, int], ...] = ()
) -> InstallScript:
    """The header's content for ``spec``."""
    directives = {name: UnitText.parse(name, text).directives for name, text in units(spec).items()}
    return InstallScript(
        name=spec.name,
        version=spec.version,
        description=spec.description,
        platform="linux-64",
        needs=spec.needs,
        build_id=spec.build_id,
        release=spec.release,
        root=f"/opt/{spec.name}",
        user=spec.name,
        uid=spec.uid,
        tool_version="0",
        payload=spec.payload,
        payload_sha256=payload_sha256,
        tree_digest=payload_sha256,
        unpacked_sha256=unpacked(spec),
        payload_codec=spec.codec,
        payload_parts=parts,
        payload_files=spec.payload_files,
        payload_kib=spec.payload_kib,
        longest=0,
        units=tuple(sorted(units(spec))),
        networks=networks(spec),
        newer=newer_directives(directives),
        own_users=own_users(spec),
        sisters=sisters(
            {name: directives[f"{name}.service"] for name in spec.services if f"{name}.service" in directives}
        ),
        services=services(spec),
        secrets=spec.secrets,
        files=tuple((digest, path) for path, digest in sorted(digests.items())),
        decompressor=InstallDecompressor(program=PROGRAM, directory=TOOLS) if spec.tools else InstallDecompressor(),
    )


def started_units(spec: Spec) -> tuple[str, ...]:
    """Services and hooks."""
    hooks = (f"{spec.name}-hook-{hook}.service" for hook, _ in spec.hooks)
    return (*(service.unit for service in services(spec)), *hooks)


def networks(spec: Spec) -> tuple[str, ...]:
    """The services with a restricted ``network``."""
    confined = config_of(spec).services if spec.tables else ()
    return tuple(service.name for service in confined if service.table.network is not None)


def own_users(spec: Spec) -> tuple[str, ...]:
    """The users of services with their own user."""
    config = config_of(spec) if spec.tables else None
    found = config.services if config else ()
    return tuple(f"{user_of(config, one)}:{one.table.uid or ''}" for one in found if config and one.table.own_user)


def services(spec: Spec) -> tuple[InstallService, ...]:
    """The data about each service for install.sh."""
    if spec.tables:
        return tuple(one for service in config_of(spec).services for one in install_services(service))
    return tuple(
        InstallService(
            unit=f"{name}.service",
            health_unit=f"{name}-health.service" if spec.health else "",
            start_period=spec.start_period if spec.health else 0,
            timeout=spec.timeout if spec.health else 0,
            url=spec.url,
        )
        for name in spec.services
    ) + tuple(
        InstallService(unit=f"{name}@{number}.service", health_unit="", start_period=0, timeout=0)
        for name, count in spec.instances
        for number in range(1, count + 1)
    )


def config_of(spec: Spec) -> BundleConfig:
    """The configuration that a build would have."""
    with tempfile.TemporaryDirectory() as name:
        head = f'[bundle]\nname = "{spec.name}"\nversion = "{spec.version}"\ndescription = "{spec.description}"\n'
        cookie = "" if spec.secrets else "[secrets]\nRELEASE_COOKIE = false\n"
        (Path(name) / "bundle.toml").write_text(head + cookie + spec.tables)
        (Path(name) / "environment.yml").write_text("dependencies: []\n")
        return load_config(Path(name))


def environments(spec: Spec) -> dict[str, str]:
    """The files that units read in addition to config/NAME.env, by their names below config/."""
    if not spec.tables:
        return {}
    config = config_of(spec)
    activation = Activation(variables=(), unset=(), scripts=()).files()
    files = activation | service_files(config, spec.release_dir, spec.packages)
    return {path.removeprefix("config/"): text for path, text in files.items()}


def units(spec: Spec) -> dict[str, str]:
    """File name -> text of every unit."""
    if spec.tables:
        executables = {"app/serve"} | {member.name for member in spec.members if member.mode & 0o111}
        made = make_units(config_of(spec), spec.release_dir, frozenset(executables), Contents(packages=spec.packages))
        return {unit.name: render_unit(unit) for unit in made}
    common = [f"User={spec.name}", f"Group={spec.name}", f"Environment=RELEASE={spec.release_dir}"]
    common += [f"EnvironmentFile={spec.release_dir}/config/{spec.name}.env"]
    if spec.secrets:
        common += [f"EnvironmentFile=/etc/{spec.name}/secrets.env"]
    found = {}
    for name, address in spec.sockets:
        lines = ["[Socket]", f"ListenStream={address}", "", "[Install]", "WantedBy=multi-user.target"]
        # as those that a build makes; else they would be started before whatever guards a boot
        head = ["[Unit]", f"Description={spec.release}", "DefaultDependencies=no", "After=sysinit.target"]
        found[f"{name}.socket"] = "\n".join([*head, "", *lines, ""])
    for name in spec.services:
        service = ["Type=exec", f"ExecStart={spec.release_dir}/app/serve", f"StateDirectory={spec.name}", *common]
        service += ["Restart=on-failure", "RestartSec=5", *spec.directives]
        opened = f"{name}.socket"
        needs = [f"Requires={opened}", f"After={opened}"] if opened in found else []
        found[f"{name}.service"] = _unit(service, "[Install]", f"WantedBy={spec.wanted_by}", needs=needs)
        if spec.health:
            health = ["Type=oneshot", f"ExecStart=/bin/sh {spec.release_dir}/share/health", *common]
            found[f"{name}-health.service"] = _unit(health)
    for name, count in spec.instances:
        service = ["Type=exec", f"ExecStart={spec.release_dir}/app/serve", f"StateDirectory={spec.name}", *common]
        text = _unit([*service, *spec.directives], "[Install]", f"WantedBy={name}.target")
        found[f"{name}@.service"] = f"[Unit]\nPartOf={name}.target\nX-Instances={count}\n{text}"
        found[f"{name}.target"] = f"[Unit]\nDescription=All\n[Install]\nWantedBy={spec.wanted_by}\n"
    for hook, _ in spec.hooks:
        lines = [
            "Type=oneshot",
            f"ExecStart={spec.release_dir}/app/hook-{hook}",
            f"StateDirectory={spec.name}",
            *common,
        ]
        found[f"{spec.name}-hook-{hook}.service"] = _unit(
            [*lines, f"EnvironmentFile=-/run/conda-bundler/{spec.name}.hook"]
        )
    return found


def _members(spec: Spec) -> list[Member]:
    """The members of the payload, except its lists."""
    return [
        *(Member(name=name, kind=tarfile.DIRTYPE, mode=0o755) for name in ("env", "env/bin", "app", "share")),
        Member(name="env/bin/tool", content=b"#!/bin/sh\necho tool\n", mode=0o755),
        Member(name="env/bin/tool-link", kind=tarfile.SYMTYPE, link="tool"),
        Member(name="app/serve", content=spec.serve.encode(), mode=0o755),
        *(Member(name=f"share/{name}", content=content) for name, content in render_programs().items()),
        *(Member(name=f"app/hook-{hook}", content=text.encode(), mode=0o755) for hook, text in spec.hooks),
        Member(name="share/health", content=(spec.health or "exit 0\n").encode()),
        *spec.members,
    ]


def _contents(spec: Spec) -> list[Content]:
    """Each member is a segment."""
    return [Content.of(f"segment-{number}", _entries([member])) for number, member in enumerate(_members(spec))]


def payload_members(spec: Spec) -> list[Member]:
    """What is in the payload, with its lists at its end, which are one segment."""
    return [*_members(spec), *(Member(name=name, content=text) for name, text in lists(_contents(spec)).items())]


def _entries(members: list[Member]) -> tuple[TreeEntry, ...]:
    """The files and links among them."""
    return tuple(
        TreeEntry(path=one.name, mode=LINK_MODE, digest=one.link, size=0)
        if one.kind == tarfile.SYMTYPE
        else TreeEntry(path=one.name, mode=one.mode, digest=_sha256(one.content), size=len(one.content))
        for one in members
        if one.kind in (tarfile.SYMTYPE, tarfile.REGTYPE)
    )


def unpacked(spec: Spec) -> str:
    """The listing that install.sh compares the unpacked tree with; tar creates parent directories implicitly."""
    members = payload_members(spec)
    above = {directory.path for directory in parents([member.name for member in members])}
    named = {member.name for member in members if member.kind == tarfile.DIRTYPE}
    return unpacked_sha256(_entries(members), above | named)


def write_payload(spec: Spec, path: Path) -> tuple[tuple[tuple[str, int, int], ...], str]:
    """Write the payload; return its parts for install.sh, if there are several, and the file ``segments``."""
    contents = _contents(spec)
    members = payload_members(spec)
    segments = [_tar([member]) for member in members[: len(contents)]]
    closing = _compressed(spec, _tar(members[len(contents) :]) + bytes(tarfile.RECORDSIZE))
    written = [*(_compressed(spec, segment) for segment in segments), closing]
    path.write_bytes(b"".join(written))
    starts = [*accumulate(map(len, written), initial=0)]
    lines = [
        f"{offset} {len(segment)} {_sha256(segment)} {one.id} {len(one.entries)} {one.kib} {one.name}\n"
        for segment, offset, one in zip(
            written, starts, [*contents, Content(name="list", id=NEVER_LINKED, entries=())], strict=False
        )
    ]
    ends = [len(written) * number // spec.parts for number in range(spec.parts + 1)]
    parts = tuple(
        (_sha256(b"".join(written[start:end])), starts[start], starts[end] - starts[start])
        for start, end in pairwise(ends)
    )
    return parts if spec.parts > 1 else (), "".join(lines)


def _compressed(spec: Spec, data: bytes) -> bytes:
    return bytes(CODECS[spec.codec]().compress(memoryview(data), "other"))


def _tar(members: list[Member]) -> bytes:
    """Without its end."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.mode, info.type, info.linkname = member.mode, member.kind, member.link
            info.size, info.mtime = len(member.content), 315532800
            info.uid = info.gid = 4321  # the builder's: install.sh has to ignore them
            tar.addfile(info, io.BytesIO(member.content))
        size = tar.offset
    return raw.getvalue()[:size]


def damaged(bundle: Path, target: Path, name: str, *, position: int, value: int) -> Path:
    """A copy of ``bundle`` with one byte of one file changed; the other files are links."""
    for source in sorted(bundle.rglob("*")):
        path = target / source.relative_to(bundle)
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            path.hardlink_to(source)
    content = bytearray((bundle / name).read_bytes())
    content[position] = value
    (target / name).unlink()
    (target / name).write_bytes(content)
    return target


def but(spec: Spec, **changes: object) -> Spec:
    """``spec`` with some changes."""
    return replace(spec, **changes)  # type: ignore[arg-type]


def _unit(service: list[str], *rest: str, needs: Sequence[str] = ()) -> str:
    return "\n".join(["[Unit]", "Description=Hello", *needs, "", "[Service]", *service, "", *rest, ""])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_run(spec: Spec, room: Path) -> Path:
    """The same bundle as a .run, assembled like in a build; ``room`` must not exist yet."""
    bundle = write_bundle(spec, room / "new")
    identity = Identity(
        name=spec.name, version=spec.version, platform="linux-64", build_id=spec.build_id, root=f"/opt/{spec.name}"
    )
    return place(bundle, identity, room, form="run").path
