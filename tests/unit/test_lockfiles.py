"""Other tools' lockfiles with conda packages: pixi.lock and @EXPLICIT files; and which file is what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rattler import LockFile

from bundler.config.lockfiles import (
    CONDA_LOCK,
    EXPLICIT,
    PIXI,
    PYLOCK,
    UV,
    Kind,
    Lockfiles,
    kind_of,
    sort_lockfiles,
)
from bundler.config.project import load_config
from bundler.errors import BundlerError, ConfigError, LockError
from bundler.lockfiles.read import files_for, locked_platforms, read_lock

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("conda", "pypi", "source", "conda_source")
SHA, MD5 = "ab" * 32, "cd" * 16
C = "https://conda.example.org/forge"


def pixi(version: int, packages: list[dict[str, Any]], **environments: list[str]) -> str:
    """A pixi.lock: ``packages`` as they stand in it, each environment with the places of those that it has."""
    kinds = {next(one[kind] for kind in KINDS if kind in one): one for one in packages}

    def listed(places: list[str]) -> list[dict[str, str]]:
        return [{next(key for key in KINDS if key in kinds[one]): one for one in [place]}
                for place in places]  # fmt: skip

    document: dict[str, Any] = {"version": version}
    if version > 6:
        document["platforms"] = [{"name": "linux-64"}, {"name": "old", "subdir": "linux-aarch64"}]
    document["environments"] = {
        name: {"channels": [{"url": f"{C}/"}], "packages": {"linux-64": listed(places)}}
        for name, places in environments.items()
    }
    document["packages"] = packages
    return yaml.safe_dump(document, sort_keys=False)


ZLIB = {
    "conda": f"{C}/linux-64/zlib-1.3-h1_0.conda",
    "sha256": SHA,
    "md5": MD5,
    "depends": ["libgcc >=12", "__glibc >=2.17,<3.0.a0"],
}
TZDATA = {"conda": f"{C}/noarch/tzdata-2026a-0.tar.bz2", "sha256": SHA, "license": "X"}
H11 = {
    "pypi": "https://pypi.example.org/files/h11-0.14.0-py3-none-any.whl",
    "name": "h11",
    "version": "0.14.0",
    "sha256": SHA,
    "requires_dist": ["dataclasses ; python_version < '3.7'"],
}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def fails(path: Path, kind: type[BundlerError] = LockError, **options: Any) -> str:
    with pytest.raises(kind) as raised:
        read_lock(Lockfiles(conda=(path,), **options), "linux-64")
    assert type(raised.value) is kind
    assert raised.value.where == str(path)
    assert raised.value.remedy
    return raised.value.format_message()


@pytest.mark.parametrize("version", [6, 7])
def test_an_environment_of_a_pixi_lock(tmp_path: Path, version: int) -> None:
    packages = [ZLIB, TZDATA, H11]
    environments = {"default": [ZLIB["conda"]], "prod": [H11["pypi"], TZDATA["conda"], ZLIB["conda"]]}
    path = write(tmp_path / "pixi.lock", pixi(version, packages, **environments))  # type: ignore[arg-type]
    assert len(LockFile.from_path(path).environments()) == 2, "rattler reads it, too"
    assert [one.name for one in read_lock(Lockfiles.of(path), "linux-64").packages] == ["zlib"]
    lock = read_lock(Lockfiles(conda=(path,), environment="prod"), "linux-64")
    wheel, tzdata, zlib = lock.packages
    assert (zlib.name, zlib.version, zlib.build, zlib.subdir) == ("zlib", "1.3", "h1_0", "linux-64")
    assert (zlib.sha256, zlib.md5, zlib.channel) == (SHA, MD5, C)
    assert zlib.depends == ("__glibc >=2.17,<3.0.a0", "libgcc >=12")
    assert (tzdata.subdir, tzdata.md5, tzdata.depends) == ("noarch", None, ())
    assert (wheel.key, wheel.version, wheel.filename) == ("pip:h11", "0.14.0", "h11-0.14.0-py3-none-any.whl")
    assert locked_platforms(Lockfiles.of(path)) == ("linux-64",)


def test_a_platform_with_a_name_of_its_own(tmp_path: Path) -> None:
    text = pixi(7, [TZDATA], default=[TZDATA["conda"]]).replace("      linux-64:", "      old:")
    lockfiles = Lockfiles.of(write(tmp_path / "pixi.lock", text))
    assert locked_platforms(lockfiles) == ("linux-aarch64",)
    assert read_lock(lockfiles, "linux-aarch64").packages[0].platform == "linux-aarch64"
    with pytest.raises(ConfigError, match="not locked for linux-64, only for linux-aarch64"):
        read_lock(lockfiles, "linux-64")


def test_two_platforms_of_one_subdir_are_not_told_apart(tmp_path: Path) -> None:
    document = yaml.safe_load(pixi(7, [TZDATA], default=[str(TZDATA["conda"])]))
    document["platforms"] = [{"name": name, "subdir": "linux-64"} for name in ("gpu", "cpu")]
    packages = document["environments"]["default"]["packages"]
    packages["gpu"] = packages["cpu"] = packages.pop("linux-64")
    said = fails(write(tmp_path / "pixi.lock", yaml.safe_dump(document)), ConfigError)
    assert "has several platforms for linux-64: cpu, gpu" in said


def test_another_environment_is_asked_for_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "pixi.lock", pixi(6, [ZLIB], default=[str(ZLIB["conda"])]))
    with pytest.raises(ConfigError, match="no environment 'prod'; available: default") as raised:
        read_lock(Lockfiles(conda=(path,), environment="prod"), "linux-64")
    assert "lockfile_environment" in (raised.value.remedy or "")


SOURCES = [
    ({"pypi": "./"}, "app: is a local file or directory (./)"),
    ({"pypi": "git+https://git.example.org/app?rev=1#abc"}, "app: comes from a source repository"),
    ({"pypi": f"{C}/app-1.0.tar.gz", "sha256": SHA}, "app: no wheel available, only source"),
]


@pytest.mark.parametrize(("place", "sentence"), SOURCES)
def test_what_is_no_wheel_is_refused_or_injected(tmp_path: Path, place: dict[str, str], sentence: str) -> None:
    entry = {**place, "name": "app", "version": "1.0"}
    path = write(tmp_path / "pixi.lock", pixi(6, [ZLIB, entry], default=[str(ZLIB["conda"]), place["pypi"]]))
    said = fails(path)
    assert sentence in said
    assert "[bundle] inject" in said
    lock = read_lock(Lockfiles(conda=(path,), injected=frozenset({"app"})), "linux-64")
    assert [one.name for one in lock.packages] == ["zlib"]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({**ZLIB, "sha256": None}, "zlib: it has only an MD5"),
        ({**ZLIB, "sha256": None, "md5": None}, "zlib: it has no sha256"),
        ({**ZLIB, "sha256": "../../OUTSIDE/dir"}, "zlib: '../../OUTSIDE/dir' is not a sha256"),
        ({**ZLIB, "md5": "x"}, "zlib: 'x' is not an md5"),
        (
            {**ZLIB, "conda": f"{C}/osx-64/zlib-1.3-h1_0.conda"},
            "osx-64/zlib-1.3-h1_0.conda is not for linux-64",
        ),
        ({**ZLIB, "name": "openssl"}, "openssl: zlib-1.3-h1_0.conda is not a file of openssl 1.3"),
        ({**ZLIB, "name": "a\x1b[31m"}, r"'a\x1b[31m' is not a package name"),
        ({**ZLIB, "depends": ["x\n\x1b"]}, "is not a dependency"),
        ({**ZLIB, "conda": "../child"}, "../child: is built from source by pixi"),
        ({"source": "child[87dc] @ ."}, "child[87dc] @ .: is built from source by pixi"),
        ({"conda_source": "child[87dc] @ .", "build": "0"}, "child[87dc] @ .: is built from source by pixi"),
        ({**ZLIB, "conda": f"{C}/linux-64/..%2Fzlib-1.3-0.conda"}, "'../zlib' is not a package name"),
        ({**ZLIB, "conda": f"{C}/linux-64/x/../../zlib-1.3-0.conda"}, "points outside its directory"),
        ({**ZLIB, "conda": f"{C}/noarch/...conda"}, "is not the URL of a conda package"),
        ({**ZLIB, "conda": f"{C}/linux-64/zlib-1.3-0%0A.conda"}, "is not a file .conda or .tar.bz2"),
        ({**ZLIB, "conda": f"{C}/linux-64/zlib-1.3-0 x.conda"}, "is not the URL of a file"),
        ({**ZLIB, "conda": "ftp://x.example/linux-64/zlib-1.3-0.conda"}, "is not an http, https or file URL"),
        (
            {**ZLIB, "conda": "https://me:s3cret@x.example/linux-64/zlib-1.3-h1_0.conda"},
            "contains a password or token",
        ),
        ({**H11, "pypi": "https://x.example/%2Ftmp%2Fh11-0.14.0-py3-none-any.whl"}, "points outside its directory"),
        ({**H11, "version": "1 0"}, "h11: '1 0' is not a version"),
        ({**H11, "sha256": None}, "h11: it has no sha256"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(tmp_path: Path, entry: dict[str, Any], sentence: str) -> None:
    place = next(entry[kind] for kind in KINDS if kind in entry)
    said = fails(write(tmp_path / "pixi.lock", pixi(7, [entry], default=[place])))
    assert sentence in said
    assert "s3cret" not in said
    assert "\x1b" not in said


def test_what_a_pixi_lock_says_twice(tmp_path: Path) -> None:
    path, place = tmp_path / "pixi.lock", str(ZLIB["conda"])
    assert f"contradicts itself about '{place}'" in fails(
        write(path, pixi(6, [ZLIB, {**ZLIB, "md5": "0" * 32}], default=[place]))
    )
    other = place.replace("1.3", "1.4")
    said = fails(write(path, pixi(6, [ZLIB, {**ZLIB, "conda": other}], default=[place, other])))
    assert "zlib: is listed twice, as zlib-1.3-h1_0.conda and as zlib-1.4-h1_0.conda" in said
    write(path, pixi(6, [ZLIB, ZLIB], default=[place, place]))
    assert len(read_lock(Lockfiles.of(path), "linux-64").packages) == 1


def test_a_mark_of_utf_8_is_no_part_of_an_explicit_file(tmp_path: Path) -> None:
    """Windows' shells write one."""
    path = write(tmp_path / "some.lock", f"\ufeff@EXPLICIT\n{C}/linux-64/zlib-1.3-h1_0.conda#{SHA}\n")
    assert kind_of(path) is EXPLICIT
    assert [one.name for one in read_lock(Lockfiles.of(path), "linux-64").packages] == ["zlib"]


def test_a_variable_stands_for_a_credential(tmp_path: Path) -> None:
    url = "https://me:${TOKEN}@x.example/linux-64/zlib-1.3-h1_0.conda"
    path = write(tmp_path / "pixi.lock", pixi(6, [{**ZLIB, "conda": url}], default=[url]))
    assert read_lock(Lockfiles.of(path), "linux-64").packages[0].url == url


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "not YAML"),
        ("environments: {}", "it has no `version`"),
        ("version: 4\nenvironments: {}", "a pixi.lock of version 4; this conda-bundler reads versions 6 and 7"),
        ("version: 5\nenvironments: {}", "a pixi.lock of version 5"),
        ("version: 8\nenvironments: {}", "Update conda-bundler"),
        ("version: 6\nenvironments: []", "`environments` is not a table"),
        ("version: 6\nenvironments: {default: {packages: []}}", "is not a table"),
        ("version: 6\nenvironments: {default: {packages: {linux-64: [{conda: x}]}}}", "has no entry for 'x'"),
        ("version: 6\nenvironments: {default: {packages: {linux-64: [y]}}}", "neither conda nor pypi"),
        ("version: 6\nenvironments: {default: {packages: {linux-64: {}}}}", "is not a list"),
    ],
)
def test_what_is_no_pixi_lock_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    text = text.replace("{default: {packages: []}}", "{default: {packages: [1]}}")
    said = fails(write(tmp_path / "pixi.lock", text))
    assert sentence in said
    assert "Traceback" not in said


HEAD = "# This file may be used to create an environment using:\n# platform: linux-64\n@EXPLICIT\n"
LINES = f"{C}/linux-64/zlib-1.3-h1_0.conda#{SHA}\n\n{C}/noarch/tz-data-2026a-0.tar.bz2#sha256:{SHA}\n"
PIP = f"# pip h11 @ https://pypi.example.org/h11-0.14.0-py3-none-any.whl --hash=sha256:{SHA}\n"


def test_an_explicit_file(tmp_path: Path) -> None:
    path = write(tmp_path / "conda-linux-64.lock", HEAD + LINES + PIP)
    lock = read_lock(Lockfiles.of(path), "linux-64")
    wheel, data, zlib = lock.packages
    assert (zlib.name, zlib.version, zlib.build, zlib.sha256, zlib.md5) == ("zlib", "1.3", "h1_0", SHA, None)
    assert zlib.url == f"{C}/linux-64/zlib-1.3-h1_0.conda"
    assert (data.name, data.subdir, data.sha256) == ("tz-data", "noarch", SHA)
    assert (wheel.key, wheel.version, wheel.sha256) == ("pip:h11", "0.14.0", SHA)


def test_the_platform_of_an_explicit_file(tmp_path: Path) -> None:
    path = write(tmp_path / "spec.txt", f"@EXPLICIT\n{LINES}")
    assert locked_platforms(Lockfiles.of(path)) == ("linux-64",)
    assert "not locked for linux-64, only for osx-64" in fails(
        write(path, HEAD.replace("linux-64", "osx-64") + LINES), ConfigError
    )
    assert "does not name its platform, and contains only noarch packages" in fails(
        write(path, f"@EXPLICIT\n{C}/noarch/tzdata-2026a-0.conda#{SHA}\n")
    )


def test_explicit_files_of_several_platforms(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"conda-{platform}.lock", (HEAD + LINES).replace("linux-64", platform))
        for platform in ("linux-64", "linux-aarch64")
    ]
    lockfiles = sort_lockfiles(paths, where="bundle.toml")
    assert locked_platforms(lockfiles) == ("linux-64", "linux-aarch64")
    assert read_lock(lockfiles, "linux-aarch64").path == paths[1]
    assert files_for(lockfiles, "linux-aarch64") == (paths[1],)
    write(paths[1], HEAD + LINES)
    with pytest.raises(ConfigError, match="are both locked for linux-64"):
        read_lock(lockfiles, "linux-64")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"{C}/linux-64/zlib-1.3-0.conda#{MD5}", "zlib: it has only an MD5, which can be forged"),
        (f"{C}/linux-64/zlib-1.3-0.conda", "zlib: it has no sha256"),
        (f"{C}/linux-64/zlib-1.3-0.conda#sha256:xyz", "'sha256:xyz' is neither a sha256 nor an md5"),
        (f"{C}/osx-64/zlib-1.3-0.conda#{SHA}", "is not for linux-64"),
        (f"http://x.example/linux-64/../zlib-1.3-0.conda#{SHA}", "points outside its directory"),
        (f"/srv/linux-64/zlib-1.3-0.conda#{SHA}", "is not the URL of a file"),
        (f"zlib=1.3=0#{SHA}", "is not the URL of a conda package"),
        (f"{C}/linux-64/zlib-1.3-0.conda#{SHA}\n{C}/linux-64/zlib-1.4-0.conda#{SHA}", "zlib: is listed twice"),
        (f"https://x.example/t/s3cret/linux-64/zlib-1.3-0.conda#{SHA}", "contains a password or token"),
        ("# pip app @ git+https://git.example.org/app", "is not the URL of a wheel"),
        (f"# pip h11 @ {C}/h11-1.0-py3-none-any.whl", "h11: it has no sha256"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(tmp_path: Path, line: str, sentence: str) -> None:
    said = fails(write(tmp_path / "explicit.lock", f"{HEAD}{line}\n"))
    assert sentence in said
    assert "conda list --explicit --sha256" in said
    assert "s3cret" not in said


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    lines = [f"{C}/linux-64/{name}-1-0.conda#{MD5}\n" for name in "abcdefghijklmn"]
    said = fails(write(tmp_path / "explicit.lock", HEAD + "".join(lines[:2])))
    assert "2 packages cannot be used:\n    a: it has only an MD5" in said
    assert "\n    b: it has only an MD5" in said
    said = fails(write(tmp_path / "explicit.lock", HEAD + "".join(lines)))
    assert "14 packages cannot be used:\n    a: it has" in said
    assert "\n    l: it has only an MD5, which can be forged\n    and 2 more\n" in said


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("conda-lock.yml", "version: 1\nmetadata: {}\npackage: []\n", CONDA_LOCK),
        ("other.yml", "version: 6\nenvironments: {}\n", PIXI),
        ("pixi.lock", None, PIXI),
        ("uv.lock", None, UV),
        ("pylock.prod.toml", None, PYLOCK),
        ("requirements.lock", 'version = 1\n[[package]]\nname = "x"\n', UV),
        ("x.toml", 'lock-version = "1.0"\n', PYLOCK),
        ("spec.txt", f"# hello\n@EXPLICIT\n{C}\n", EXPLICIT),
        ("conda-linux-64.lock", None, EXPLICIT),
        ("conda-linux-64.lock", "version: 1\nmetadata: {}\n", CONDA_LOCK),
        ("conda-lock.yml", None, CONDA_LOCK),
    ],
)
def test_which_kind_a_file_is(tmp_path: Path, name: str, text: str | None, kind: Kind) -> None:
    if text is not None:
        write(tmp_path / name, text)
    assert kind_of(tmp_path / name) is kind


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ('"uv.lock"', "uv.lock has only wheels, and no"),
        ('["conda-lock.yml", "uv.lock", "pylock.toml"]', "uv.lock and pylock.toml both contain the wheels"),
        ('["conda-lock.yml", "pixi.lock"]', "only @EXPLICIT files"),
        ('["a/conda-linux-64.lock", "b/conda-linux-64.lock"]', "have the same name: conda-linux-64.lock"),
        ('"locks/manifest.json"', "have the same name: manifest.json"),
        ('"locks/payload.tar.zst"', "have the same name: payload"),
        ('"locks/my lock.yml"', "'my lock.yml' is not a valid file name in a bundle"),
        ('"locks/.."', r"'\.\.' is not a valid file name"),
        ("[]", "must not be empty"),
    ],
)
def test_lockfiles_that_mean_nothing_together(tmp_path: Path, names: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load(tmp_path, names)


def load(directory: Path, names: str) -> Any:
    text = f"[bundle]\nname = 'x'\nversion = '1'\nlockfile = {names}\nlockfile_environment = 'prod'\n"
    text += "[platforms.linux-64]\nglibc = '2.17'\n[services.x]\ncommand = ['x']\n"
    write(directory / "bundle.toml", text)
    return load_config(directory)


def test_the_lockfiles_of_a_project(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file: .*environment\.yml"):
        load(tmp_path, '["pylock.toml", "conda-lock.yml"]')
    config = load(tmp_path, '["pylock.toml", "pixi.lock"]')
    top = tmp_path.resolve()
    assert config.lockfiles.conda == (top / "pixi.lock",)
    assert config.lockfiles.wheels == top / "pylock.toml"
    assert config.lockfiles.environment == "prod"
    assert config.lockfiles.glibc == (("linux-64", "2.17"),)
    assert config.environments == (), "what pixi has locked needs no environment.yml"
    assert config.lockfile == top / "pixi.lock"
    write(tmp_path / "environment.yml", "variables: {A: b}\n")
    assert load(tmp_path, '"pixi.lock"').environments == (top / "environment.yml",)


def test_a_pixi_lock_has_no_categories(tmp_path: Path) -> None:
    path = write(tmp_path / "pixi.lock", pixi(6, [ZLIB], default=[str(ZLIB["conda"])]))
    with pytest.raises(ConfigError, match="no package is locked in category dev; locked categories: main") as raised:
        read_lock(Lockfiles.of(path), "linux-64", ("main", "dev"))
    assert "bundle.lockfile_environment" in (raised.value.remedy or "")


def test_words_of_yaml_1_1_are_words_to_pixi(tmp_path: Path) -> None:
    """pixi writes YAML 1.2, where only true and false are no texts."""
    text = pixi(6, [{**ZLIB, "depends": ["word"]}], default=[str(ZLIB["conda"])]).replace("- word", "- on")
    path = write(tmp_path / "pixi.lock", text.replace("default:", "yes:"))
    (package,) = read_lock(Lockfiles(conda=(path,), environment="yes"), "linux-64").packages
    assert package.depends == ("on",)
    write(path, text.replace("\nenvironments:", "\nanchored: &a {off: no}\nenvironments:"))
    assert read_lock(Lockfiles(conda=(path,)), "linux-64").packages == (package,), "what PyYAML itself reads"


@pytest.mark.parametrize(
    ("entry", "key", "value", "said"),
    [
        (H11, "version", 1.1, "`version` is 1.1, not a string"),
        (H11, "name", True, "`name` is True, not a string"),
        (H11, "requires_dist", [1], "`requires_dist` has 1, not a string"),
        (ZLIB, "sha256", int("1" * 64), f"`sha256` is {'1' * 64}, not a string"),
        (ZLIB, "depends", [None], "`depends` has None, not a string"),
    ],
)
def test_what_is_no_text_in_a_pixi_lock(
    tmp_path: Path, entry: dict[str, Any], key: str, value: object, said: str
) -> None:
    place = str(entry.get("conda") or entry["pypi"])
    assert said in fails(write(tmp_path / "pixi.lock", pixi(6, [{**entry, key: value}], default=[place])))
