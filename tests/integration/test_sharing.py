"""Paths that several packages have: one file if it is the same, else a refusal, whose remedy is taken as it stands."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from prefixkit import BAKED, SITE, Steps, conda, install, linked, lock_of, python_package, refused, wheel
from pypikit import ZipEntry
from tinychannel import PLACEHOLDER, File, Link

from bundler.errors import ConfigError
from bundler.fetch.notes import read_note, write_note
from bundler.pack.collect import collect, find_notes
from bundler.pack.segments import Segment
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress
from bundler.resources import cache_dir
from bundler.sharing.owners import Owners

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from prefixkit import Tree

    from bundler.locked import LockedPackage
    from bundler.sharing.shared import Shared


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def python(tmp_path: Path) -> LockedPackage:
    return python_package(tmp_path)


def remedy(said: str) -> dict[str, str]:
    """The table that a refusal proposes, read as it stands there."""
    (line,) = (line for line in said.splitlines() if line.strip().startswith("owners = "))
    owners: dict[str, str] = tomllib.loads(f"[bundle]\n{line}")["bundle"]["owners"]
    return owners


def settled(*packages: LockedPackage, owners: Mapping[str, str] | None = None) -> tuple[tuple[Shared, ...], Tree]:
    """What is told of shared paths, and the tree."""
    table = Owners.of((owners or {}).items())
    with make_prefix(lock_of(*packages), BAKED, QuietProgress(), owners=table) as prefix:
        return prefix.shared, linked(prefix)


def clobbers(*packages: LockedPackage, owners: Mapping[str, str] | None = None) -> list[tuple[str, str, str]]:
    table = Owners.of((owners or {}).items())
    with make_prefix(lock_of(*packages), BAKED, QuietProgress(), owners=table) as prefix:
        return [(note.path, note.package, note.owner) for note in find_notes(prefix)]


def recorded(tree: Tree, project: str, room: Path) -> dict[str, str | None]:
    """What Python itself reads of a wheel's RECORD: its files, each with its digest."""
    about = f"{SITE}/{project}-1.0.dist-info"
    for path, (_, content, _) in tree.items():
        if path.startswith(about):
            (room / path).parent.mkdir(parents=True, exist_ok=True)
            (room / path).write_bytes(content if isinstance(content, bytes) else b"")
    files = importlib.metadata.PathDistribution(room / about).files
    assert files is not None
    return {str(file): file.hash.value if file.hash else None for file in files}


def test_three_wheels_with_the_same_file_share_it(python: LockedPackage, tmp_path: Path) -> None:
    name = "nvidia/__init__.py"
    modes = {"a-cuda": 0o100644, "b-cuda": 0o100755, "c-cuda": 0o100755}
    wheels = [
        wheel(tmp_path, project, files={name: ZipEntry(content=b"", mode=mode), f"{project[0]}.py": b"x"})
        for project, mode in modes.items()
    ]
    shared, tree = settled(python, *wheels)
    (one,) = shared
    assert (one.path, one.owner, one.others) == (f"{SITE}/{name}", "pip:a-cuda", ("pip:b-cuda", "pip:c-cuda"))
    assert (one.same, one.chosen) == (True, False)
    assert tree[f"{SITE}/{name}"] == (0o644, b"", "pip:a-cuda"), "the owner's mode counts"
    empty = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    for project in modes:
        assert recorded(tree, project.replace("-", "_"), tmp_path / "read")[name] == empty
    again = install(python, *wheels)
    assert again == tree
    assert not clobbers(python, *wheels), "nobody has to be told of what is the same"


def test_different_files_are_refused_and_the_remedy_helps(python: LockedPackage, tmp_path: Path) -> None:
    app = wheel(tmp_path, files={"cv2/shared.py": b"one", "cv2/same.py": b"", "app.py": b""})
    rival = wheel(tmp_path, "rival", files={"cv2/shared.py": b"two", "cv2/same.py": b"", "rival.py": b""})
    said = refused(python, app, rival)
    assert f"\n    {SITE}/cv2/shared.py: app (wheel) and rival (wheel)\n" in said
    assert "same.py" not in said
    owners = remedy(said)
    assert owners == {f"{SITE}/cv2/shared.py": "app"}
    shared, tree = settled(python, app, rival, owners=owners)
    assert tree[f"{SITE}/cv2/shared.py"] == (0o644, b"one", "pip:app")
    assert [(one.path.rpartition("/")[2], one.same, one.chosen) for one in shared] == [
        ("same.py", True, False),
        ("shared.py", False, True),
    ]
    losers = recorded(tree, "rival", tmp_path / "read")
    assert losers["cv2/shared.py"] is None, "a digest would be a lie"
    assert losers["cv2/same.py"]
    assert losers["rival.py"]
    assert clobbers(python, app, rival, owners=owners) == [(f"{SITE}/cv2/shared.py", "rival", "app")]
    swapped = install(python, app, rival, owners={f"{SITE}/cv2/*": "RIVAL"})
    assert swapped[f"{SITE}/cv2/shared.py"] == (0o644, b"two", "pip:rival")
    assert swapped[f"{SITE}/cv2/same.py"][2] == "pip:rival"


def test_a_record_that_lies_decides_nothing(python: LockedPackage, tmp_path: Path) -> None:
    row = f"shared.py,sha256={'A' * 43},3\n".encode()
    app, rival = (
        wheel(tmp_path, name, files={"shared.py": content, f"{name}.py": b""}, metadata={"RECORD": row})
        for name, content in (("app", b"one"), ("rival", b"two"))
    )
    assert "shared.py: app (wheel) and rival (wheel)" in refused(python, app, rival)


def test_many_clashes_are_counted_and_settled_at_once(python: LockedPackage, tmp_path: Path) -> None:
    def files(content: bytes) -> dict[str, bytes]:
        scripts = {f"{content.decode()}-1.0.data/scripts/f{number}": content for number in (1, 2)}
        return scripts | {f"[x]/f{number:02}.py": content for number in range(25)}

    packages = [wheel(tmp_path, name, files=files(name.encode())) for name in ("one", "two")]
    packages += [wheel(tmp_path, name, files={"[x]/g": name.encode()}) for name in ("three", "four")]
    said = refused(python, *packages)
    assert said.count("one (wheel) and two (wheel)") == 10
    assert "\n    and 18 more\n" in said
    owners = remedy(said)
    assert owners == {"bin/*": "one", f"{SITE}/[[]x]/*": "one", f"{SITE}/[x]/g": "three"}
    tree = install(python, *packages, owners=owners)
    assert tree[f"{SITE}/[x]/f24.py"][1] == tree["bin/f2"][1] == b"one"
    assert tree[f"{SITE}/[x]/g"][1] == b"three"


def test_what_is_said_already_stays_in_the_remedy(python: LockedPackage, tmp_path: Path) -> None:
    packages = [wheel(tmp_path, name, files={'a"b': name.encode(), "c": name.encode()}) for name in ("one", "two")]
    said = refused(python, *packages, owners={f"{SITE}/c": "two"})
    assert "change owners to" in said
    assert remedy(said) == {f"{SITE}/c": "two", f'{SITE}/a"b': "one"}
    assert install(*[python, *packages], owners=remedy(said))[f"{SITE}/c"][1] == b"two"


@pytest.mark.parametrize(("content", "winner"), [(b"conda's", None), (b"wheel's", "rival"), (b"wheel's", "app")])
def test_a_wheel_and_a_conda_package(python: LockedPackage, tmp_path: Path, content: bytes, winner: str | None) -> None:
    """The same file is conda's. A different one is refused, and may be either's."""
    rival = conda(tmp_path, "rival", files={"site-packages/shared.py": b"conda's"}, python=True)
    app = wheel(tmp_path, files={"shared.py": content, "app.py": b""})
    path = f"{SITE}/shared.py"
    if winner is None:
        shared, tree = settled(python, rival, app)
        assert [(one.owner, one.others, one.same) for one in shared] == [("rival", ("pip:app",), True)]
        assert tree[path] == (0o644, b"conda's", "rival")
        assert recorded(tree, "app", tmp_path / "read")["shared.py"] is not None
        return
    said = refused(python, rival, app)
    assert f"{path}: rival (conda) and app (wheel)" in said
    assert remedy(said) == {path: "rival"}
    shared, tree = settled(python, rival, app, owners={path: winner})
    assert tree[path][1:] == ((b"conda's", "rival") if winner == "rival" else (b"wheel's", "pip:app"))
    record = json.loads(tree["conda-meta/rival-1.0-0.json"][1])
    assert (path in record["files"]) == (winner == "rival")
    assert "__clobbers__" not in json.dumps(record)
    assert (recorded(tree, "app", tmp_path / "read")["shared.py"] is None) == (winner == "rival")
    cached = cache_dir("pkgs") / "rival-1.0-0" / "site-packages" / "shared.py"
    assert cached.read_bytes() == b"conda's", "what is linked from the cache is never written to"


def test_a_file_with_the_prefix_in_it_is_not_the_same(python: LockedPackage, tmp_path: Path) -> None:
    text = f"{PLACEHOLDER}\n".encode()
    rival = conda(tmp_path, "rival", files={"share/x": File(content=text, prefix="text")})
    app = wheel(tmp_path, files={"app-1.0.data/data/share/x": text})
    assert "share/x: rival (conda) and app (wheel)" in refused(python, rival, app)
    tree = install(python, rival, app, owners={"share/x": "rival"})
    assert tree["share/x"] == (0o644, f"{BAKED}\n".encode(), None)
    assert install(python, rival, app, owners={"share/x": "app"})["share/x"] == (0o644, text, "pip:app")


def test_two_packages_of_one_name_are_told_apart(python: LockedPackage, tmp_path: Path) -> None:
    packages = (
        python,
        conda(tmp_path, "xxhash", files={"share/x": b"conda's"}),
        wheel(tmp_path, "xxhash", files={"xxhash-1.0.data/data/share/x": b"wheel's"}),
    )
    assert remedy(refused(*packages)) == {"share/x": "conda:xxhash"}
    assert 'Write "conda:xxhash" or "pip:xxhash"' in refused(*packages, kind=ConfigError, owners={"share/x": "xxhash"})
    assert install(*packages, owners={"share/x": "conda:xxhash"})["share/x"][1] == b"conda's"
    assert install(*packages, owners={"share/x": "pip:xxhash"})["share/x"][1] == b"wheel's"


def test_the_same_console_script_is_one(python: LockedPackage, tmp_path: Path) -> None:
    board, flow = (
        wheel(tmp_path, name, scripts={"tensorboard": "tensorboard.main:run"}) for name in ("tensorboard", "tensorflow")
    )
    shared, tree = settled(python, board, flow)
    assert [(one.path, one.owner, one.same) for one in shared] == [("bin/tensorboard", "pip:tensorboard", True)]
    script = tree["bin/tensorboard"][1]
    assert isinstance(script, bytes)
    assert b"from tensorboard.main import run" in script
    assert "../../../bin/tensorboard" in recorded(tree, "tensorflow", tmp_path / "read")
    alike = conda(tmp_path, "like", python=True, entry_points=["tensorboard = tensorboard.main:run"], files={})
    assert [(one.owner, one.same) for one in settled(python, alike, board)[0]] == [("like", True)]


def test_another_console_script_of_the_name_is_refused(python: LockedPackage, tmp_path: Path) -> None:
    app, rival = (wheel(tmp_path, name, scripts={"run": f"{name}:main"}) for name in ("app", "rival"))
    plain = wheel(
        tmp_path, "plain", files={"plain-1.0.data/scripts/run": ZipEntry(content=b"#!python\n", mode=0o100755)}
    )
    said = refused(python, app, rival, plain)
    assert "bin/run: app (wheel), rival (wheel) and plain (wheel)" in said
    for name, expected in (
        ("app", b"from app import main"),
        ("rival", b"from rival import main"),
        ("plain", b"#!/opt"),
    ):
        mode, content, package = install(python, app, rival, plain, owners={"bin/run": name})["bin/run"]
        assert isinstance(content, bytes)
        assert expected in content
        assert content.startswith(f"#!{BAKED}/bin/python".encode())
        assert (mode, package) == (0o755, None)


@pytest.mark.parametrize("names", [("one", "two"), ("two", "one")])
@pytest.mark.parametrize("file", [b"", Link("elsewhere")])
def test_a_file_in_one_package_and_a_directory_in_another(
    tmp_path: Path, names: tuple[str, str], file: bytes | Link
) -> None:
    first, second = names
    packages = [
        conda(tmp_path, first, files={"share/x": file, "share/elsewhere/z": b""}),
        conda(tmp_path, second, files={"share/x/y": b""}),
    ]
    said = refused(*sorted(packages, key=lambda package: package.name))
    assert f"one (conda) and two (conda): share/x is a file in {first}, a directory in {second}" in said
    assert "owners" not in said, "there is no such choice"


def test_a_wheels_file_where_another_package_has_a_directory(python: LockedPackage, tmp_path: Path) -> None:
    native = conda(tmp_path, "native", files={"share/x/y": b"", "share/link": Link("x"), "share/file": b""})
    for place in ("x", "link/z", "file/z"):
        app = wheel(tmp_path, files={f"app-1.0.data/data/share/{place}": b""})
        assert f"share/{place}: native (conda) and app (wheel)" in refused(python, native, app)
    app, rival = wheel(tmp_path, files={"x": b""}), wheel(tmp_path, "rival", files={"x/y": b""})
    assert f"{SITE}/x is a file in app, a directory in rival" in refused(python, app, rival)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_same_project_twice_is_refused_whatever_is_said(
    python: LockedPackage, tmp_path: Path, version: str
) -> None:
    files = {f"site-packages/App-{version}.dist-info/METADATA": b"x", "site-packages/app.py": b"conda's"}
    packages = python, conda(tmp_path, "python-app", files=files, python=True), wheel(tmp_path, files={"app.py": b"1"})
    for owners in ({}, {f"{SITE}/*": "app"}):
        said = refused(*packages, owners=owners)
        assert f"{SITE}/app-1.0.dist-info: python-app (conda) and app (wheel) are the same project" in said
        assert "owners" not in said


@pytest.mark.parametrize(("alpha_needs", "winner", "loser"), [((), "beta", "alpha"), (("beta",), "alpha", "beta")])
def test_the_last_package_that_conda_links_has_the_file(
    tmp_path: Path, alpha_needs: tuple[str, ...], winner: str, loser: str
) -> None:
    """Of two that need nothing the later name; else the one that needs the other. The order is in the unit tests."""
    alpha = conda(tmp_path, "alpha", files={"both": b"alpha"}, depends=alpha_needs)
    beta = conda(tmp_path, "beta", files={"both": b"beta"})
    shared, tree = settled(alpha, beta)
    assert [(one.owner, one.others, one.same) for one in shared] == [(winner, (loser,), False)]
    assert tree["both"] == (0o644, winner.encode(), winner)
    records = {name: json.loads(tree[f"conda-meta/{name}-1.0-0.json"][1]) for name in (winner, loser)}
    assert [records[name]["files"] for name in (winner, loser)] == [["both"], []]
    assert records[loser]["paths_data"]["paths"] == []
    assert "original_path" not in records[winner]["paths_data"]["paths"][0], "it is there by chance"
    assert clobbers(alpha, beta) == [("both", loser, winner)]


def test_another_winner_of_a_clobber_can_be_chosen(tmp_path: Path) -> None:
    modes = {"alpha": 0o755, "beta": 0o644, "gamma": 0o644}
    packages = [
        conda(tmp_path, name, files={"both": File(content=name.encode(), mode=mode)}) for name, mode in modes.items()
    ]
    shared, tree = settled(*packages, owners={"bo*": "alpha"})
    assert tree["both"] == (0o755, b"alpha", "alpha")
    assert [(one.owner, one.others, one.chosen) for one in shared] == [("alpha", ("beta", "gamma"), True)]
    assert settled(*packages, owners={"both": "beta"})[1]["both"] == (0o644, b"beta", "beta")
    assert settled(*packages)[1]["both"] == (0o644, b"gamma", "gamma")


def test_what_two_conda_packages_have_alike_is_no_news(tmp_path: Path) -> None:
    files = {"a": b"same", "link": Link("a"), "baked": File(content=PLACEHOLDER.encode(), prefix="text")}
    packages = [conda(tmp_path, name, files=files) for name in ("alpha", "beta")]
    shared, _ = settled(*packages)
    assert [(one.path, one.owner, one.same) for one in shared] == [(path, "beta", True) for path in sorted(files)]
    assert clobbers(*packages) == []


def test_a_damaged_copy_that_is_not_used_changes_nothing(tmp_path: Path) -> None:
    packages = [conda(tmp_path, name, files={"both": b"same"}) for name in ("alpha", "beta")]
    told = settled(*packages)
    damaged = cache_dir("pkgs") / "alpha-1.0-0" / "both"
    damaged.unlink()
    damaged.write_bytes(b"Same")
    assert settled(*packages) == told


@pytest.mark.parametrize("chosen", [None, "e-file", "d-script", "c-script"])
def test_entry_points_of_conda_packages(python: LockedPackage, tmp_path: Path, chosen: str | None) -> None:
    """Conda makes them when all else is linked, so that they win; the cache is not written through a link."""
    scripts = [
        conda(tmp_path, name, python=True, entry_points=[f"run = {name[0]}:main"], files={f"share/{name}": b""})
        for name in ("c-script", "d-script")
    ]
    file = conda(tmp_path, "e-file", files={"bin/run": File(content=b"#!/bin/sh\n", mode=0o755)})
    owners = {"bin/run": chosen} if chosen else {}
    shared, tree = settled(*scripts, file, python, owners=owners)
    assert [(one.path, one.owner) for one in shared] == [("bin/run", chosen or "d-script")]
    mode, content, _ = tree["bin/run"]
    assert isinstance(content, bytes)
    assert mode == 0o755
    assert {"c-script": b"from c import main", "d-script": b"from d import main", "e-file": b"#!/bin/sh\n"}[
        chosen or "d-script"
    ] in content
    assert (cache_dir("pkgs") / "e-file-1.0-0" / "bin" / "run").read_bytes() == b"#!/bin/sh\n"
    assert settled(*scripts, file, python, owners=owners) == (shared, tree)


def test_bytecode_of_another_packages_source_is_left_out(tmp_path: Path) -> None:
    """An unchecked header would make Python run what the loser's module said."""
    pyc = "lib/python3.11/__pycache__/mod.cpython-311.pyc"
    files = {"lib/python3.11/mod.py": b"WHO = 'alpha'\n", pyc: b"\xa7\r\r\n" + bytes(12) + b"code"}
    alpha = conda(tmp_path, "alpha", files=files)
    beta = conda(tmp_path, "beta", files={"lib/python3.11/mod.py": b"WHO = 'beta'\n"})
    assert pyc in install(alpha)
    assert pyc not in install(alpha, beta)
    assert pyc in install(alpha, beta, owners={"lib/*": "alpha"})


def test_a_kept_segment_is_of_the_files_that_are_used(python: LockedPackage, tmp_path: Path) -> None:
    packages = [
        python,
        conda(tmp_path, "rival", files={"share/x": b"conda's", "share/y": b""}),
        wheel(tmp_path, files={"app-1.0.data/data/share/x": b"wheel's", "app.py": b""}),
    ]

    def digests(owner: str) -> dict[str, str]:
        table = Owners.of([("share/x", owner)])
        with make_prefix(lock_of(*packages), BAKED, QuietProgress(), owners=table) as prefix:
            members = collect(prefix)
        keys = ("python", "rival", "pip:app")
        parts = {key: tuple(member for member in members if member.package == key) for key in keys}
        return {key: Segment(name=key, members=part).digest for key, part in parts.items()}

    of_conda, of_wheel = digests("rival"), digests("app")
    assert of_conda == digests("rival")
    assert {key for key in of_conda if of_conda[key] != of_wheel[key]} == {"rival", "pip:app"}


@pytest.mark.parametrize(
    ("owners", "said"),
    [
        ({"bin/run": "rivel"}, "note: bundle.owners: \"bin/run\" = \"rivel\": no package rivel in this environment"),
        ({f"{SITE}/app.py": "app"}, "has no effect: no other package provides this file"),
        ({f"{SITE}/*": "app", f"{SITE}/shared.py": "rival"}, None),
    ],
)  # fmt: skip
def test_an_owner_without_anything_to_decide_is_told(
    python: LockedPackage, tmp_path: Path, owners: dict[str, str], said: str | None
) -> None:
    """bundle.toml is for all platforms, and packages move on: neither is a reason to fail."""
    app = wheel(tmp_path, files={"shared.py": b"", "same.py": b"", "app.py": b""})
    rival = wheel(tmp_path, "rival", files={"shared.py": b"", "same.py": b"", "rival.py": b""})
    steps = Steps()
    tree = install(python, app, rival, owners=owners, progress=steps)
    assert [said in text for text in steps.told] == [True] if said else not steps.told
    assert tree[f"{SITE}/shared.py"][2] == ("pip:rival" if said is None else "pip:app")
    assert tree[f"{SITE}/same.py"][2] == "pip:app"


@pytest.mark.parametrize(
    ("owners", "said"),
    [
        ({f"{SITE}/shared.py": "third"}, r"third has no such file; app \(wheel\), rival \(wheel\) have one"),
        ({f"{SITE}/shard.py": "app"}, rf"app has no such file; did you mean {SITE}/shared.py\?"),
        ({"lib/python3.12/*": "app"}, r"app has no such file$"),
        ({"a": "app", "b": "app"}, r"bundle.owners: 2 problems:$"),  # each in a line of its own
    ],
)
def test_an_owner_that_has_no_such_file_is_a_mistake(
    python: LockedPackage, tmp_path: Path, owners: dict[str, str], said: str
) -> None:
    packages = [wheel(tmp_path, name, files={"shared.py": b"", f"{name}.py": b""}) for name in ("app", "rival")]
    packages.append(wheel(tmp_path, "third"))
    message = refused(python, *packages, kind=ConfigError, owners=owners)
    assert message.startswith("bundle.toml: bundle.owners: ")
    assert re.search(said, message.splitlines()[0])


def test_a_package_of_before_paths_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is known of its files is their paths, also in a build that reads no archive."""
    import tinychannel

    write = tinychannel.write_archive
    monkeypatch.setattr(
        tinychannel,
        "write_archive",
        lambda path, members: write(path, {k: v for k, v in members.items() if k != "info/paths.json"}),
    )
    old = conda(tmp_path, "old", files={"share/x/y": b"old", "both": b"old"}, extension=".tar.bz2")
    monkeypatch.undo()
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    new = conda(tmp_path, "new", files={"both": b"new"})
    assert old.sha256
    for _ in range(2):
        assert install(new, old)["both"][1] == b"old"
        kept = cache_dir("archives") / old.sha256 / old.filename
        noted = read_note(kept)
        assert noted
        write_note(kept, {"info/index.json": noted["info/index.json"]})  # as versions did that knew nothing of it
        assert install(new, old, owners={"both": "new"})["both"][1] == b"new"
    file = conda(tmp_path, "zed", files={"share/x": b""})
    assert "share/x is a file in zed, a directory in old" in refused(old, file)
