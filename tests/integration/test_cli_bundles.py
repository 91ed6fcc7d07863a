"""`conda-bundler inspect` and `diff` on real bundles, in each form; and what they say of what is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from smallbundle import CONFIG, TOP, build, command, make_channel, make_project, reseal

pytestmark = pytest.mark.usefixtures("own_cache")

FORMS = ("dir", "tar", "run")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("small")
    make_channel(room / "channel")
    return room


@pytest.fixture(scope="module")
def bundles(room: Path) -> dict[str, Path]:
    project = make_project(room / "project")
    return {form: build(project, room / "channel", form) for form in FORMS}


@pytest.fixture(scope="module")
def newer(room: Path) -> Path:
    """Another release of it, in which something of each kind has changed."""
    config = CONFIG.replace('"1.0"', '"1.1"').replace('PORT = "8000"', 'PORT = "9000"').replace("1G", "2G")
    config = config.replace('MODE = "fast"', 'LEVEL = "high"').replace("API_TOKEN", "OTHER_TOKEN")
    config = config.replace("*.left-out", "*.a").replace("[services.other]", "[services.third]")
    project = make_project(room / "newer" / "project", environment="tool >=2", config=config)
    (project / "data" / "text").write_text("y")
    (project / "data" / "more").write_text("more")
    return build(project, room / "channel", "tar")


def answer(*words: str | Path) -> Any:
    done = command(*words, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("form", FORMS)
def test_inspect_tells_what_is_in_it(bundles: dict[str, Path], form: str) -> None:
    told = answer("inspect", bundles[form])
    assert (told["name"], told["version"], told["platform"], told["form"]) == ("small", "1.0", "linux-64", form)
    assert told["release"] == f"1.0-{told['build_id']}"
    assert told["root"] == "/opt/small"
    assert told["requires"] == {
        "machine": "x86_64", "glibc": "2.17", "linux": "", "archspec": "", "cuda": "", "cuda_arch": "",
        "gpu": False, "systemd": 239,
        "libraries": [], "tools": ["tar", "gzip"],
    }  # fmt: skip
    assert told["config"] == {"PORT": "8000", "MODE": "fast"}
    assert told["options"] == {
        "exclude": ["*.left-out"], "include": [], "categories": ["main"], "owners": [], "link_scripts": [],
        "bytecode": "build", "libraries": [], "author": "",
    }  # fmt: skip
    assert [secret["name"] for secret in told["secrets"]] == ["API_TOKEN", "RELEASE_COOKIE"]
    assert [(note["kind"], note["path"]) for note in told["notes"]] == [
        ("clobber", "share/both"),
        ("post-link", "bin/.twin-post-link.sh"),
    ]
    assert told["size"] == (bundles[form].stat().st_size if form != "dir" else sum(f["size"] for f in told["files"]))


def test_inspect_tells_packages_with_what_they_take(bundles: dict[str, Path]) -> None:
    told = answer("inspect", bundles["tar"])
    packages = {package["name"]: package for package in told["packages"]}
    assert [*packages] == ["library", "tool", "twin"]
    assert (packages["tool"]["version"], packages["tool"]["build"]) == ("1.0", "0")
    assert packages["library"]["channel"].endswith("/channel")
    assert all(0 < package["packed"] < told["payload"]["size"] for package in packages.values())
    assert sum(package["packed"] for package in packages.values()) < told["payload"]["size"]
    assert told["payload"]["largest"][0] == {"path": "env/lib/big", "size": 20000}
    assert told["payload"]["unpacked_size"] > 20000


def test_inspect_tells_how_units_are_confined(bundles: dict[str, Path]) -> None:
    units = {unit["name"]: unit for unit in answer("inspect", bundles["tar"])["units"]}
    assert [*units] == [
        "other.service", "small.service", "other-watch.service", "other-watch.timer", "small-health.service",
        "small-health.timer", "small-watch.service",
    ]  # fmt: skip
    assert units["other.service"]["exceptions"] == []
    exceptions = {one["directive"]: (one["stands"], one["reason"]) for one in units["small.service"]["exceptions"]}
    assert exceptions == {
        "MemoryDenyWriteExecute": ("not set", 'an unknown program may compile while it runs (profile = "generic")'),
    }
    assert all(one["reason"] for one in units["small-watch.service"]["exceptions"])
    assert ["ProtectSystem", "strict"] in units["small.service"]["confinement"]
    assert ["Service", "MemoryMax", "1G"] in units["small.service"]["directives"]


def test_inspect_for_people(bundles: dict[str, Path]) -> None:
    done = command("inspect", bundles["tar"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "None" not in done.stdout
    for words in (
        "small 1.0 for linux-64",
        "requires  x86_64, glibc 2.17 or later, systemd 239 or later",
        "env/bin/tool",
        "MemoryMax=1G",
        "http://127.0.0.1:${PORT}/",
        "restarts  on-failure, after 5 s; gives up after 5 starts in 120 s",
        "! MemoryDenyWriteExecute  not set",
        "API_TOKEN",
        "share/both",
        "payload.tar.gz",
    ):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 140


def test_a_bundle_cannot_steer_the_terminal(bundles: dict[str, Path], tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(bundles["dir"], tmp_path / TOP))
    unit = bundle / "units" / "other.service"
    unit.write_text(unit.read_text() + "[Service]\nUMask=\x1b[32m\n")
    reseal(bundle, description="red: \x1b[31m \udcff", config={"A": "\x07"})
    for words in (("inspect", bundle), ("diff", bundles["dir"], bundle)):
        done = command(*words)
        assert done.returncode == 0, done.stderr
        assert "red: \\x1b[31m \\udcff" in done.stdout
        assert "UMask=\\x1b[32m" in done.stdout
        assert all(line.isprintable() for line in done.stdout.splitlines())


def test_reasons_that_the_manifest_gives_are_told(bundles: dict[str, Path], tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(bundles["dir"], tmp_path / TOP))
    why = {"directive": "MemoryDenyWriteExecute", "because": "numba", "reason": "it compiles"}
    reseal(bundle, services=[{"unit": "small.service", "exemptions": [why]}])
    assert "! MemoryDenyWriteExecute  not set: it compiles (numba)" in command("inspect", bundle).stdout


def test_no_difference(bundles: dict[str, Path]) -> None:
    """Whatever form they have."""
    for form in FORMS:
        told = answer("diff", bundles["tar"], bundles[form], "--exit-code")
        assert (told["different"], told["same_tree"]) == (False, True)
    assert "no difference" in command("diff", bundles["dir"], bundles["run"]).stdout


WATCH = ("-watch.service", "-watch.timer")  # of a service without a health check


def test_diff_tells_what_changes(bundles: dict[str, Path], newer: Path) -> None:
    told = answer("diff", bundles["run"], newer)
    changes = {
        part: {(change["kind"], change["name"]) for change in told[part]}
        for part in ("packages", "config", "secrets", "app", "options")
    }
    assert changes["packages"] == {("changed", "tool"), ("removed", "twin")}
    assert changes["config"] == {("changed", "PORT"), ("removed", "MODE"), ("added", "LEVEL")}
    assert changes["secrets"] == {("removed", "API_TOKEN"), ("added", "OTHER_TOKEN")}
    assert changes["app"] == {("changed", "app/data/text"), ("added", "app/data/more")}
    assert changes["options"] == {("changed", "version"), ("changed", "exclude")}
    assert (told["update"]["packages"], told["update"]["of"]) == (1, 2)
    assert 0 < told["update"]["size"] < told["sizes"]["packed"]["new"]
    assert told["sizes"]["unpacked"]["old"] != told["sizes"]["unpacked"]["new"]
    texts = {text["path"]: text["lines"] for text in told["texts"]}
    come_and_go = {f"units/{name}{unit}" for name in ("other", "third") for unit in (".service", *WATCH)}
    assert {*texts} == {"units/small.service", *come_and_go}
    changed = [line for line in texts["units/small.service"] if line[0] in "+-" and line[1] not in "+-"]
    assert changed == ["-MemoryMax=1G", "+MemoryMax=2G"]  # not a line for each path of the release


def test_diff_for_people_and_its_exit_status(bundles: dict[str, Path], newer: Path) -> None:
    done = command("diff", bundles["tar"], newer)
    assert (done.returncode, done.stderr) == (0, "")
    said = ("1 of 2 packages, ", "packages: 1 removed, 1 changed", "~  tool  1.0 0 -> 2.0 0")
    for words in (*said, "-MemoryMax=1G", "+MemoryMax=2G"):
        assert words in done.stdout
    assert command("diff", bundles["tar"], newer, "--exit-code").returncode == 1
    assert command("diff", newer, newer, "--exit-code").returncode == 0


def test_diff_of_an_app_that_is_damaged(bundles: dict[str, Path], newer: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(bundles["dir"], tmp_path / TOP))
    manifest = json.loads((bundle / "manifest.json").read_text())
    (segment,) = (segment for segment in manifest["payload"]["segments"] if segment["name"] == "app/")
    payload = bytearray((bundle / "payload.tar.gz").read_bytes())
    payload[segment["offset"] + segment["length"] // 2] ^= 1
    (bundle / "payload.tar.gz").write_bytes(payload)
    done = command("diff", bundle, newer)
    assert (done.returncode, "app/ does not match its checksum" in done.stderr) == (7, True)


@pytest.mark.parametrize("verb", ["inspect", "verify", "diff"])
def test_what_cannot_be_read_is_a_sentence(bundles: dict[str, Path], tmp_path: Path, verb: str) -> None:
    whole = bundles["tar"].read_bytes()
    later = Path(shutil.copytree(bundles["dir"], tmp_path / "later"))
    manifest = json.loads((later / "manifest.json").read_text())
    (later / "manifest.json").write_text(json.dumps(manifest | {"schema": 2, "made_by": "conda-bundler 9"}))
    other = Path(shutil.copytree(bundles["dir"], tmp_path / "other"))
    (other / "manifest.json").write_text("{}")
    none = Path(shutil.copytree(bundles["dir"], tmp_path / "none"))
    (none / "manifest.json").write_text('{"schema": 1')
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar").write_text("hello")
    (tmp_path / "directory").mkdir()
    cases = (
        ("later", 7, "manifest.json has schema version 2", "was built by conda-bundler 9"),
        ("other", 7, "manifest.json is invalid: schema", "Copy the bundle again"),
        ("none", 7, "manifest.json is corrupted", "Copy the bundle again"),
        ("cut.tar", 7, "it is truncated", "Copy the bundle again"),
        ("text.tar", 7, "neither a tar nor a .run", "conda-bundler build"),
        ("directory", 7, "it has no manifest.json", "conda-bundler build"),
        ("nowhere", 2, "does not exist", ""),
    )
    for name, status, says, remedy in cases:
        path = tmp_path / name
        done = command(verb, *([path, path] if verb == "diff" else [path]))
        assert (done.returncode, done.stdout) == (status, ""), done.stderr
        assert says in done.stderr
        assert remedy in done.stderr
        assert name in done.stderr
        assert "Traceback" not in done.stderr


def test_errors_as_json(tmp_path: Path) -> None:
    done = command("verify", tmp_path, "--json")
    error = json.loads(done.stdout)["error"]
    assert (error["kind"], error["exit_code"], error["where"]) == ("VerificationError", 7, str(tmp_path))
