"""What is Python's alone, after link scripts too; and what is taken of what foreign code has left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bundler.errors import PackError
from bundler.linkscripts.run import Effects
from bundler.pack import compiler
from bundler.package.info import Index, read_index
from bundler.sharing.interpreter import Interpreter, check_effects

if TYPE_CHECKING:
    from pathlib import Path


def python(build: str = "h1_0_cpython", version: str = "3.13.1") -> Index:
    about = {"name": "python", "version": version, "build": build}
    return read_index({"info/index.json": json.dumps(about).encode()})


@pytest.mark.parametrize(
    ("path", "reserved"),
    [
        ("lib/python3.13t", True),
        ("lib/python3.13t/os.py", True),
        ("lib/python3.13t/site-packages", True),
        ("lib/python3.13t/site-packages/os.py", False),
        ("lib/python3.13t/config-3.13t-x86_64-linux-gnu/x.a", False),
        ("lib/python3.13t/config-x.py", True),
        ("lib/python3.13t-other/x.py", False),
        ("lib/python3.13/os.py", False),
        ("lib/python313t.zip", True),
        ("bin/python3.13t", True),
        ("bin/python3-config", False),
        ("bin/Modules/Setup.local", True),
        ("lib/python._pth", True),
        ("share/python._pth", False),
    ],
)
def test_what_is_reserved(path: str, reserved: bool) -> None:
    interpreter = Interpreter.of(python(), "lib/python3.13t/site-packages")
    assert interpreter.reserves(path) is reserved


def test_a_link_script_that_writes_there() -> None:
    interpreter = Interpreter.of(python(), "lib/python3.13/site-packages")
    fine = Effects(package="eager", script="post-link", added=("lib/python3.13/site-packages/x.py",))
    own = Effects(package="python", script="post-link", changed=("lib/python3.13/os.py",))
    check_effects(interpreter, (fine, own))
    for changes in ({"added": ("lib/python3.13/sitecustomize.py",)}, {"changed": ("bin/python3.13",)}):
        with pytest.raises(PackError, match="in a directory reserved for Python itself") as caught:
            check_effects(interpreter, (Effects(package="eager", script="post-link", **changes),))
        assert caught.value.where == "eager"
    check_effects(None, (Effects(package="eager", script="post-link", added=("bin/python3.13",)),))


def test_only_plain_files_with_their_names_are_taken_as_bytecode(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "d.cpython-311.pyc").write_text("of the machine")
    (tmp_path / "secret" / "file").write_text("of the machine")
    output = tmp_path / "output"
    there = output / "0" / "work" / "0" / "env" / "lib"
    there.mkdir(parents=True)
    (there / "a.cpython-311.pyc").write_bytes(b"code")
    (there / "b.cpython-311.pyc").symlink_to(tmp_path / "secret" / "file")
    (there / "c.cpython-311.pyc").mkdir()
    (there / "other.cpython-311.pyc").write_bytes(b"nobody asked")
    (there / "below").symlink_to(tmp_path / "secret")
    sources = tuple(f"env/lib/{name}.py" for name in ("a", "b", "c", "below/d", "gone"))
    taken = compiler._taken(output, 0, sources, "cpython-311")
    assert list(taken) == [("env/lib/__pycache__/a.cpython-311.pyc", there / "a.cpython-311.pyc")]
