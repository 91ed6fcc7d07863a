"""`conda-bundler build` with link scripts: the bundle, what is told of it, and what a killed build leaves."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from smallbundle import command
from tinychannel import PLACEHOLDER, File, index, make_package
from waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[2]
USER = 12345
CONFIG = """
[bundle]
name = "small"
version = "1.0"
link_scripts = {scripts}
exclude = ["var/log/*"]
[services.small]
command = ["tool"]
profile = "generic"
"""
SCRIPT = r"""
set -e
mkdir -p $PREFIX/etc $PREFIX/var/log
echo "home=$PREFIX" >$PREFIX/etc/eager.conf
printf 'cache\0%s\0' $PREFIX >$PREFIX/share/cache
echo "set up by $PKG_NAME" >>$PREFIX/share/plain
$PREFIX/bin/tool >$PREFIX/share/answer
date +%N >$PREFIX/var/log/install
echo "eager is ready" >$PREFIX/.messages.txt
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that others can read, too; its caches are its own."""
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def open_room() -> Iterator[Path]:
    """A directory whose parents an ordinary user can pass."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def make_project(room: Path, script: str, scripts: str) -> Path:
    """The project of an environment with ``eager``, whose post-link script this is, and with ``plain``."""
    channel, project = room / "channel", room / "project"
    tool = File(content=f"#!/bin/sh\necho {PLACEHOLDER}\n".encode(), mode=0o755, prefix="text")
    make_package(channel, "tool", "1.0", files={"bin/tool": tool}, depends=["__glibc >=2.17,<3.0.a0"])
    files: dict[str, Any] = {"bin/.eager-post-link.sh": script.encode(), "share/plain": b"plain\n"}
    make_package(channel, "eager", "1.0", files=files, depends=["tool"])
    index(channel)
    project.mkdir(exist_ok=True)
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [eager]\n")
    (project / "bundle.toml").write_text(CONFIG.format(scripts=scripts))
    return project


def build(project: Path, output: str = "dist") -> subprocess.CompletedProcess[str]:
    channel = (project.parent / "channel").as_uri()
    words = ("--channel", channel, "--format", "dir", "--output-dir", project / output)
    return command("build", project, *words)


def contents(bundle: Path) -> dict[str, bytes]:
    with tarfile.open(bundle / "payload.tar.gz") as tar:
        return {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]


def test_the_bundle_says_what_scripts_have_done(room: Path) -> None:
    project = make_project(room, SCRIPT, '["eager"]')
    done = build(project)
    assert done.returncode == 0, done.stderr
    assert "eager: ran its post-link script: 3 files added (etc/eager.conf, " in done.stderr
    assert "  eager: eager is ready" in done.stderr
    assert "is not run" not in done.stderr
    bundle = project / "dist" / "small-1.0-linux-64"
    manifest = json.loads((bundle / "manifest.json").read_text())
    baked = manifest["baked_prefix"]
    held = contents(bundle)
    assert held["env/etc/eager.conf"] == f"home={baked}\n".encode()
    assert held["env/share/answer"] == f"{baked}\n".encode()
    assert held["env/share/plain"] == b"plain\nset up by eager\n"
    assert "env/var/log/install" not in held
    assert b"env/etc/eager.conf\0" in held["share/relocation/text"]
    assert manifest["link_scripts"] == [
        {
            "package": "eager",
            "script": "post-link",
            "added": ["etc/eager.conf", "share/answer", "share/cache"],
            "changed": ["share/plain"],
            "removed": [],
        }
    ]
    assert [(note["kind"], note["path"]) for note in manifest["notes"]] == [("baked", "share/cache")]
    assert "note: share/cache: the link script of" in done.stderr
    assert command("verify", bundle).returncode == 0
    told = command("inspect", bundle).stdout
    assert "link scripts that ran at build time" in told
    assert "eager, post-link  added etc/eager.conf" in told
    assert json.loads(command("inspect", "--json", bundle).stdout)["link_scripts"] == manifest["link_scripts"]


def test_the_same_inputs_are_the_same_bytes(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the caches hold, and whatever time a build gives to its archives."""
    project = make_project(room, SCRIPT + "\necho $SOURCE_DATE_EPOCH >$PREFIX/share/epoch", '"all"')
    trees = []
    for number in range(2):
        assert build(project, f"dist{number}").returncode == 0
        bundle = project / f"dist{number}" / "small-1.0-linux-64"
        trees.append({path.name: path.read_bytes() for path in bundle.rglob("*") if path.is_file()})
        if number == 0:
            shutil.rmtree(room / "cache")
    assert trees[0] == trees[1]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert build(project).returncode == 0
    ids = [
        json.loads((project / name / "small-1.0-linux-64" / "manifest.json").read_text()) for name in ("dist0", "dist")
    ]
    assert ids[0]["build_id"] == ids[1]["build_id"]
    assert ids[0]["tree_digest"] == ids[1]["tree_digest"]


def test_consent_is_an_input_of_the_build_id(room: Path) -> None:
    found = {}
    for scripts in ("[]", '["eager"]', '"all"'):
        project = make_project(room, SCRIPT, scripts)
        done = build(project)
        assert done.returncode == 0, done.stderr
        found[scripts] = json.loads((project / "dist" / "small-1.0-linux-64" / "manifest.json").read_text())["build_id"]
        note = 'add this line under [bundle]: link_scripts = ["eager"]'
        assert (note in done.stderr) == (scripts == "[]")
    assert len(set(found.values())) == 3


@pytest.mark.parametrize(
    ("script", "scripts", "status", "said"),
    [
        ("true", '["eagre"]', 2, "bundle.link_scripts: no package 'eagre' is locked; did you mean 'eager'?"),
        ("true", '["tool"]', 2, "tool has neither a pre-link nor a post-link script"),
        ("true", '"some"', 2, "bundle.link_scripts"),
        ("echo oh; exit 3", '"all"', 6, "eager: its post-link script failed with status 3"),
        (
            "ln -s /etc/shadow $PREFIX/x",
            '"all"',
            6,
            "eager: its link script wrote x, which is a symbolic link to a path outside",
        ),
        ("date +%N >$PREFIX/x", '"all"', 6, "x differs between two runs"),
    ],
)
def test_what_is_refused(room: Path, script: str, scripts: str, status: int, said: str) -> None:
    project = make_project(room, script, scripts)
    done = build(project)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in (project / "dist").rglob("*") if path.is_file()]
    assert not list((room / "cache").glob("prefix/*"))


def test_a_killed_build_leaves_nothing_that_the_next_one_does_not_remove(room: Path) -> None:
    seconds = f"4{secrets.randbelow(10**8):08}"
    project = make_project(
        room, f"mkdir $PREFIX/locked; touch $PREFIX/begun; chmod 0 $PREFIX/locked; sleep {seconds}", '"all"'
    )
    channel = (room / "channel").as_uri()
    words: list[str | Path] = [sys.executable, "-m", "bundler", "build", project, "--channel", channel]
    running = subprocess.Popen(words, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    assert until(lambda: list((room / "cache" / "prefix").rglob("begun")))
    running.send_signal(signal.SIGKILL)
    running.wait()
    sleeping = ["pgrep", "-f", f"sleep {seconds[:-1]}[{seconds[-1]}]"]
    assert until(lambda: subprocess.run(sleeping, capture_output=True, check=False).returncode == 1)
    left = list((room / "cache" / "prefix").iterdir())
    assert len(left) == 1
    (project / "bundle.toml").write_text(CONFIG.format(scripts="[]"))
    assert build(project).returncode == 0
    assert not list((room / "cache" / "prefix").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to become somebody else")
def test_an_ordinary_user_builds_the_same(open_room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"{SCRIPT}\nid >$PREFIX/share/id; mkdir $PREFIX/locked; echo x >$PREFIX/locked/in; chmod 0 $PREFIX/locked"
    project = make_project(open_room, script, '"all"')
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(open_room / "cache"))
    done = build(project, "dist-root")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(open_room / "cache")
    # The rights to read our Python, which may lie in root's home; see test_cage.py.
    user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    user += ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    for path in (open_room, project, *project.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    words: list[str | Path] = [
        *user,
        sys.executable,
        "-m",
        "bundler",
        "build",
        project,
        "--channel",
        (open_room / "channel").as_uri(),
    ]
    words += ["--format", "dir", "--output-dir", project / "dist-user"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=os.environ | {"HOME": str(open_room)}
    )
    assert done.returncode == 0, done.stderr
    bundles = [project / name / "small-1.0-linux-64" for name in ("dist-root", "dist-user")]
    assert contents(bundles[0]) == contents(bundles[1])
    assert not list((open_room / "cache" / "prefix").iterdir())
