"""Is a bundle what was built? By its own digests, and by the content that they speak of; nothing is unpacked to disk.

Whoever changes a bundle can make its digests anew. So the programs that root runs are compared with those that this
version of conda-bundler writes of the bundle's manifest, if it is the one that has made the bundle; else it is said
that they were not.

What no digest in the bundle covers, the tar's own headers and the script at a ``.run``'s head, is covered by the
``.sha256`` beside it; where that is missing, both are compared with what conda-bundler writes. None of this says who
made the bundle: signatures do (:mod:`bundler.signing`).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bundler import __version__
from bundler.bundle.assemble import INSTALL, MANAGE, SUMS, checksums
from bundler.bundle.index import COPY_AGAIN
from bundler.bundle.segmentlist import SEGMENTS, has_contents, segment_list
from bundler.digests import file_sha256
from bundler.errors import VerificationError
from bundler.installer.launcher import LAUNCHERS
from bundler.installer.render import carries, carries_its_digest
from bundler.pack.listing import unpacked_sha256
from bundler.pack.members import tree_digest
from bundler.printable import counted, printable
from bundler.reader.contents import content_problems
from bundler.reader.documents import documents_of, provenance_of, provenance_problems
from bundler.reader.open import MANIFEST, Piece, open_bundle, translated
from bundler.reader.rendered import differing_programs, is_our_version
from bundler.reader.tree import read_tree
from bundler.reader.unitforms import is_as_written, root_commands, stranger
from bundler.reader.witnesses import Rebuilt, Tested  # noqa: TC001 -- outputs.py makes a schema of it
from bundler.sbom.read import read_sbom
from bundler.tar.read import TarStream
from bundler.tar.write import DIRECTORY, END, tar_padding
from bundler.units.read import UnitText

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from bundler.bundle.entries import PartEntry
    from bundler.bundle.index import Manifest
    from bundler.progress import Progress
    from bundler.reader.open import OpenBundle
    from bundler.reader.tree import Tree

__all__ = ["Check", "Verification", "verify"]

_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something that was compared and is right."""

    name: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """A bundle in which nothing is wrong, and by what that was seen.

    ``programs_compared``: install.sh and manage are those that this version writes. ``not_compared`` are the files that
    nothing but the bundle's own digests speaks for; what the manifest says of the payload is compared with it.
    """

    bundle: str
    form: str
    name: str
    release: str
    tree_digest: str
    checks: tuple[Check, ...]
    programs_compared: bool
    not_compared: tuple[str, ...]
    signers: tuple[str, ...] = ()
    """Who signed it, where that was asked for: principal and key."""
    rebuilt: Rebuilt | None = None
    """That it was built again, where that was asked for."""
    tested: Tested | None = None
    """What is said of a smoke test, where it was asked for who may say so."""

    def lines(self) -> tuple[str, ...]:
        """For people."""
        width = max(len(check.name) for check in self.checks)
        rows = (f"  {check.name:<{width}}  {check.detail}" for check in self.checks)
        said = (
            f"is intact, and its scripts match conda-bundler {__version__}"
            if self.programs_compared
            else (
                "is intact; its scripts were not compared, because another conda-bundler built it (this is "
                f"{__version__})"
            )
        )
        return (
            f"{self.bundle}: {self.name} {self.release} {said}",
            *(f"  signed by {printable(signer)}" for signer in self.signers),
            *(printable(one.line()) for one in (self.tested, self.rebuilt) if one),
            *rows,
            f"  checked against the bundle's own checksums only: {', '.join(self.not_compared)}",
        )

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"verified": True} | asdict(self)


def verify(path: Path, progress: Progress) -> Verification:
    """Compare a bundle with all that it says of itself.

    Raises :class:`VerificationError`, with the name of what is wrong, and what :func:`open_bundle` raises.
    """
    bundle = open_bundle(path)
    manifest = bundle.manifest
    checks = []
    with translated(path):
        progress.step(f"Checking the files of {path.name}")
        if bundle.form != "dir":
            checks.append(_check_outside(bundle))
        digests = _digests(bundle)
        checks += [_check_sums(bundle, digests), _check_installer(bundle, digests)]
        checks += _check_programs(bundle, digests)
        checks.append(_check_units(bundle))
        checks += _check_documents(bundle, digests)
        checks += _check_segment_list(bundle)
        checks.append(_check_payload(bundle, digests))
        progress.step(f"Reading {manifest.payload.path}")
        checks.append(_check_tree(bundle, read_tree(bundle)))
    return Verification(
        bundle=str(path),
        form=bundle.form,
        name=manifest.name,
        release=manifest.release,
        tree_digest=manifest.tree_digest,
        checks=tuple(checks),
        programs_compared=is_our_version(manifest),
        not_compared=_not_compared(bundle),
    )


def _refuse(problems: Sequence[str], bundle: OpenBundle, *, inside: str = "", remedy: str = COPY_AGAIN) -> None:
    """Raise :class:`VerificationError` if there is a problem, with all of them."""
    if problems:
        many = "\n  - ".join([f"{len(problems)} problems:", *problems])
        where = f"{bundle.path}: {inside}" if inside else str(bundle.path)
        raise VerificationError(problems[0] if len(problems) == 1 else many, where=where, remedy=remedy)


def _check_outside(bundle: OpenBundle) -> Check:
    """The file itself, by the sum beside it or by how conda-bundler writes such a file."""
    sidecar = bundle.path.with_name(f"{bundle.path.name}.sha256")
    if not sidecar.is_file():
        _check_form(bundle)
        return Check(
            name=bundle.path.name, detail=f"written as conda-bundler writes it; no {sidecar.name} to compare with"
        )
    digest = file_sha256(bundle.path)
    if sidecar.read_bytes() != f"{digest}  {bundle.path.name}\n".encode():
        sentence = f"{sidecar.name} next to it has a different checksum or file name; the file's checksum is {digest}"
        _refuse([sentence], bundle)
    return Check(name=sidecar.name, detail=f"sha256 {digest}")


def _check_form(bundle: OpenBundle) -> None:
    """Every byte between the files' contents, against what our own writer makes of the same files."""
    remedy = "Put its .sha256 file next to it, or unpack it (tar -xf; sh FILE --extract DIR) and verify the directory."
    with bundle.path.open("rb") as file:
        head = file.read(bundle.tar)
        stream, entry, end = TarStream(file, seekable=True), (0, 0), 0
        mtime: int | None = None
        for member in stream:
            program = member.kind == DIRECTORY or member.path.endswith((f"/{INSTALL}", f"/{MANAGE}"))
            mtime = member.mtime if mtime is None else mtime
            if not member.is_as_written(0o755 if program else 0o644, mtime):
                _refuse([f"the header of {member.path} was changed"], bundle, remedy=remedy)
            entry = (stream.offset - len(member.header), stream.offset)
            end = stream.offset + member.size + len(tar_padding(member.size)) + len(END)
        if stream.offset != end:
            _refuse([f"has {counted(stream.offset - end, 'byte')} after its end"], bundle, remedy=remedy)
    if bundle.form == "run":
        _check_starter(bundle, head, entry=entry, tar_size=end)


def _check_starter(bundle: OpenBundle, head: bytes, *, entry: tuple[int, int], tar_size: int) -> None:
    """The script at the head of a ``.run``; ``entry`` is where in the tar the payload's header and content begin."""
    from bundler.installer.render import RunScript, render_run

    ours = render_run(
        RunScript(
            bundle=bundle.top,
            head=entry[0],
            head_sha256=Piece(file=bundle.path, offset=bundle.tar, size=entry[0]).sha256(),
            payload=entry[1],
            payload_size=bundle.payload.size,
            tar_size=tar_size,
        )
    )
    if head != ours:
        sentence = f"the script at its head differs from the one that conda-bundler {__version__} writes"
        remedy = (
            "Put its .sha256 file next to it: the checksum tells whether another version built it or it is corrupted."
        )
        _refuse([sentence], bundle, remedy=remedy)


def _digests(bundle: OpenBundle) -> dict[str, str]:
    return {name: piece.sha256() for name, piece in sorted(bundle.pieces.items()) if name != SUMS}


def _check_sums(bundle: OpenBundle, digests: dict[str, str]) -> Check:
    """SHA256SUMS, taken strictly: sha256sum(1) passes over many a damaged line, and over files that are not listed."""
    text = bundle.read(SUMS)
    found = [(line, _LINE.fullmatch(line)) for line in text.decode("utf-8", "backslashreplace").splitlines()]
    listed = {match[2]: match[1] for _, match in found if match}
    problems = [f"{SUMS} has an invalid line: {line!r}" for line, match in found if not match]
    problems += [f"{name} is not part of the bundle" for name in bundle.odd]
    problems += [
        f"{name} is not part of the bundle: {SUMS} does not list it" for name in sorted(digests.keys() - listed)
    ]
    problems += [f"{name} is missing, but {SUMS} lists it" for name in sorted(listed.keys() - digests)]
    changed = sorted(name for name in listed.keys() & digests if listed[name] != digests[name])
    problems += [f"{name} does not match its checksum in {SUMS}" for name in changed]
    if not problems and text != checksums(digests):
        problems = [f"{SUMS} was changed"]
    _refuse(problems, bundle)
    return Check(name=SUMS, detail=f"{counted(len(digests), 'file')}, all matching their checksums")


def _check_installer(bundle: OpenBundle, digests: dict[str, str]) -> Check:
    """install.sh: its own digest, and that it speaks of these files."""
    problems = [] if carries_its_digest(bundle.read(INSTALL)) else ["self-checksum mismatch"]
    text, others = bundle.text(INSTALL), {name: digest for name, digest in digests.items() if name != INSTALL}
    problems += [
        f"its checksum of {name} differs from the one in {SUMS}"
        for name, digest in others.items()
        if not carries(text, name, digest)
    ]
    _refuse(problems, bundle, inside=INSTALL)
    return Check(name=INSTALL, detail=f"its own checksum and those of {counted(len(others), 'file')} match {SUMS}")


def _check_programs(bundle: OpenBundle, digests: dict[str, str]) -> Iterator[Check]:
    """That install.sh and manage are ours; no check if another version has made them."""
    if not is_our_version(bundle.manifest):
        return
    programs = {name: bundle.text(name) for name in (INSTALL, MANAGE, *bundle.below(LAUNCHERS.rstrip("/")))}
    units = {name: bundle.text(name) for name in bundle.below("units")}
    problems = [*differing_programs(bundle.manifest, digests, units, programs)]
    _refuse(
        problems,
        bundle,
        remedy="Do not run it: it was changed and its checksums were regenerated. Build the bundle again.",
    )
    writer = f"conda-bundler {__version__}"
    yield Check(name="programs", detail=f"{INSTALL} and {MANAGE} match what {writer} generates from this manifest")


def _check_units(bundle: OpenBundle) -> Check:
    """That systemd reads in each unit what we do; and what root is to run, for people to judge."""
    texts = {name.removeprefix("units/"): bundle.text(name) for name in bundle.below("units")}
    units = [UnitText.parse(name, text) for name, text in texts.items()]
    ours = is_our_version(bundle.manifest)
    odd = [unit.name for unit in units if ours and not is_as_written(unit, texts[unit.name])]
    _refuse([f"units/{name} is not formatted the way conda-bundler writes units" for name in odd], bundle)
    name, services = bundle.manifest.name, bundle.manifest.services
    foreign = [one for one in services if one.own_user not in ("", f"{name}-{one.name}")]
    _refuse([f"says that {one.name} runs as {one.own_user!r}" for one in foreign], bundle, inside="manifest.json")
    users = frozenset((name, *(service.own_user for service in services)))
    strange = [(unit.name, user) for unit in units if ours and (user := stranger(unit, users))]
    _refuse([f"units/{name} runs as {user!r}, which is no user of this bundle's" for name, user in strange], bundle)
    root = [f"{unit.name}: {command}" for unit in units for command in root_commands(unit)]
    told = "; ".join(printable(one).replace(f"{bundle.manifest.release_dir}/", "") for one in root) or "nothing"
    form = f", written as conda-bundler {__version__} writes them" if ours else ""
    return Check(name="units", detail=f"{counted(len(units), 'unit')}{form}; commands run as root: {told}")


def _check_documents(bundle: OpenBundle, digests: dict[str, str]) -> Iterator[Check]:
    """The SBOM and the provenance, and that the provenance speaks of these very files."""
    named = documents_of(bundle)
    if "provenance" not in named and is_our_version(bundle.manifest):
        _refuse([f"has no provenance, which conda-bundler {__version__} writes into every bundle"], bundle)
    for kind, said in named.items():
        if digests.get(said.path) != said.sha256:
            _refuse([f"{said.path} is not the {kind} that manifest.json names"], bundle)
        detail = f"the {kind} that manifest.json names"
        if kind == "provenance":
            statement = provenance_of(bundle)
            _refuse([*provenance_problems(statement, bundle.manifest, digests)], bundle)
            files = counted(len(statement.subject), "file")
            detail += f"; covers {files}, built by {printable(statement.builder)}"
        else:
            read_sbom(bundle.read(said.path), where=f"{bundle.path}: {said.path}")
        yield Check(name=said.path, detail=detail)


def _not_compared(bundle: OpenBundle) -> tuple[str, ...]:
    """What nothing but the bundle's own digests speaks for: the project's own, and what the manifest says of it."""
    project = {f"{path.partition('/')[0]}/" if "/" in path else path for path in bundle.pieces}
    programs = () if is_our_version(bundle.manifest) else (INSTALL, MANAGE, *({LAUNCHERS} & project))
    return (*programs, *sorted(project - {INSTALL, MANAGE, LAUNCHERS, SUMS, bundle.manifest.payload.path}))


def _check_segment_list(bundle: OpenBundle) -> Iterator[Check]:
    """By what install.sh finds the segments in the payload; the manifest, whose it is, is compared with the payload."""
    payload, ours = bundle.manifest.payload, is_our_version(bundle.manifest)
    if not has_contents(payload):
        _refuse(
            [f"does not say what its segments unpack to, as conda-bundler {__version__} does"] if ours else [],
            bundle,
            inside=MANIFEST,
        )
        return
    if bundle.read(SEGMENTS) != segment_list(payload):
        _refuse([f"{SEGMENTS} is not the list that manifest.json makes"], bundle)
    yield Check(name=SEGMENTS, detail=f"{counted(len(payload.segments), 'segment')}, as manifest.json has them")


def _check_payload(bundle: OpenBundle, digests: dict[str, str]) -> Check:
    """The payload's bytes, as a whole and by segment, against the manifest."""
    said = bundle.manifest.payload
    problems = []
    others = [name for name in bundle.pieces if name.startswith("payload.") and name != said.path]
    problems += [f"{name} is a second payload" for name in others]
    if (bundle.payload.size, digests[said.path]) != (said.size, said.sha256):
        problems.append("does not match its checksum in manifest.json")
    runs: dict[str, list[tuple[str, PartEntry]]] = {"segments": [(f"segment {one.name}", one) for one in said.segments]}
    if said.parts:
        begins = {segment.offset for segment in said.segments}
        problems += [
            f"the part at offset {one.offset} starts inside a segment" for one in said.parts if one.offset not in begins
        ]
        runs["parts"] = [(f"the part at {one.offset}", one) for one in said.parts]
    problems += [gap for what, run in runs.items() for gap in _gaps(what, run, said.size)]
    _refuse(problems, bundle, inside=said.path)
    for name, one in itertools.chain(*runs.values()):
        if bundle.payload.sha256(one.offset, one.length) != one.sha256:
            problems.append(f"{name} does not match its checksum in manifest.json")
    _refuse(problems, bundle, inside=said.path)
    return Check(
        name=said.path,
        detail=f"{counted(said.size, 'byte')} in {counted(len(said.segments), 'segment')}, all matching their "
        "checksums",
    )


def _gaps(what: str, run: Iterable[tuple[str, PartEntry]], size: int) -> Iterator[str]:
    """Where pieces that should be all of the payload, one behind the other, are not."""
    where = 0
    for name, one in run:
        if one.offset != where:
            yield f"{name} does not start where the previous one ends"
        where = one.offset + one.length
    if where != size:
        yield f"its {what} do not cover all of it"


def _check_tree(bundle: OpenBundle, tree: Tree) -> Check:
    """What the payload unpacks to, against the manifest and the list that it brings."""
    manifest, entries, problems = bundle.manifest, tree.entries, []
    if tree_digest(entries) != manifest.tree_digest:
        problems.append("unpacks to different files than manifest.json lists")
    if (len(entries), sum(entry.size for entry in entries)) != (manifest.payload.files, manifest.payload.unpacked_size):
        problems.append("unpacks to a different number of files or bytes than manifest.json says")
    wrong = content_problems(manifest.payload, tree)
    listed = manifest.payload.unpacked_sha256
    problems += wrong
    if not wrong and _compares_listing(manifest) and unpacked_sha256(entries, tree.directories) != listed:
        problems.append("unpacks to different directories, modes or sizes than manifest.json says")
    _refuse(problems, bundle, inside=manifest.payload.path)
    detail = f"{counted(len(entries), 'file or link', 'files and links')}, sha256 {manifest.tree_digest}"
    unlisted = (
        "" if _compares_listing(manifest) else "; directories were not compared: its manifest does not cover them"
    )
    return Check(name="tree", detail=detail + unlisted)


def _compares_listing(manifest: Manifest) -> bool:
    """Bundles of 0.1.0's first weeks have no digest of what they unpack to; ours always have one."""
    return bool(manifest.payload.unpacked_sha256) or is_our_version(manifest)
