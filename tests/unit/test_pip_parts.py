"""The parts of locking wheels that need no program: what conda-lock is shown, requirement files, categories, URLs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from bundler.errors import ConfigError
from bundler.lock.environment.pip import pip_texts
from bundler.lock.environment.shown import filtered, hidden
from bundler.lock.pypi.indexes import find_source, secrets_of, written_url
from bundler.lock.pypi.wheelpart import _provided
from bundler.lock.unify import UNSEEN, LockedWheel, Platform, unify, unseen_by_conda_lock
from bundler.locked import Lock, LockedPackage
from bundler.wheels.interpreter import best_wheel
from bundler.wheels.python import Python
from bundler.wheels.requirements import is_readable, read_pip_list

ENVIRONMENT = Path("environment.yml")


def unreadable(entry: str) -> bool:
    return not is_readable(entry)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (
            "- pip:\n  - a  # [linux64]\n  - -r b.txt  # [aarch64]\n",
            "- pip:\n  - a  # [linux64]\n  - -e .  # [aarch64]\n",
        ),
        ("- pip: [a, '--pre', \"-c x\"]\n", "- pip: [a, -e ., -e .]\n"),
        ("- pip:\n  - |\n    -r b.txt\n  - a\n", "- pip:\n  - -e .\n  - a\n"),
        ("- python\n- pip: []\n", "- python\n- pip: []\n"),
        ("- pip:\n  - a >=1 # -r no.txt\n", "- pip:\n  - a >=1 # -r no.txt\n"),
    ],
)
def test_conda_lock_is_shown_what_it_can_read(written: str, shown: str) -> None:
    head = "channels: [x]\r\ndependencies:\n"
    assert hidden((head + written).encode(), ENVIRONMENT, unreadable) == (head + shown).encode()


def test_a_list_that_cannot_be_taken_apart_is_refused() -> None:
    anchored = b"x: &one --pre\ndependencies:\n- pip:\n  - *one\n  - a\n"
    with pytest.raises(ConfigError, match="cannot parse its"):
        hidden(anchored, ENVIRONMENT, unreadable)


def test_lines_for_other_platforms_are_left_out() -> None:
    data = b"dependencies:\n- pip:\n  - a  # [linux64]\n  - b  # [aarch64]\n  - c  # why [linux]\n  - d[e]\n"
    assert pip_texts(yaml.safe_load(filtered(data, "linux-64"))) == ("a", "c", "d[e]")
    assert pip_texts(yaml.safe_load(filtered(data, "linux-aarch64"))) == ("b", "c", "d[e]")


def test_requirement_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "all.txt").write_text(
        f"\ufeff# first\n--index-url=https://127.0.0.1/simple\nOne[x] \\\n  ==1.0 \\\n  --hash=sha256:{'1' * 64} "
        f"--hash=sha256:{'2' * 64}\n-rmore.txt\n",
        encoding="utf-8",
    )
    (tmp_path / "sub" / "more.txt").write_text("two>1 # why\n-r all.txt\n../local\n-c bounds.txt\n")
    (tmp_path / "sub" / "bounds.txt").write_text("three <3\n")
    found = read_pip_list(["-r sub/all.txt", "four; python_version > '3'"], tmp_path / "environment.yml", "dev")
    assert [(one.name, one.text, one.category) for one in found.requirements] == [
        ("one", "One[x] ==1.0", "dev"),
        ("two", "two>1", "dev"),
        ("four", "four; python_version > '3'", "dev"),
    ]
    assert found.requirements[0].hashes == ("1" * 64, "2" * 64)
    assert found.constraints == ["three <3"]
    assert found.indexes == ("https://127.0.0.1/simple",)
    assert [mistake.partition(" of ")[2] for mistake in found.mistakes] == [
        "more.txt is a file that includes itself",
        "more.txt is a local file: build a wheel of it and add that to bundle.toml ([bundle] inject)",
    ]
    assert found.unseen[0] == "-r sub/all.txt"
    assert "three <3" in found.unseen
    assert "four; python_version > '3'" not in found.unseen


def test_urls_in_the_lockfile_have_names_for_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_TOKEN", "a/b@c")
    monkeypatch.setenv("PATH_TOKEN", "t0ken")
    source = find_source("https://${USER_TOKEN}@127.0.0.1:8/basic/${PATH_TOKEN}/simple/")
    assert source.own == "https://a%2Fb%40c@127.0.0.1:8/basic/t0ken/simple"
    assert source.public == "https://127.0.0.1:8/basic/t0ken/simple"
    assert secrets_of([source]) == ("t0ken",)
    url = written_url("https://127.0.0.1:8/basic/t0ken/files/x-1-py3-none-any.whl#sha256=1", [source])
    assert url == "https://${USER_TOKEN}@127.0.0.1:8/basic/${PATH_TOKEN}/files/x-1-py3-none-any.whl"
    assert written_url("https://127.0.0.1:9/x.whl", [source]) == "https://127.0.0.1:9/x.whl"


@pytest.mark.parametrize(
    ("glibc", "best"),
    [
        ((2, 28), "x-1-cp311-cp311-manylinux_2_28_x86_64.whl"),
        ((2, 27), "x-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
        ((2, 12), "x-1-cp311-abi3-manylinux1_x86_64.whl"),
        ((2, 4), "x-1-py3-none-any.whl"),
    ],
)
def test_the_wheel_that_pip_would_take(glibc: tuple[int, int], best: str) -> None:
    files = [
        "x-1-py3-none-any.whl",
        "x-1-cp311-abi3-manylinux1_x86_64.whl",
        "x-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "x-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "x-1-cp311-cp311-manylinux_2_28_aarch64.whl",
        "x-1-cp311-cp311-musllinux_1_2_x86_64.whl",
    ]
    python = Python.of({"version": "3.11.7", "build": "h1_0_cpython"}, "linux-64")
    assert best_wheel(files, python, glibc) == best
    assert best_wheel(files[4:], python, glibc) is None


def conda_entry(name: str, category: str, *needs: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1",
        "manager": "conda",
        "platform": "linux-64",
        "dependencies": dict.fromkeys(needs, ""),
        "url": f"https://127.0.0.1/linux-64/{name}-1-0.conda",
        "hash": {"md5": "0"},
        "category": category,
        "optional": category != "main",
    }


def test_categories_follow_from_who_needs_what(tmp_path: Path) -> None:
    lockfile = tmp_path / "conda-lock.yml"
    packages = [
        conda_entry("python", "main"),
        conda_entry("py-tz", "docs", "python", "c-tz"),
        conda_entry("c-tz", "docs"),
    ]
    metadata = {"content_hash": {"linux-64": "old"}, "custom_metadata": {"ours": "not"}}
    lockfile.write_text("# head\n\n" + yaml.safe_dump({"version": 1, "metadata": metadata, "package": packages}))
    wheels = [LockedWheel(name=name, version="1", url=f"https://x/{name}.whl", sha256="1") for name in "abcd"]
    platform = Platform(
        name="linux-64",
        content_hash="new",
        wheels=tuple(wheels),
        asked=(("a", "main"), ("b", "dev"), ("d", "docs")),
        needs={"a": ("tz",), "b": ("c",), "d": ("c",), "c": ("b",)},
        provided={"tz": "py-tz"},
    )
    unify(lockfile, [platform], "digest")
    document = yaml.safe_load(lockfile.read_text())
    found = {(entry["name"], entry["category"]) for entry in document["package"]}
    assert found == {
        *((name, "main") for name in ("python", "py-tz", "c-tz", "a")),
        *((name, category) for name in ("b", "c") for category in ("dev", "docs")),
        ("d", "docs"),
    }
    assert document["metadata"] == {
        "content_hash": {"linux-64": "new"},
        "custom_metadata": {"ours": "not", f"{UNSEEN}linux-64": "digest"},
    }
    assert lockfile.read_text().startswith("# head\n")
    assert unseen_by_conda_lock(document["metadata"]["custom_metadata"], "linux-64") == "digest"
    unify(lockfile, [platform], None)
    custom = yaml.safe_load(lockfile.read_text())["metadata"]["custom_metadata"]
    assert unseen_by_conda_lock(custom, "linux-64") is None


def test_of_two_conda_packages_of_one_project_the_one_of_another_name_brings_it() -> None:
    """conda's xxhash is the C library, and its python-xxhash the project."""
    packages = [
        LockedPackage(
            name=name,
            version="1.0",
            manager="conda",
            platform="linux-64",
            url=f"https://127.0.0.1/noarch/{name}-1.0-0.conda",
            sha256=None,
            md5=None,
            depends=("python >=3.9",),
        )
        for name in ("app", "python-app")
    ]
    for order in (packages, packages[::-1]):
        lock = Lock(path=Path("conda-lock.yml"), platform="linux-64", packages=tuple(order))
        assert _provided(lock, {"python-app": "app"}) == {"app": packages[1]}
