"""`conda-bundler verify`: yes to what was built, in each form, and to nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from smallbundle import TOP, build, command, make_channel, make_project, put_segments, repack, reseal, segments_of

from bundler.bundle.assemble import SUMS
from bundler.errors import BundlerError, VerificationError
from bundler.installer.launcher import launchers
from bundler.progress import QuietProgress
from bundler.reader.open import open_bundle
from bundler.reader.verify import verify
from bundler.tar.write import END, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Callable

    Members = list[tuple[tarfile.TarInfo, bytes]]

pytestmark = pytest.mark.usefixtures("own_cache")

FORMS = ("dir", "tar", "run")
QUIET = QuietProgress()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same build in each form."""
    room = tmp_path_factory.mktemp("small")
    channel, project = make_channel(room / "channel"), make_project(room / "project")
    return {form: build(project, channel, form) for form in FORMS}


@pytest.fixture
def bundle(bundles: dict[str, Path], tmp_path: Path) -> Path:
    """A directory of one's own to damage."""
    return Path(shutil.copytree(bundles["dir"], tmp_path / TOP))


def alone(file: Path, room: Path) -> Path:
    """A copy without the .sha256 beside it."""
    return Path(shutil.copy(file, room / file.name))


def refused(path: Path) -> str:
    with pytest.raises(VerificationError) as caught:
        verify(path, QUIET)
    assert caught.value.exit_code == 7
    return caught.value.format_message()


@pytest.mark.parametrize("form", FORMS)
def test_what_was_built_is_right(bundles: dict[str, Path], form: str) -> None:
    done = command("verify", bundles[form], "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["verified"], report["form"], report["name"]) == (True, form, "small")
    seen = [check["name"] for check in report["checks"]]
    sidecar = [] if form == "dir" else [f"{TOP}.{form}.sha256"]
    assert seen == [
        *sidecar,
        "SHA256SUMS",
        "install.sh",
        "programs",
        "units",
        "sbom.cdx.json",
        "provenance.json",
        "segments",
        "payload.tar.gz",
        "tree",
    ]
    assert report["programs_compared"]
    files = ["conda-lock.yml", "config/", "manifest.json", "provenance.json", "sbom.cdx.json", "segments", "units/"]
    assert report["not_compared"] == files


def rewrite(bundle: Path, unit: Path, text: str) -> None:
    """Whoever changes a unit makes its launcher and all digests anew."""
    unit.write_text(text)
    for path, launcher in launchers([unit.name], {f"units/{unit.name}": text}).items():
        if (bundle / path).exists():
            (bundle / path).write_text(launcher)
    reseal(bundle)


def test_what_units_run_as_root_is_told_and_nothing_is_hidden_in_them(bundle: Path) -> None:
    """Digests speak for a command line that somebody has put there, too."""
    unit = next(path for path in sorted((bundle / "units").glob("*.service")) if "\nUser=small\n" in path.read_text())
    text = unit.read_text()
    rewrite(bundle, unit, text.replace("\nUser=", "\nExecStartPre=+/bin/sh -c id\nUser=", 1))
    told = {check.name: check.detail for check in verify(bundle, QUIET).checks}["units"]
    assert f"{unit.name}: ExecStartPre=+/bin/sh -c id" in told
    rewrite(bundle, unit, text.replace("\nUser=", "\n# a comment \\\nUser=", 1))
    assert f"units/{unit.name} is not formatted the way conda-bundler writes units" in refused(bundle)


@pytest.mark.parametrize("form", ["tar", "run"])
def test_a_file_without_its_sum_beside_it_is_compared_with_how_it_is_written(
    bundles: dict[str, Path], form: str, tmp_path: Path
) -> None:
    report = verify(alone(bundles[form], tmp_path), QUIET)
    assert "to compare with" in report.checks[0].detail


@pytest.mark.parametrize("codec", ["zstd", "xz", "none"])
def test_every_codec_is_read(tmp_path: Path, codec: str) -> None:
    channel, project = make_channel(tmp_path / "channel"), make_project(tmp_path / "project")
    assert verify(build(project, channel, "dir", "--compression", codec), QUIET).name == "small"


def test_another_date_than_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH is the builder's; whoever verifies need not have it."""
    channel, project = make_channel(tmp_path / "channel"), make_project(tmp_path / "project")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    file = build(project, channel, "tar")
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    file.with_name(f"{file.name}.sha256").unlink()
    assert verify(file, QUIET).name == "small"


@pytest.mark.parametrize("form", ["tar", "run"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_byte_passes(bundles: dict[str, Path], tmp_path: Path, form: str, data: st.DataObject) -> None:
    """Nor does it end in anything but a sentence; there is no .sha256 beside the file to help."""
    content = bytearray(bundles[form].read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    bad = tmp_path / bundles[form].name
    bad.write_bytes(content)
    assert refused(bad)


@pytest.mark.parametrize("form", ["tar", "run"])
def test_no_changed_byte_between_the_files_passes(bundles: dict[str, Path], tmp_path: Path, form: str) -> None:
    """The tar's own headers, padding and end, which no digest in the bundle covers."""
    whole = bundles[form].read_bytes()
    opened = open_bundle(bundles[form])
    contents = [range(piece.offset, piece.offset + piece.size) for piece in opened.pieces.values()]
    between = [at for at in range(opened.tar, len(whole)) if not any(at in content for content in contents)]
    assert len(between) > 512 * len(contents)
    bad = tmp_path / bundles[form].name
    for at in between[::29]:
        content = bytearray(whole)
        content[at] ^= 0x10
        bad.write_bytes(content)
        assert refused(bad), at


@pytest.mark.parametrize("form", ["tar", "run"])
def test_no_cut_file_passes(bundles: dict[str, Path], tmp_path: Path, form: str) -> None:
    whole = bundles[form].read_bytes()
    bad = tmp_path / bundles[form].name
    for length in (*range(0, len(whole), len(whole) // 40), len(whole) - 512, len(whole) - 1):
        bad.write_bytes(whole[:length])
        assert refused(bad), length
    for more in (b"\0", bytes(512), bytes(10240), b"x", whole):
        bad.write_bytes(whole + more)
        assert refused(bad), more[:10]


def test_a_sum_beside_it_that_is_anothers(bundles: dict[str, Path], tmp_path: Path) -> None:
    file = alone(bundles["tar"], tmp_path)
    sidecar = tmp_path / f"{file.name}.sha256"
    sidecar.write_text(f"{'0' * 64}  {file.name}\n")
    assert f"{sidecar.name} next to it has a different checksum" in refused(file)
    shutil.copy(f"{bundles['tar']}.sha256", sidecar)
    assert verify(file, QUIET).checks[0].name == sidecar.name


def test_the_script_of_a_run_is_compared_as_well(bundles: dict[str, Path], tmp_path: Path) -> None:
    """It runs as root before anything of the bundle is looked at."""
    file = alone(bundles["run"], tmp_path)
    content = file.read_bytes()
    assert content.count(b"umask 022") > 1
    file.write_bytes(content.replace(b"umask 022", b"umask 000", 1))
    assert "the script at its head" in refused(file)


@pytest.mark.parametrize("position", [0.0, 0.3, 0.6, 0.999])
def test_no_changed_file_of_a_directory_passes(bundle: Path, position: float) -> None:
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        content = bytearray(whole or b"\0")  # an empty one can only grow
        content[int(position * len(content))] ^= 1
        path.write_bytes(content)
        assert path.name in refused(bundle)
        path.write_bytes(whole)
    verify(bundle, QUIET)


def test_no_changed_byte_of_the_sums_passes(bundle: Path) -> None:
    """Whatever it makes of a digest or a name: the complaint says that it is the list that may be wrong."""
    sums = bundle / SUMS
    whole = sums.read_bytes()
    for position in range(len(whole)):
        for flip in (0x01, 0x40, 0x80):
            content = bytearray(whole)
            content[position] ^= flip
            sums.write_bytes(content)
            assert SUMS in refused(bundle), position
    sums.write_bytes(whole)
    verify(bundle, QUIET)


def test_what_is_missing_and_what_is_extra_is_named(bundle: Path) -> None:
    (bundle / "units" / "other.service").unlink()
    (bundle / "stray").write_text("x")
    (bundle / "config" / "link").symlink_to("small.env")
    (bundle / "empty").mkdir()
    os.mkfifo(bundle / "pipe")
    message = refused(bundle)
    assert "units/other.service is missing" in message
    for name in ("stray", "config/link", "empty", "pipe"):
        assert f"{name} is not part of the bundle" in message


def test_sums_that_are_written_otherwise(bundle: Path) -> None:
    """sha256sum(1) says yes to each of these."""
    sums = bundle / "SHA256SUMS"
    lines = sums.read_text().splitlines(keepends=True)
    for text in (
        "".join(reversed(lines)),
        "".join(lines).replace("  ", " *"),
        "".join(lines) + "\n",
        "".join(lines[1:]),
    ):
        sums.write_text(text)
        assert refused(bundle)


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("RELEASE=1.0-", "RELEASE=1.1-"),
        ("GLIBC=2.17", "GLIBC=2.1"),
        ("KERNEL=''", "KERNEL=9.0"),
        ("CPU=''", "CPU=x86_64_v4"),
        ("CUDA=''", "CUDA=12.0"),
        ("GPU=", "GPU=needed"),
        ("PAYLOAD_PARTS=''", "PAYLOAD_PARTS='x 0 1 y 1 2'"),
        ("UNPACKED_SHA256=", "UNPACKED_SHA256=0"),
    ],
)
def test_install_sh_that_speaks_of_another_bundle(bundle: Path, said: str, instead: str) -> None:
    """Its digests are right, so nobody but the manifest can tell."""
    script = bundle / "install.sh"
    assert f"\n{said}" in script.read_text()
    script.write_text(script.read_text().replace(f"\n{said}", f"\n{instead}", 1))
    reseal(bundle)
    message = refused(bundle)
    assert "install.sh differs from the one that conda-bundler" in message
    assert instead in message


@pytest.mark.parametrize(("user", "group"), [("www-data", "www-data"), ("small", "shadow"), ("small", "disk")])
def test_a_unit_that_runs_as_somebody_else(bundle: Path, user: str, group: str) -> None:
    """Also if launchers agree with it."""
    unit, launcher = bundle / "units/small.service", bundle / "launch/small"
    unit.write_text(unit.read_text().replace("\nUser=small\nGroup=small\n", f"\nUser={user}\nGroup={group}\n", 1))
    launcher.write_text(launcher.read_text().replace("run_as small small", f"run_as {user} {group}", 1))
    reseal(bundle)
    assert f"units/small.service runs as '{user if user != 'small' else group}'" in refused(bundle)


def test_a_users_name_that_is_not_the_services(bundle: Path) -> None:
    """install.sh would make a user of a name that a package of the distribution is to have later."""
    services = json.loads((bundle / "manifest.json").read_text())["services"]
    services[0]["own_user"] = "www-data"
    script = bundle / "install.sh"
    script.write_text(script.read_text().replace("\nOWN_USERS=''", "\nOWN_USERS=www-data:", 1))
    reseal(bundle, services=services)
    assert "manifest.json: says that other runs as 'www-data'" in refused(bundle)


def test_install_sh_that_passes_over_a_file(bundle: Path) -> None:
    script = bundle / "install.sh"
    lines = script.read_text().splitlines(keepends=True)
    (line,) = (line for line in lines if line.endswith(" manage\n") and line.startswith('    "$1"'))
    script.write_text("".join(other for other in lines if other != line))
    reseal(bundle)
    assert "its checksum of manage differs from the one in SHA256SUMS" in refused(bundle)


@pytest.mark.parametrize("name", ["install.sh", "manage"])
@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("set -eu\n", "set -eu\nid\n"),
        ("\nPATH=/usr/local/sbin", "\nPATH=/tmp"),
        ("\nNAME=small\n", "\nNAME=small; id\n"),
        ("\nNAME=small\n", "\nNAME=$(id)\n"),
        ("\nNAME=small\n", "\nNAME=small\nTAR_OPTIONS=--to-command=id\n"),
        ("\nSERVICE_USER=small\n", "\nSERVICE_USER=root\n"),
    ],
)
def test_a_program_that_was_changed_and_sealed_again(bundle: Path, name: str, said: str, instead: str) -> None:
    """No digest can tell, for all were made anew."""
    program = bundle / name
    assert said in program.read_text()
    program.write_text(program.read_text().replace(said, instead, 1))
    reseal(bundle)
    message = refused(bundle)
    assert f"{name} differs from the one that conda-bundler" in message


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("launch/small", "id\n", "launch/small differs from the one that conda-bundler"),
        ("launch/more", "id\n", "install.sh: its checksum of launch/more differs"),
        ("launch/small", None, "launch/small is missing"),
    ],
)
def test_launchers_are_those_of_the_services(bundle: Path, name: str, text: str | None, sentence: str) -> None:
    """manage reads them as root."""
    if text is None:
        (bundle / name).unlink()
    else:
        (bundle / name).write_text(text)
    reseal(bundle)
    assert sentence in refused(bundle)


@pytest.mark.parametrize(
    "row",
    [
        "    as_service \"$1\" small.service '' 0 0 ''; id",
        '    as_service "$1" small.service "$(id)"',
        '    as_service "$1" `id`',
        "    id",
        "    as_service \"$1\" 'small.service\n}\nid\n'",
    ],
)
def test_a_row_of_install_sh_that_is_more_than_values(bundle: Path, row: str) -> None:
    script = bundle / "install.sh"
    head = "each_service() { # UNIT\n    :\n"
    assert head in script.read_text()
    script.write_text(script.read_text().replace(head, f"{head}{row}\n", 1))
    reseal(bundle)
    assert "install.sh differs from the one that conda-bundler" in refused(bundle)


def test_a_value_that_only_install_sh_has_is_the_manifests(bundle: Path) -> None:
    """What no header's name speaks of: who is started, and for how long it is waited."""
    script = bundle / "install.sh"
    row = '    as_service "$1" small.service small-health.service 5 30'
    assert f"\n{row} " in script.read_text()
    script.write_text(script.read_text().replace(row, f"{row}0", 1))
    reseal(bundle)
    message = refused(bundle)
    assert "300" in message
    assert "instead of" in message


def test_a_manifest_that_says_something_else_than_install_sh(bundle: Path) -> None:
    reseal(bundle, payload={"installed_kib": 7, "parts": []})
    assert " instead of 'PAYLOAD_KIB=7'" in refused(bundle)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"platform": "plan9-64"}, "unknown platform 'plan9-64'"),
        ({"description": "a\ud800"}, "which is not allowed in install.sh"),
        ({"services": [{"unit": "a.service", "started": [{"unit": "a", "timeout": float("nan")}]}]}, "timeout"),
    ],
)
def test_a_manifest_of_which_no_program_can_be_made(bundle: Path, said: dict[str, Any], why: str) -> None:
    reseal(bundle, **said)
    assert why in refused(bundle)


@pytest.mark.parametrize("name", ["manage", "units/small.service", "manifest.json"])
def test_install_sh_of_another_version_names_these_files(bundle: Path, name: str) -> None:
    """It cannot be rendered here, but that it has the digest of each file can be seen."""
    reseal(bundle, templates_sha256="0" * 64)
    verify(bundle, QUIET)
    script = bundle / "install.sh"
    lines = [line for line in script.read_text().splitlines(keepends=True) if not line.endswith(f" {name}\n")]
    script.write_text("".join(lines))
    reseal(bundle)
    assert f"its checksum of {name} differs from the one in SHA256SUMS" in refused(bundle)


def test_secrets_that_are_not_the_manifests(bundle: Path) -> None:
    script = bundle / "install.sh"
    script.write_text(script.read_text().replace("API_TOKEN 16 hex 32", "API_TOKEN 16 hex 2", 1))
    reseal(bundle)
    assert "API_TOKEN 16 hex 2 environment' instead of" in refused(bundle)


@pytest.mark.parametrize("changed", [{"made_by": "conda-bundler 0.0.1"}, {"templates_sha256": "0" * 64}])
def test_programs_of_another_version_are_not_compared_and_it_is_said(bundle: Path, changed: dict[str, Any]) -> None:
    manage = bundle / "manage"
    manage.write_text(manage.read_text().replace("set -eu\n", "set -eu\nid\n", 1))
    script = bundle / "install.sh"
    if "made_by" in changed:
        script.write_text(
            re.sub(r"^TOOL_VERSION=.*", "TOOL_VERSION=0.0.1", script.read_text(), count=1, flags=re.MULTILINE)
        )
    reseal(bundle, **changed)
    report = verify(bundle, QUIET)
    assert not report.programs_compared
    assert report.not_compared[:2] == ("install.sh", "manage")
    assert "its scripts were not compared, because another" in report.lines()[0]
    assert "install.sh, manage" in report.lines()[-1]


def test_segments_that_are_not_the_payloads(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    segments = manifest["payload"]["segments"]
    assert len(segments) > 5
    for change in ({"sha256": "0" * 64}, {"offset": segments[1]["offset"] + 1}, {"length": segments[1]["length"] - 1}):
        reseal(bundle, payload={"segments": [segments[0], segments[1] | change, *segments[2:]]})
        assert "segment" in refused(bundle)
    reseal(bundle, payload={"segments": segments[:-1]})
    assert "its segments do not cover all of it" in refused(bundle)
    reseal(bundle, payload={"segments": segments})
    verify(bundle, QUIET)


def test_parts_that_are_not_the_payloads(bundle: Path) -> None:
    segments = segments_of(bundle)
    put_segments(bundle, segments, parts=(0, len(segments[0]) + len(segments[1])))
    verify(bundle, QUIET)
    parts = json.loads((bundle / "manifest.json").read_text())["payload"]["parts"]
    for change in ({"sha256": "0" * 64}, {"offset": parts[1]["offset"] + 1}):
        reseal(bundle, payload={"parts": [parts[0], parts[1] | change]})
        assert "the part at" in refused(bundle)
    reseal(bundle, payload={"parts": parts[:1]})
    assert "its parts do not cover all of it" in refused(bundle)


def test_another_tree_than_the_manifests(bundle: Path) -> None:
    reseal(bundle, tree_digest="0" * 64)
    assert "unpacks to different files" in refused(bundle)


def test_a_payload_written_anew_is_right_as_long_as_it_is_plain(bundle: Path) -> None:
    repack(bundle, lambda members: None)
    verify(bundle, QUIET)


def hidden(content: bytes) -> tuple[bytes, bytes]:
    """A part that begins within a file's content: what is the file's to one reader is a member to another."""
    inside = tar_header("app/data/hidden.sh", 0o755, size=len(content)) + content + tar_padding(len(content))
    about = b"A text that anybody may read.\n".ljust(1024, b".")
    header = tar_header("app/data/about.txt", 0o644, size=len(about) + len(inside))
    return gzip.compress(header + about, mtime=0), gzip.compress(inside, mtime=0)


@pytest.mark.parametrize("cut", ["a part", "a segment"])
def test_no_part_or_segment_begins_within_a_file(bundle: Path, cut: str) -> None:
    segments = segments_of(bundle)
    first, second = hidden(b"#!/bin/sh\n# in no listing\n")
    put = [*segments[:-1], *([first, second] if cut == "a segment" else [first + second]), segments[-1]]
    offset = sum(map(len, segments[:-1])) + len(first)
    reseal(bundle, payload={"unpacked_size": 1 << 20, "parts": []})
    put_segments(bundle, put, parts=(0, offset))
    says = {
        "a part": f"the part at offset {offset} starts inside a segment",
        "a segment": "cannot be unpacked: it is truncated",
    }
    assert says[cut] in refused(bundle)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "xz"])
def test_each_segment_is_whole_frames_and_nothing_else(tmp_path: Path, codec: str) -> None:
    """The tools on targets pass over some of this, each over other things."""
    channel, project = make_channel(tmp_path / "channel"), make_project(tmp_path / "project")
    bundle = build(project, channel, "dir", "--compression", codec)
    segments = segments_of(bundle)
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0skip"
    bad = {
        "truncated": segments[1][:-1],
        "without its checksum": segments[1][:-4],
        "padded": segments[1] + bytes(4),
        "begun": segments[1] + segments[2][:9],
        "skippable": skippable + segments[1],
    }
    for name, segment in bad.items():
        put_segments(bundle, [segments[0], segment, *segments[2:]])
        assert "cannot be unpacked" in refused(bundle), name
    # The cut one and what is cut off, each with its digest: one stream to whoever reads it as one.
    put_segments(bundle, [segments[0], segments[1][:-3], segments[1][-3:] + segments[2], *segments[3:]])
    assert "cannot be unpacked: a frame is truncated" in refused(bundle)
    put_segments(bundle, segments)
    verify(bundle, QUIET)


@pytest.mark.parametrize("where", ["in the midst", "behind the end"])
def test_a_tar_ends_once_and_nothing_is_behind_it(bundle: Path, where: str) -> None:
    segments, end = segments_of(bundle), gzip.compress(END, mtime=0)
    put_segments(bundle, [*segments[:-1], *((end, segments[-1]) if where == "in the midst" else (segments[-1] + end,))])
    assert {"in the midst": "in the middle", "behind the end": "data after its end"}[where] in refused(bundle)


def test_the_payload_has_the_list_of_its_digests(bundle: Path) -> None:
    """Without it the target would take whatever is unpacked for what was built."""

    def without(members: Members) -> None:
        members[:] = [(info, content) for info, content in members if info.name != "share/digests"]

    repack(bundle, without)
    assert "share/digests is missing" in refused(bundle)


def test_what_install_sh_compares_with_is_the_payloads(bundle: Path) -> None:
    reseal(bundle, payload={"unpacked_sha256": "0" * 64, "parts": []})
    assert "unpacks to different directories, modes or sizes than manifest.json says" in refused(bundle)


def entry(
    name: str, *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname = mode, kind, link
    return info, b""


EVIL = {
    "setuid": (entry("app/evil", mode=0o4755), "setuid"),
    "sticky": (entry("app/evil", mode=0o1755), "sticky"),
    "writable by all": (entry("app/evil", mode=0o666), "mode 666"),
    "a directory writable by all": (entry("app/evil", mode=0o777, kind=tarfile.DIRTYPE), "mode 777"),
    "a device": (entry("app/evil", kind=tarfile.CHRTYPE), "app/evil is a device"),
    "a FIFO": (entry("app/evil", kind=tarfile.FIFOTYPE), "app/evil is a FIFO"),
    "a hard link": (entry("app/evil", kind=tarfile.LNKTYPE, link="app/data/text"), "app/evil is a hard link"),
    "absolute": (entry("/etc/evil"), "points outside"),
    "..": (entry("app/../../evil"), "points outside"),
    ".": (entry("app/./evil"), "points outside"),
    "beside": (entry("evil"), "other than env/"),
    "twice": (entry("app/data/text"), "twice"),
    "a link that leaves it": (
        entry("app/evil", kind=tarfile.SYMTYPE, link="../../etc/passwd"),
        "to a path outside the release",
    ),
    "an absolute link": (entry("app/evil", kind=tarfile.SYMTYPE, link="/etc/passwd"), "to a path outside the release"),
    "through a link": (entry("app/data/link/evil"), "not a directory"),
    "an old GNU long name": (entry("././@LongLink", kind=b"L"), "something that no bundle has"),
}


@pytest.mark.parametrize("name", EVIL)
def test_no_evil_payload_passes_however_well_it_is_sealed(bundle: Path, name: str) -> None:
    member, says = EVIL[name]
    repack(bundle, lambda members: members.append(member))
    assert says in refused(bundle)


def test_a_payload_that_unpacks_to_more_than_is_said(bundle: Path) -> None:
    """No disk is filled by looking, nor a day spent on a gigabyte of zeros."""

    def more(members: Members) -> None:
        members.append((entry("app/bomb")[0], bytes(1 << 20)))

    repack(bundle, more)
    reseal(bundle, payload={"unpacked_size": 1000})
    assert "more bytes than the manifest says" in refused(bundle)


def test_a_list_of_digests_that_lies(bundle: Path) -> None:
    """The target takes it at its word, since the payload's digest was right."""

    def lie(members: Members) -> None:
        at = next(number for number, (info, _) in enumerate(members) if info.name == "share/digests")
        members[at] = (members[at][0], members[at][1].replace(b"  ./env/bin/tool", b"  ./env/bin/fool"))

    repack(bundle, lie)
    assert "share/digests does not match its files" in refused(bundle)


@pytest.mark.parametrize("path", ["share/contents", "share/links"])
def test_other_lists_that_lie(bundle: Path, path: str) -> None:
    """By these a target takes files of another release for this one's."""

    def lie(members: Members) -> None:
        at = next(number for number, (info, _) in enumerate(members) if info.name == path)
        members[at] = (members[at][0], members[at][1][::-1])

    repack(bundle, lie)
    assert f"{path} does not match its files" in refused(bundle)


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another's ID": ({"id": "a" * 64}, "segment library unpacks to other files than its ID in manifest.json says"),
    "never to be linked": ({"id": "-"}, "share/contents does not match its files"),
    "other files": ({"files": 1}, "segment library unpacks to a different number of files or bytes"),
    "another size": ({"kib": 4}, "segment library unpacks to a different number of files or bytes"),
    "no ID": ({"id": ""}, "does not say what its segments unpack to"),
}


@pytest.mark.parametrize("name", LIES)
def test_what_is_said_of_a_segment_is_compared_with_it(bundle: Path, name: str) -> None:
    change, says = LIES[name]
    segments = json.loads((bundle / "manifest.json").read_text())["payload"]["segments"]
    reseal(bundle, payload={"segments": [one | (change if one["name"] == "library" else {}) for one in segments]})
    assert says in refused(bundle)


@pytest.mark.parametrize("change", ["another ID", "a line less", "a line more", "another offset"])
def test_the_list_of_segments_is_the_manifests(bundle: Path, change: str) -> None:
    """install.sh reads that, and verify reads the manifest."""
    path = bundle / "segments"
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    changed = {
        "another ID": text.replace(lines[1].split()[3], "a" * 64),
        "a line less": "".join(lines[:-1]),
        "a line more": text + lines[-1],
        "another offset": text.replace(" ", "0 ", 1),
    }
    path.write_text(changed[change])
    reseal(bundle, keep_segments=True)
    assert "segments is not the list that manifest.json makes" in refused(bundle)


def test_a_tar_that_somebody_packed_again(bundle: Path, tmp_path: Path) -> None:
    """Its files are right, and the tar is not ours: it is said what to do."""
    again = tmp_path / "again.tar"
    subprocess.run(["tar", "-C", bundle.parent, "-cf", again, TOP], check=True)
    assert "verify the directory" in refused(again)
    digest = hashlib.sha256(again.read_bytes()).hexdigest()
    (tmp_path / "again.tar.sha256").write_text(f"{digest}  again.tar\n")
    assert verify(again, QUIET).form == "tar"


def test_a_member_that_is_in_the_tar_twice(bundles: dict[str, Path], tmp_path: Path) -> None:
    """tar(1) would unpack the last one, and we look at the first."""
    file = tmp_path / "twice.tar"
    with tarfile.open(bundles["tar"]) as old, tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as new:
        for info in old:
            new.addfile(info, old.extractfile(info) if info.isfile() else None)
        info = tarfile.TarInfo(f"{TOP}/install.sh")
        info.size = 4
        new.addfile(info, io.BytesIO(b"evil"))
    assert "install.sh appears twice" in refused(file)


def test_nothing_is_written(bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = sorted(bundles["tar"].parent.rglob("*"))
    assert command("verify", bundles["tar"]).returncode == 0
    assert sorted(bundles["tar"].parent.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_bundle(tmp_path: Path) -> None:
    cases: dict[str, Callable[[Path], object]] = {
        "empty": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("hello"),
        "script": lambda path: path.write_text("#!/bin/sh\necho hello\n"),
        "directory": lambda path: path.mkdir(),
        "zeros": lambda path: path.write_bytes(bytes(10240)),
        "fifo": os.mkfifo,
    }
    for name, make in cases.items():
        make(tmp_path / name)
        with pytest.raises(BundlerError, match="not a bundle"):
            verify(tmp_path / name, QUIET)
