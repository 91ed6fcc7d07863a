"""relocate.sh under several shells and tools: what it makes of a release is what the linker makes for the new root."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from lockkit import lock_of, locked
from shellkit import BUSYBOX, GNU, SHELLS_WITH_TOOLS, with_functions
from tinychannel import PLACEHOLDER, File, Link, make_package

from bundler.pack.collect import Filters, collect
from bundler.pack.relocation import find, table
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundler.pack.members import Member
    from bundler.pack.relocation import Found

pytestmark = pytest.mark.usefixtures("own_cache")

Tree: TypeAlias = dict[bytes, tuple[int, bytes]]
"""Path -> mode, and content or link target."""

OLD = "/opt/hello"
RELEASE = "1.0-0123456789ab"
SHORTER = "/q"
LONGER = "/srv/apps/a-longer_root/of.the+operator/hello"
NESTED = "/srv/opt/hello"  # holds the old root
ROOTS = (SHORTER, LONGER, NESTED, "/opt/hello/below")
LONGEST = len(PLACEHOLDER) - len(f"/releases/{RELEASE}/env")  # that the binaries below have room for

_APPLETS = "cat cp dd find grep mv od sed sh tr uname wc xargs"

P = PLACEHOLDER.encode()
STRINGS = b"\x7fELF\0" + P + b"\0%s:" + P + b"/lib:" + P + b"/lib64\n\n\0\xff\xfe " + P + b"/@\\0101 '\"%s\n\0tail\0"
FILES: dict[str, bytes | File | Link] = {
    "bin/run": File(content=b"#!" + P + b"/bin/sh\necho\n", mode=0o755, prefix="text"),
    "bin/prog": File(content=STRINGS, mode=0o755, prefix="binary"),
    "bin/link": Link("run"),
    "bin/absolute": Link(f"{PLACEHOLDER}/bin/run"),
    "lib/two.so": File(content=os.urandom(70_000) + b"\0" + P + b"/share\0" + STRINGS, prefix="binary"),
    "lib/no-nul-at-the-end.so": File(content=b"x\0" + P + b"/etc", prefix="binary"),
    "lib/long-string.so": File(content=b"\0" + (P + b" and so on ") * 2000 + b"\0end", prefix="binary"),
    "lib/full.so": File(content=P * 3, prefix="binary"),
    "lib/a path 'of' \"many\"\nlines\\n $(x) `y`;*.so": File(content=STRINGS, prefix="binary"),
    "lib/é.so": File(content=STRINGS, prefix="binary"),
    "lib/ends in a line break.so\n": File(content=STRINGS, prefix="binary"),
    "etc/a path 'of' \"many\"\nlines\\n $(x) `y`;*": File(content=b"a" + P + b"b", prefix="text"),
    "etc/é": File(content=b"a" + P + b"b", prefix="text"),
    "etc/-e": File(content=P, prefix="text"),
    "etc/crlf": File(content=b"a=" + P + b"\r\nb=" + P + b"/x\r\n", prefix="text"),
    "etc/latin-1": File(content="é=ü".encode("latin-1") + P + b"\xff\n", prefix="text"),
    "etc/no-newline": File(content=b"one\n" + P, prefix="text"),
    "etc/one-line": File(content=b"x" * 2_500_000 + P + b"y" * 2_500_000 + P, prefix="text"),
    "etc/nul": File(content=b"a\0" + P + b"\0\0b\n\n\0" + P, prefix="text"),
    "etc/many": File(content=(P + b":" + P + b"\n") * 500, prefix="text"),
    "etc/none": b"nothing to replace",
}


@dataclass(frozen=True)
class Linked:
    """One package as it is linked for any root."""

    archive: Path

    def members(self, root: str) -> tuple[Member, ...]:
        lock = lock_of(locked(self.archive))
        with make_prefix(lock, f"{release_dir(root)}/env", QuietProgress()) as prefix:
            return tuple(read(member) for member in collect(prefix, Filters()))


def read(member: Member) -> Member:
    """The same without its source, which goes with the prefix."""
    if member.source is None:
        return member
    return type(member)(path=member.path, mode=member.mode, content=member.read())


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Linked:
    return Linked(make_package(tmp_path_factory.mktemp("channel"), "nasty", "1.0", files=FILES))


@pytest.fixture(scope="module")
def baked(linked: Linked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage of a fresh unpacking, with its table."""
    stage = tmp_path_factory.mktemp("baked")
    members = linked.members(OLD)
    write(stage, members)
    write_table(stage, map(found_in, members))
    return stage


@pytest.fixture
def stage(baked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(baked, tmp_path / "a stage", symlinks=True))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A stage without an environment: what a test wants is written there by :func:`lay`."""
    (tmp_path / "small").mkdir()
    return tmp_path / "small"


def release_dir(root: str) -> str:
    return f"{root}/releases/{RELEASE}"


def found_in(member: Member) -> Found | None:
    if member.content is None:
        return None
    declared = FILES.get(member.path.removeprefix("env/"))
    mode = declared.prefix if isinstance(declared, File) else None
    return find(member.path, member.read(), release_dir(OLD), mode=mode, placeholder=len(PLACEHOLDER))


def write(stage: Path, members: Iterable[Member]) -> None:
    for member in members:
        path = stage / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.link is not None:
            path.symlink_to(member.link)
        else:
            path.write_bytes(member.read())
            path.chmod(member.mode)


def write_table(stage: Path, found: Iterable[Found | None]) -> None:
    for name, content in table(release_dir(OLD), [entry for entry in found if entry is not None]).items():
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_bytes(content)


def lay(stage: Path, files: Mapping[str | bytes, bytes]) -> None:
    """Write files that no package declares, and their table."""
    for name, content in files.items():
        path = stage / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_table(stage, (find(os.fsdecode(name), data, release_dir(OLD), mode=None) for name, data in files.items()))


def tree(stage: Path) -> Tree:
    paths = (path for path in stage.rglob("*") if path.is_symlink() or not path.is_dir())
    return {
        os.fsencode(path.relative_to(stage)): (
            path.lstat().st_mode,
            os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes(),
        )
        for path in paths
    }


def packed(found: Tree) -> Tree:
    """Without the table, and without conda's records: these have digests of the files as they were linked."""
    return {path: entry for path, entry in found.items() if not path.startswith((b"share/", b"env/conda-meta/"))}


def relocate(
    stage: Path, new: str, *, shell: str = "sh", tools: str = GNU, old: str = OLD, kernel: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run relocate.sh on ``stage`` as install.sh does; ``kernel`` is what uname is to say."""
    room = stage.parent
    (room / "work").mkdir(exist_ok=True)
    settings = "umask 077\nPROGRAM=install.sh\n"
    settings += f"NAME=hello RELEASE={RELEASE} WORK='{room / 'work'}'\n"
    if kernel:
        settings += f"uname() {{ echo {kernel}; }}\n"
    script = room / "script.sh"
    script.write_text(with_functions(settings + 'relocate "$@"\necho done\n'))
    environment = dict(os.environ)
    if tools == BUSYBOX:
        environment["PATH"] = str(applets(room))
    program, *words = shell.split()
    words = [shutil.which(program) or pytest.skip(f"{program} is missing"), *words, str(script), str(stage), old, new]
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd="/", timeout=120, check=False)


def applets(room: Path) -> Path:
    """A directory with nothing but busybox's tools."""
    busybox = shutil.which("busybox") or pytest.skip("busybox is missing")
    directory = room / "applets"
    directory.mkdir(exist_ok=True)
    for name in _APPLETS.split():
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to(busybox)
    return directory


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_what_the_linker_makes_for_that_root(linked: Linked, stage: Path, root: str, shell: str, tools: str) -> None:
    before = tree(stage)
    expected = stage.parent / "expected"
    write(expected, linked.members(root))

    done = relocate(stage, root, shell=shell, tools=tools)

    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    after = tree(stage)
    assert packed(after) == packed(tree(expected))
    assert {path: after[path] for path in after.keys() - packed(after).keys()} == {
        path: before[path] for path in before.keys() - packed(before).keys()
    }
    assert done.stderr == f"hello {RELEASE}: adapting its files to {root}\n"


def test_the_longest_root_that_fits(linked: Linked, stage: Path) -> None:
    root = "/" + "r" * (LONGEST - 1)
    write(stage.parent / "expected", linked.members(root))
    # The linker writes no interpreter line that kernels would cut, so this one is not for comparison.
    write_table(stage, (found_in(member) for member in linked.members(OLD) if member.path != "env/bin/run"))

    done = relocate(stage, root)

    assert done.returncode == 0, done.stderr
    differing = dict(packed(tree(stage)).items() ^ packed(tree(stage.parent / "expected")).items())
    assert list(differing) == [b"env/bin/run"]


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_a_root_that_does_not_fit_is_refused_before_a_file_is_touched(stage: Path, shell: str, tools: str) -> None:
    before = tree(stage)
    done = relocate(stage, "/" + "r" * LONGEST, shell=shell, tools=tools)
    assert done.returncode == 10
    assert f"has {LONGEST + 1} bytes, the maximum is {LONGEST} (its programs have no room)" in done.stderr
    assert "Choose a shorter one." in done.stderr
    assert tree(stage) == before


@pytest.mark.parametrize(("kernel", "limit"), [("4.18.0-553.el8", 127), ("5.0.21", 127), ("5.1", 255), ("6.1.0", 255)])
def test_interpreter_lines_fit_the_kernel(small: Path, kernel: str, limit: int) -> None:
    script = f"#!{release_dir(OLD)}/env/bin/python3.11\n".encode()
    longest = limit - len(f"#!/releases/{RELEASE}/env/bin/python3.11")
    lay(small, {"env/bin/x": script})
    before = tree(small)
    refused = relocate(small, "/" + "r" * longest, kernel=kernel)
    assert refused.returncode == 10
    assert f"the maximum is {longest} (this kernel reads {limit} bytes" in refused.stderr
    assert tree(small) == before
    assert relocate(small, "/" + "r" * (longest - 1), kernel=kernel).returncode == 0
    assert (small / "env/bin/x").read_bytes().index(b"\n") == limit


@pytest.mark.parametrize(
    "root", ["relative", "", "/", "/ends/", "/a b", "/a|b", "/a&b", "/a\\b", "/a\nb", "/ü", "/a@b"]
)
def test_a_root_of_other_characters_is_refused(small: Path, root: str) -> None:
    lay(small, {"env/x": release_dir(OLD).encode()})
    before = tree(small)
    done = relocate(small, root)
    assert done.returncode == 2
    assert "not a valid root directory" in done.stderr
    assert tree(small) == before


def test_the_default_root_needs_no_table(small: Path) -> None:
    assert relocate(small, OLD).stdout == "done\n"
    refused = relocate(small, SHORTER)
    assert refused.returncode == 11
    assert "no relocation table" in refused.stderr


def test_a_table_of_another_release_is_refused(small: Path) -> None:
    lay(small, {"env/x": release_dir(OLD).encode()})
    before = tree(small)
    done = relocate(small, SHORTER, old="/opt/other")
    assert done.returncode == 11
    assert tree(small) == before


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_paths_of_any_bytes_and_files_that_are_read_only(small: Path, shell: str, tools: str) -> None:
    names = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    names.append(b"n" * 249)  # the longest that busybox's sed has a temporary name for
    files: dict[str | bytes, bytes] = {b"app/" + name: b"x " + release_dir(OLD).encode() for name in names}
    lay(small, files)
    for name in files:
        (small / os.fsdecode(name)).chmod(0o444)

    done = relocate(small, SHORTER, shell=shell, tools=tools)

    assert done.returncode == 0, done.stderr
    after = tree(small)
    assert {name: entry for name, entry in after.items() if name.startswith(b"app/")} == {
        name: (0o100444, f"x {release_dir(SHORTER)}".encode()) for name in files
    }


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_binaries_by_names_of_any_bytes(small: Path, shell: str, tools: str) -> None:
    content = f"{release_dir(OLD)}/env/x".encode().ljust(300, b"\0")
    names = [b"lib/" + bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    entries = []
    for name in names:
        (small / "lib").mkdir(exist_ok=True)
        (small / os.fsdecode(name)).write_bytes(content)
        entries.append(find(os.fsdecode(name), content, release_dir(OLD), mode="binary", placeholder=200))
    write_table(small, entries)
    done = relocate(small, LONGER, shell=shell, tools=tools)
    assert done.returncode == 0, done.stderr
    expected = f"{release_dir(LONGER)}/env/x".encode().ljust(300, b"\0")
    assert {content for path, (_, content) in tree(small).items() if path.startswith(b"lib/")} == {expected}


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_units_and_settings_name_the_new_root(small: Path, root: str, shell: str, tools: str) -> None:
    unit = (
        "RequiresMountsFor={root} /var/lib/hello\nRequiresMountsFor={root}\n"
        "ExecStart={root}/releases/{release}/env/bin/python -I{root}/releases/{release}/app -m hello\n"
        "ExecStartPre=-{root}/manage status\nEnvironmentFile=-{root}/releases/{release}/config/hello.env\n"
        'Environment="PATH={root}/releases/{release}/env/bin:/usr/bin" "A={root}" B={root}:{root}\n'
        "WorkingDirectory=/srv{other}\nX=/opt/hello-data /opt/hello.d /opt/hello2 my/opt/hello /opt/hell\n"
        "Y=file://{root}/x {root}/releases/0.9-ba9876543210/app"
    )

    def text(of: str) -> bytes:
        return unit.format(root=of, release=RELEASE, other=OLD).encode()

    lay(small, {"app/x": b""})
    names = ("units/hello.service", "units/sub dir/x.conf", "config/hello.env")
    for name in names:
        (small / name).parent.mkdir(parents=True, exist_ok=True)
        (small / name).write_bytes(text(OLD))
        (small / name).chmod(0o644)

    done = relocate(small, root, shell=shell, tools=tools)

    assert done.returncode == 0, done.stderr
    assert {name: tree(small)[name.encode()] for name in names} == {name: (0o100644, text(root)) for name in names}


def test_a_failure_says_what_failed(stage: Path) -> None:
    (stage / "env/etc/crlf").unlink()
    done = relocate(stage, SHORTER)
    assert done.returncode == 12
    assert "cannot rewrite the release's text files" in done.stderr


def test_a_binary_that_is_missing(stage: Path) -> None:
    (stage / "env/lib/full.so").unlink()
    done = relocate(stage, SHORTER)
    assert done.returncode == 12
    assert "cannot copy env/lib/full.so" in done.stderr


@pytest.mark.parametrize("root", [SHORTER, NESTED])
def test_a_file_that_was_not_rewritten_is_noticed(stage: Path, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    lay_program(stage, monkeypatch, "sed", 'case $1 in -i) ;; *) exec /bin/sed "$@" ;; esac')
    done = relocate(stage, root)
    assert done.returncode == 12
    assert f"still contain {release_dir(OLD)}" in done.stderr


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("sed", 'exec /bin/sed "$@" | tr -d "\\0"', "does not preserve"),
        ("xargs", 'shift; exec /usr/bin/xargs "$@"', "no option -0"),
    ],
)
def test_tools_that_cannot_do_it_are_found_out_first(
    stage: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str, sentence: str
) -> None:
    lay_program(stage, monkeypatch, name, body)
    before = tree(stage)
    done = relocate(stage, SHORTER)
    assert done.returncode == 10
    assert sentence in done.stderr
    assert tree(stage) == before


def lay_program(stage: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> None:
    """Lay a program before all others of its name."""
    directory = stage.parent / "lame"
    directory.mkdir()
    (directory / name).write_text(f"#!/bin/sh\n{body}\n")
    (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
