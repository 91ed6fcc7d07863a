"""Packages' own scripts: with consent they run at build, in the cage, and what they do is told and packed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from lockkit import lock_of, locked
from pypikit import make_wheel
from tinychannel import PLACEHOLDER, File, Link, make_package
from waiting import until

from bundler.cage import Limits
from bundler.errors import BundlerError, ConfigError, MissingToolError, PackError, PrefixError
from bundler.linkscripts import run
from bundler.linkscripts.consent import Consent
from bundler.pack.collect import Note, collect, find_notes
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.linkscripts.run import Effects
    from bundler.locked import LockedPackage

EVERYBODY = Consent(packages="all")
NOBODY = Consent()
BAKED = "/opt/hello/releases/1.0-0123456789ab/env"
Files = dict[str, "bytes | File | Link"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run, "PAUSE", 0)


class Told(QuietProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.lines.append(text)


def scripted(script: str, files: Files | None = None, *, name: str = "eager", kind: str = "post-link") -> Files:
    """The files of a package whose script this is."""
    return (files or {}) | {f"bin/.{name}-{kind}.sh": File(content=script.encode(), mode=0o755)}


def package(room: Path, files: Files, name: str = "eager", *, depends: tuple[str, ...] = ()) -> LockedPackage:
    made = make_package(room / "channel", name, "1.0", files=files, build_number=7, depends=depends)
    return locked(made, depends=depends)


@dataclass(frozen=True, kw_only=True)
class Linked:
    """What a prefix was: ``tree`` is everything that would be packed of it, with its ``modes``."""

    effects: tuple[Effects, ...]
    tree: dict[str, bytes | str]
    modes: dict[str, int]
    notes: tuple[Note, ...]


def linked(*packages: LockedPackage, consent: Consent = EVERYBODY, told: Told | None = None) -> Linked:
    with make_prefix(lock_of(*packages), BAKED, told or Told(), consent=consent) as prefix:
        members = collect(prefix)
        return Linked(
            effects=prefix.effects,
            tree={member.path: member.link or member.read() for member in members if not member.is_directory},
            modes={member.path: member.mode for member in members},
            notes=find_notes(prefix),
        )


def refused(script: str, room: Path, files: Files | None = None) -> BundlerError:
    with pytest.raises(BundlerError) as caught:
        linked(package(room, (files or {}) | scripted(script)))
    assert caught.value.where
    assert caught.value.remedy
    assert list(cache_dir("prefix").iterdir()) == []
    return caught.value


def cached(room: Path) -> dict[str, tuple[str, int, int]]:
    """Each file of the package cache, with its digest, mode and owner."""
    return {
        str(path.relative_to(room)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_mode,
            path.stat().st_uid,
        )
        for path in (room / "cache" / "pkgs").rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_what_a_script_writes_is_packed_and_told(tmp_path: Path) -> None:
    script = (
        'mkdir -p "$PREFIX/etc/eager"; echo "home=$PREFIX" >"$PREFIX/etc/eager/conf"; '
        'printf "#!/bin/sh\\n" >"$PREFIX/bin/made"; chmod 700 "$PREFIX/bin/made"; ln -s ../etc/eager $PREFIX/share/e; '
        'ln -s "$PREFIX/etc" "$PREFIX/absolute"; ln -s "$PREFIX" "$PREFIX/share/top"; echo more >>"$PREFIX/share/old"; '
        'rm "$PREFIX/share/gone"; chmod +x "$PREFIX/share/plain"'
    )
    files = scripted(script, {"share/old": b"old\n", "share/gone": b"x", "share/plain": b"x", "share/kept": b"x"})
    told = Told()
    done = linked(package(tmp_path, files), told=told)
    tree, modes = done.tree, done.modes
    assert tree["env/etc/eager/conf"] == f"home={BAKED}\n".encode()
    assert (tree["env/share/e"], tree["env/absolute"], tree["env/share/top"]) == ("../etc/eager", "etc", "..")
    assert tree["env/share/old"] == b"old\nmore\n"
    assert "env/share/gone" not in tree
    assert {path: modes[path] for path in ("env/bin/made", "env/etc/eager/conf", "env/share/plain")} == {
        "env/bin/made": 0o755,
        "env/etc/eager/conf": 0o644,
        "env/share/plain": 0o755,
    }
    (effects,) = done.effects
    assert (effects.package, effects.script) == ("eager", "post-link")
    assert effects.added == ("absolute", "bin/made", "etc/eager/conf", "share/e", "share/top")
    assert (effects.changed, effects.removed) == (("share/old", "share/plain"), ("share/gone",))
    assert done.notes == ()
    assert "5 files added (absolute, bin/made" in told.lines[0]


def test_the_package_cache_is_as_it_was(tmp_path: Path) -> None:
    """The linker's files are hard links into it. What is written to in place, too, and by whatever name."""
    files: Files = {"share/old": b"old\n", "lib/text": File(content=f"at {PLACEHOLDER}\n".encode(), prefix="text")}
    one = package(tmp_path, files | scripted("true"))
    linked(one, consent=NOBODY)
    before = cached(tmp_path)
    script = (
        "for file in $PREFIX/share/* $PREFIX/lib/* $PREFIX/bin/.e*; do echo x >>$file; chmod 777 $file; "
        "ln $file $file.2; echo y >>$file.2; done; rm $PREFIX/share/old"
    )
    other = package(tmp_path, scripted(script, name="other"), "other", depends=("eager",))
    tree = linked(one, other).tree
    assert tree["env/lib/text"] == f"at {BAKED}\nx\ny\n".encode()
    after = cached(tmp_path)
    assert {path: after[path] for path in before} == before
    assert len(before) >= 5


def test_two_builds_are_the_same(tmp_path: Path) -> None:
    one = package(
        tmp_path, scripted("ls $PREFIX/bin -A >$PREFIX/list; date -d @$SOURCE_DATE_EPOCH >$PREFIX/date; id; pwd")
    )
    assert linked(one).tree == linked(one).tree


def test_the_environment_is_condas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "secret-word")
    one = package(
        tmp_path,
        scripted("env | sort >$PREFIX/seen; pwd >>$PREFIX/seen; echo $0 >>$PREFIX/seen; echo $- >>$PREFIX/seen"),
    )
    seen = linked(one).tree["env/seen"]
    assert isinstance(seen, bytes)
    lines = seen.decode().splitlines()
    assert {
        f"PREFIX={BAKED}",
        "PKG_NAME=eager",
        "PKG_VERSION=1.0",
        "PKG_BUILDNUM=7",
        "LANG=C.UTF-8",
        "HOME=/tmp",
        f"PATH={BAKED}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"{BAKED}/bin",
        f"{BAKED}/bin/.eager-post-link.sh",
    } <= set(lines)
    assert "x" in lines[-1]
    assert "secret-word" not in seen.decode()
    assert not [line for line in lines if line.startswith(("CONDA_BUNDLER", "PYTEST", "USER", "SSH"))]


def test_scripts_run_in_condas_order_after_all_is_linked(tmp_path: Path) -> None:
    """What nothing binds to others comes first; a circle, as python and pip are, begins where least is missing."""
    note = "echo $PKG_NAME $(ls $PREFIX/share | wc -l) >>$PREFIX/order"
    needs = {"a": ("c", "b"), "b": ("c",), "c": ("a",), "z": ()}
    packages = [
        package(tmp_path, scripted(note, name=name) | {f"share/{name}": b"x"}, name, depends=depends)
        for name, depends in needs.items()
    ]
    done = linked(*packages)
    assert done.tree["env/order"] == b"z 4\nb 4\na 4\nc 4\n"
    assert [one.package for one in done.effects] == ["z", "b", "a", "c"]


def test_what_a_script_asks_of_the_network_it_does_not_get(tmp_path: Path) -> None:
    fetch = "exec 3<>/dev/tcp/127.0.0.1/80"
    error = refused(f"echo fetching; {fetch} || exit 4", tmp_path)
    assert isinstance(error, PackError)
    assert (error.exit_code, error.where) == (6, "eager")
    assert "post-link script failed with status 4" in error.message
    assert "fetching" in (error.remedy or "")
    assert "Network is unreachable" in (error.remedy or "")
    again = package(tmp_path, scripted(f"({fetch}; cat <&3) >$PREFIX/got || true", name="again"), "again")
    assert linked(again).tree["env/got"] == b""


@pytest.mark.parametrize("place", ["/", "/usr/bin", "/etc", "$SOURCE", "$PREFIX/..", "/opt"])
def test_what_it_writes_outside_goes_nowhere(tmp_path: Path, place: str) -> None:
    error = refused(f"set -e; SOURCE={tmp_path}; echo x >{place}/intruder; echo done", tmp_path)
    assert "failed with status 1" in error.message
    assert not list(tmp_path.rglob("intruder"))


def test_its_failure_is_shown_without_what_would_steer_a_terminal(tmp_path: Path) -> None:
    script = "echo told >$PREFIX/.messages.txt; printf 'bad \\033[2J \\007 news\\r\\n' >&2; exit 3"
    error = refused(script, tmp_path)
    text = error.format_message()
    assert "failed with status 3" in text
    assert "bad \\x1b[2J \\x07 news" in text
    assert "    told" in text
    assert "\x1b" not in text


def test_messages_are_shown_and_removed(tmp_path: Path) -> None:
    told = Told()
    script = "printf 'read me\\n\\033[1mbold\\n' >>$PREFIX/.messages.txt; echo noise"
    done = linked(package(tmp_path, scripted(script)), told=told)
    assert "  eager: read me" in told.lines
    assert "  eager: \\x1b[1mbold" in told.lines
    assert "env/.messages.txt" not in done.tree
    assert done.effects[0].added == ()


def test_messages_that_are_a_link_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret-word")
    told = Told()
    tree = linked(package(tmp_path, scripted(f"ln -s {tmp_path}/secret $PREFIX/.messages.txt")), told=told).tree
    assert "env/.messages.txt" not in tree
    assert not [line for line in told.lines if "secret-word" in line]


def test_one_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LIMITS", Limits(seconds=2))
    error = refused("echo begun; sleep 9876543", tmp_path)
    assert "did not finish within 2 seconds" in error.message
    assert "begun" in (error.remedy or "")
    count = ["pgrep", "-f", "sleep 987654[3]"]
    assert until(lambda: subprocess.run(count, capture_output=True, check=False).stdout == b"")


def test_one_that_leaves_a_daemon_behind(tmp_path: Path) -> None:
    """It would write to what is packed after it was looked at."""
    script = "(setsid sh -c 'sleep 2; echo late >$PREFIX/late' </dev/null >/dev/null 2>&1 &); echo x >$PREFIX/soon"
    done = linked(package(tmp_path, scripted(script)))
    assert done.effects[0].added == ("soon",)
    assert "env/late" not in done.tree


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "ln -s /etc/passwd $PREFIX/out",
            "out, which is a symbolic link to a path outside the environment: /etc/passwd",
        ),
        ("ln -s ../../../../../../etc/passwd $PREFIX/lib", "lib, which is a symbolic link to a path outside"),
        ("ln -s $PREFIX/../../etc $PREFIX/out", "out, which is a symbolic link to a path outside"),
        ("rm -r $PREFIX/share; ln -s /etc $PREFIX/share", "share, which is a symbolic link to a path outside"),
        ("cp /bin/true $PREFIX/suid; chmod 4755 $PREFIX/suid", "suid, which has a setuid"),
        ("chmod 2755 $PREFIX/share/plain", "share/plain, which has a setuid, setgid"),
        ("mkfifo $PREFIX/pipe", "pipe, which is a device, a FIFO or a socket"),
        ("touch $PREFIX/$(printf 'a\\033[2Jb')", "a\\x1b[2Jb, which has a name"),
        ("touch $PREFIX/$(printf '\\377')", "which has a name"),
        (
            "echo '{}' >$PREFIX/conda-meta/eager-1.0-0.json",
            "conda-meta/eager-1.0-0.json, which is reserved for conda's package records",
        ),
        ("rm $PREFIX/conda-meta/eager-1.0-0.json", "record"),
        ("echo '{}' >$PREFIX/conda-meta/new-1.0-0.json", "record"),
    ],
)
def test_what_cannot_be_packed_is_refused_by_name(tmp_path: Path, script: str, reason: str) -> None:
    error = refused(script, tmp_path, {"share/plain": b"x"})
    assert (error.exit_code, error.where) == (6, "eager")
    assert reason in error.message
    assert "link_scripts" in (error.remedy or "")


def test_what_differs_from_run_to_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = package(tmp_path, scripted("cd $PREFIX; mkdir share; date +%N >share/stamp; echo same >share/same"))
    with pytest.raises(PackError, match="share/stamp differs between two runs") as caught:
        linked(one)
    assert caught.value.where == "eager"
    assert 'exclude = ["share/stamp"]' in (caught.value.remedy or "")
    left_out = Consent(packages="all", exclude=("share/st*",))
    assert linked(one, consent=left_out).tree["env/share/same"] == b"same\n"
    monkeypatch.undo()
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    seconds = package(tmp_path, scripted("date +%s >$PREFIX/seconds", name="seconds"), "seconds")
    with pytest.raises(PackError, match="seconds differs between two runs"):
        linked(seconds)
    with pytest.raises(PackError, match="share/stamp differs"):
        linked(one, consent=Consent(packages="all", exclude=("share/*",), include=("share/stamp",)))


def test_a_script_that_locks_everybody_out(tmp_path: Path) -> None:
    script = "cd $PREFIX; mkdir -p d/e; echo x >d/e/f; chmod 0 d/e/f; chmod 0 d/e d share"
    done = linked(package(tmp_path, scripted(script, {"share/plain": b"x"})))
    tree, modes = done.tree, done.modes
    assert (tree["env/d/e/f"], modes["env/d/e/f"], tree["env/share/plain"]) == (b"x\n", 0o644, b"x")
    assert list(cache_dir("prefix").iterdir()) == []


def test_bytecode_is_the_builds_business(tmp_path: Path) -> None:
    script = (
        "mkdir -p $PREFIX/lib/python3.11/__pycache__; date +%N >$PREFIX/lib/python3.11/__pycache__/m.cpython-311.pyc"
    )
    done = linked(package(tmp_path, scripted(script) | {"lib/python3.11/m.py": b"X = 1\n"}))
    assert done.effects[0].added == ()
    assert not [path for path in done.tree if path.endswith(".pyc")]


def test_pre_link_runs_before_its_package_and_after_what_it_needs(tmp_path: Path) -> None:
    script = (
        "ls $PREFIX/share >$PREFIX/seen; ls $SOURCE_DIR/share >>$PREFIX/seen; echo mine >$PREFIX/share/eager; "
        "echo x >>$PREFIX/share/base; touch $SOURCE_DIR/share/eager && exit 9; echo $0 >>$PREFIX/seen"
    )
    base = package(tmp_path, {"share/base": b"b"}, "base")
    eager = package(tmp_path, scripted(script, {"share/eager": b"e"}, kind="pre-link"), depends=("base",))
    late = package(tmp_path, {"share/late": b"l"}, "late", depends=("eager",))
    before = linked(base, eager, late, consent=NOBODY), cached(tmp_path)
    done = linked(base, eager, late)
    assert done.tree["env/seen"] == b"base\neager\n/pkgs/eager-1.0-0/bin/.eager-pre-link.sh\n"
    assert (done.tree["env/share/eager"], done.tree["env/share/base"], done.tree["env/share/late"]) == (
        b"e",
        b"bx\n",
        b"l",
    )
    (effects,) = done.effects
    assert (effects.script, effects.added, effects.changed) == ("pre-link", ("seen",), ("share/base",))
    assert cached(tmp_path) == before[1]


def test_a_pre_link_script_cannot_lead_the_copying_out(tmp_path: Path) -> None:
    files = scripted("mkdir $PREFIX/elsewhere; ln -s elsewhere $PREFIX/share", kind="pre-link") | {"share/eager": b"e"}
    with pytest.raises(PackError, match="replaced a package's directory") as caught:
        linked(package(tmp_path, files))
    assert caught.value.where == "share"


def test_a_script_that_is_not_the_packages_is_not_run(tmp_path: Path) -> None:
    """Somebody has written to the package cache: what runs has the declared digest, or nothing runs."""
    one = package(tmp_path, scripted("echo good >$PREFIX/result"))
    linked(one, consent=NOBODY)
    (cache_dir("pkgs") / "eager-1.0-0" / "bin" / ".eager-post-link.sh").write_text("echo evil >$PREFIX/result")
    with pytest.raises(BundlerError, match="in the package cache does not match its package's checksum"):
        linked(one)


def test_what_a_script_has_changed_was_right_before(tmp_path: Path) -> None:
    one = package(tmp_path, scripted("echo more >>$PREFIX/share/old", {"share/old": b"old\n"}))
    linked(one, consent=NOBODY)
    (cache_dir("pkgs") / "eager-1.0-0" / "share" / "old").write_text("not the package's\n")
    with pytest.raises(BundlerError, match="share/old in the package cache does not match its package's checksum"):
        linked(one)


def test_a_script_that_replaces_python_is_refused_and_nothing_of_it_is_run(tmp_path: Path) -> None:
    python: Mapping[str, Any] = {
        "bin/python3.11": File(content=b"#!/bin/sh\necho cpython-311\n", mode=0o755),
        "bin/python": Link("python3.11"),
    }
    make = make_package(tmp_path / "channel", "python", "3.11.0", files=python)
    script = f"printf '#!/bin/sh\\ntouch {tmp_path}/escaped\\n' >$PREFIX/bin/python3.11"
    one = package(tmp_path, scripted(script), depends=("python",))
    with (
        pytest.raises(
            BundlerError, match=r"its link script wrote bin/python3.11, in a directory reserved for Python itself"
        ),
        make_prefix(lock_of(locked(make), one), BAKED, Told(), consent=EVERYBODY),
    ):
        pass
    assert not (tmp_path / "escaped").exists()


def test_nobody_runs_without_consent_and_the_note_says_what_to_write(tmp_path: Path) -> None:
    eager = package(tmp_path, scripted("touch $PREFIX/ran"))
    other = package(tmp_path, scripted("touch $PREFIX/ran-too", name="other", kind="pre-link"), "other")
    done = linked(eager, other, consent=Consent(packages=("other",)))
    assert ("env/ran" in done.tree, "env/ran-too" in done.tree) == (False, True)
    (note,) = done.notes
    assert (note.kind, note.package, note.path) == ("post-link", "eager", "bin/.eager-post-link.sh")
    assert str(note).endswith('add this line under [bundle]: link_scripts = ["eager", "other"]')
    notes = linked(eager, other, consent=NOBODY).notes
    assert [(note.kind, note.package, note.remedy) for note in notes] == [
        ("post-link", "eager", 'link_scripts = ["eager"]'),
        ("pre-link", "other", 'link_scripts = ["other"]'),
    ]


def test_names_that_mean_nothing(tmp_path: Path) -> None:
    eager, plain = package(tmp_path, scripted("true")), package(tmp_path, {"x": b"x"}, "plain")
    with pytest.raises(ConfigError, match="plain has neither a pre-link nor a post-link script") as caught:
        linked(eager, plain, consent=Consent(packages=("plain",)))
    assert caught.value.exit_code == 2
    assert "eager" in (caught.value.remedy or "")
    with pytest.raises(ConfigError, match="no package 'eagre' is locked; did you mean 'eager'"):
        Consent(packages=("eagre",)).check_names({"eager", "plain"})


def test_another_platforms_scripts_cannot_be_run(tmp_path: Path) -> None:
    eager = package(tmp_path, scripted("true"))
    foreign = replace(lock_of(eager), platform="linux-aarch64" if os.uname().machine == "x86_64" else "linux-64")
    with (
        pytest.raises(MissingToolError, match="link scripts of eager are for linux-") as caught,
        make_prefix(foreign, BAKED, Told(), consent=EVERYBODY),
    ):
        pass
    assert caught.value.exit_code == 9
    without = replace(foreign, packages=(package(tmp_path, {"x": b"x"}, "plain"),))
    with make_prefix(without, BAKED, Told(), consent=EVERYBODY) as prefix:
        assert prefix.effects == ()


PYTHON: Files = {"bin/python3.11": File(content=b"#!/bin/sh\n", mode=0o755), "bin/python": Link("python3.11")}


def test_a_noarch_python_package_has_scripts_as_well(tmp_path: Path) -> None:
    """Its script lies elsewhere in the archive."""
    python = locked(make_package(tmp_path / "channel", "python", "3.11.0", subdir="linux-64", files=PYTHON))
    files: Files = {
        "python-scripts/.eager-post-link.sh": b"ls $PREFIX/lib/python3.11/site-packages >$PREFIX/seen",
        "site-packages/eager.py": b"",
    }
    made = make_package(tmp_path / "channel", "eager", "1.0", files=files, python=True, depends=["python"])
    assert linked(python, locked(made, depends=["python"])).tree["env/seen"] == b"eager.py\n"


def test_wheels_are_installed_after_the_scripts(tmp_path: Path) -> None:
    """As pip would, and not over what a script has made."""
    python = locked(make_package(tmp_path / "channel", "python", "3.11.0", subdir="linux-64", files=PYTHON))
    wheel = locked(make_wheel(tmp_path / "wheels", "app", "1.0", files={"app.py": b"X = 1\n"}))
    site = "$PREFIX/lib/python3.11/site-packages"
    eager = package(tmp_path, scripted(f"mkdir -p {site}; ls {site} >$PREFIX/seen; echo x >{site}/other.py"))
    tree = linked(python, eager, wheel).tree
    assert tree["env/seen"] == b""
    assert tree["env/lib/python3.11/site-packages/app.py"] == b"X = 1\n"
    clash = package(tmp_path, scripted(f"mkdir -p {site}; echo x >{site}/app.py", name="clash"), "clash")
    with pytest.raises(PrefixError, match=r"app\.py: the post-link script of clash"):
        linked(python, clash, wheel)
    left_out = linked(python, clash, wheel, consent=Consent(packages="all", exclude=("*/app.py",)))
    assert left_out.tree["env/lib/python3.11/site-packages/app.py"] == b"X = 1\n"
