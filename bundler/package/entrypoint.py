"""What a command of a package starts: ``module:function``, as the entry points specification of packaging.python.org
has it. It becomes a line of Python in a script, and its name a file's.
"""

from __future__ import annotations

import re

__all__ = ["is_command_name", "is_object_reference"]

_OBJECT = re.compile(r"\s*[\w.]+ *: *[\w.]+ *(?:\[[\w ,.-]*\])?\s*")


def is_command_name(name: str) -> bool:
    """Whether a script can be called so: it is a file's name, and steers no terminal."""
    return name.isprintable() and not {"/", "\\"} & set(name) and name not in ("", ".", "..")


def is_object_reference(text: str) -> bool:
    """Whether ``text`` is ``module:function``, with or without extras."""
    return _OBJECT.fullmatch(text) is not None
