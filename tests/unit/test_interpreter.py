"""Where only Python's own packages may have files."""

from __future__ import annotations

import pytest

from bundler.package.info import Index
from bundler.sharing.interpreter import Interpreter


def interpreter(build: str = "0", library: str = "lib/python3.11") -> Interpreter:
    index = Index(
        name="python",
        version="3.11.7",
        build=build,
        noarch_python=False,
        site_packages="",
        entry_points=(),
        document={},
    )
    return Interpreter.of(index, f"{library}/site-packages")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "lib/python3.11",
            "lib/python3.11/site-packages",
            "lib/python3.11/argparse/__init__.py",
            "lib/python3.11/x.so",
        ),
        *("lib/python3.11/lib-dynload/x.so", "lib/python3.11/configx.py", "lib/python3.11/config-x"),
        *("lib/python311.zip", "lib/python311.zip/x", "lib64/python313t.zip", "lib/libpython3.11.so.1.0"),
        *("bin/python", "bin/python3.13t", "bin/python3.11._pth", "python._pth", "pyvenv.cfg", "bin/pyvenv.cfg"),
        *("bin/Modules/Setup.local", "pybuilddir.txt", "lib/python311._pth"),
    ],
)
def test_what_python_looks_at_first(path: str) -> None:
    assert interpreter().reserves(path)


@pytest.mark.parametrize(
    "path",
    [
        *("lib/python3.11/site-packages/x.py", "lib/python3.11/config-3.11-x86_64-linux-gnu/libpython3.11.a"),
        *(
            "lib/python3.12/x.py",
            "lib/python3.11x/y",
            "bin/python-argcomplete-check",
            "share/pyvenv.cfg",
        ),
        *("lib/libpython3.11.a", "include/python3.11/x.h", "lib/python3.11.zip.txt", "lib/x/y._pth"),
    ],
)
def test_what_others_may_have(path: str) -> None:
    assert not interpreter().reserves(path)


@pytest.mark.parametrize(
    ("build", "key", "owns"),
    [
        *(("0", "python", True), ("0", "pypy3.9", False), ("0", "pythonx", False), ("0", "python-x", False)),
        *(("0_73_pypy", "pypy3.9", True), ("0_73_pypy", "pypy", True), ("0_73_pypy", "pypyx", False)),
        ("0_graalpy311", "graalpy", True),
    ],
)
def test_who_is_python(build: str, key: str, *, owns: bool) -> None:
    assert interpreter(build).owns(key) is owns
