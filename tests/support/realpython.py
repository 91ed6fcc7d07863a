"""The Python that runs the tests, as files of a conda package: it runs in the cage, where nothing else of it is.

No more than what compiling takes; it lies in ``share``, where nobody asks for its bytecode.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tinychannel import File, Link

__all__ = ["VERSION", "real_python"]

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_HOME = "share/real"
_PROGRAM = f"""#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/../{_HOME}
LD_LIBRARY_PATH=$here/lib exec "$here/bin/python{VERSION}" "$@"
"""
_WANTED = """
import compileall, encodings.aliases, encodings.ascii, encodings.latin_1, encodings.utf_8, json, os, sys
sys.argv[1:] = ["-q", os.__file__]
compileall.main()
print(json.dumps([getattr(module, "__file__", None) for module in sys.modules.values()]))
"""


@functools.cache
def real_python() -> dict[str, bytes | File | Link]:
    """The files, by their path in the prefix: ``bin/python`` is one of them."""
    files: dict[str, bytes | File | Link] = {
        f"bin/python{VERSION}": File(content=_PROGRAM.encode(), mode=0o755),
        "bin/python": Link(f"python{VERSION}"),
        f"{_HOME}/bin/python{VERSION}": File(content=_stripped(Path(sys.executable)), mode=0o755),
    }
    done = subprocess.run([sys.executable, "-I", "-S", "-c", _WANTED], capture_output=True, text=True, check=True)
    standard = Path(sysconfig.get_path("stdlib"))
    for name in filter(None, json.loads(done.stdout)):
        if standard in Path(name).parents:
            files[f"{_HOME}/lib/python{VERSION}/{Path(name).relative_to(standard)}"] = Path(name).read_bytes()
    library = Path(str(sysconfig.get_config_var("LIBDIR"))) / str(sysconfig.get_config_var("INSTSONAME"))
    if library.suffix != ".a" and library.exists():
        files[f"{_HOME}/lib/{library.name}"] = _stripped(library)
    return files


def _stripped(path: Path) -> bytes:
    """Without symbols, which are most of it."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["strip", "--strip-unneeded", "-o", file.name, path.resolve()], check=True)
        return Path(file.name).read_bytes()
