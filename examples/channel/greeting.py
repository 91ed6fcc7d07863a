"""``greeting``: a C program and text files that carry the placeholder in every way that conda packages do."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import elf
from model import PLACEHOLDER, ChannelError, Member, Package, Recipe

from bundler.process import run

__all__ = ["recipes"]

_VERSION = "1.0"
_SOURCE = Path(__file__).parent / "sources" / "greeting.c"
_HELLO = "Hello from the prefix this was built for.\n"

_PC = f"""\
prefix={PLACEHOLDER}
datadir=${{prefix}}/share

Name: greeting
Description: Says hello
Version: {_VERSION}
"""

# Text files with the prefix in them: path -> (content, executable).
_TEXTS = {
    "bin/greet-twice": (f"#!{PLACEHOLDER}/bin/greeting\n# run by the program beside it\nHello again.\n", True),
    "bin/greet-where": (f'#!/bin/sh\nPREFIX="{PLACEHOLDER}"\necho "$PREFIX"\n', True),
    "etc/greeting/greeting.conf": (f"text = {PLACEHOLDER}/share/greeting/hello.txt\n", False),
    "lib/pkgconfig/greeting.pc": (_PC, False),
}

# What a package does to its environment: conda sources the first when one activates, the second is read before it.
_ACTIVATION = {
    "etc/conda/activate.d/greeting.sh": 'export GREETING_HOME="${CONDA_PREFIX}/share/greeting"\n',
    "etc/conda/deactivate.d/greeting.sh": "unset GREETING_HOME\n",
    "etc/conda/env_vars.d/greeting.json": '{"GREETING_LANGUAGE": "en"}\n',
}


def recipes() -> tuple[Recipe, ...]:
    """``greeting-data``, and ``greeting`` where there is a C compiler."""
    data = Recipe(key="greeting-data", inputs=_VERSION, make=_data)
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return (data,)
    version = run([compiler, "--version"]).stdout
    return (data, Recipe(key="greeting", inputs=version, make=lambda: _greeting(compiler)))


def _data() -> Package:
    return Package(
        name="greeting-data",
        version=_VERSION,
        license="BSD-3-Clause",
        summary="What greeting says",
        subdir="noarch",
        noarch="generic",
        members=(Member(path="share/greeting/hello.txt", content=_HELLO.encode()),),
        archive=".tar.bz2",
    )


def _greeting(compiler: str) -> Package:
    program = _compile(compiler)
    texts = (
        Member(path=path, content=text.encode(), executable=executable, placeholder="text")
        for path, (text, executable) in _TEXTS.items()
    )
    activation = (Member(path=path, content=text.encode()) for path, text in _ACTIVATION.items())
    return Package(
        name="greeting",
        version=_VERSION,
        license="BSD-3-Clause",
        summary="A program that knows its prefix",
        depends=(f"__glibc >={elf.glibc_floor([program])},<3.0.a0", f"greeting-data {_VERSION}.*"),
        members=(
            Member(path="bin/greeting", content=program, executable=True, placeholder="binary"),
            Member(path="bin/hello-greeting", target="greeting"),
            *texts,
            *activation,
        ),
    )


def _compile(compiler: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        # Compiled under a bare name and stripped: no path of this machine gets into it.
        shutil.copyfile(_SOURCE, Path(scratch, _SOURCE.name))
        flags = ("-O2", "-s", f'-DPREFIX="{PLACEHOLDER}"', "-o", "greeting", _SOURCE.name)
        run([compiler, *flags], cwd=Path(scratch))
        program = Path(scratch, "greeting").read_bytes()
    if program.count(PLACEHOLDER.encode()) != 4:
        raise ChannelError("the compiler did not keep the prefix in each of its strings", where="greeting.c")
    return program
