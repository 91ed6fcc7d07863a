"""Selectors: what stands in brackets in the comment behind a line of an environment.yml says where the line counts.

conda-lock knows single names (``# [linux64]``). Whatever else is in brackets it takes for a selector that does not
hold, ``# see [issue 12]`` too, and leaves the package out with a word in its log. Here they are expressions of
conda-build's names, ``# [not win]``; what is none is a comment. conda-lock gets a text in which it finds the same.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONDA_LOCKS", "SELECTOR", "LeftOut", "resolved"]

_MACHINES = {
    "linux-32": {"linux32", "x86"},
    "linux-64": {"linux64", "x86_64", "x86"},
    "linux-aarch64": {"aarch64"},
    "linux-armv6l": {"armv6l"},
    "linux-armv7l": {"armv7l"},
    "linux-ppc64le": {"ppc64le"},
    "linux-s390x": {"s390x"},
    "linux-riscv64": {"riscv64"},
}
_EVERYWHERE = {"linux", "unix"}
_NOWHERE = {"osx", "osx64", "arm64", "win", "win32", "win64", "emscripten", "wasi"}
_NAMES = _EVERYWHERE.union(_NOWHERE, *_MACHINES.values())
CONDA_LOCKS = {"linux-64": "linux64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le"}
"""The names by which conda-lock tells platforms apart. It has none for others."""
SELECTOR = re.compile(r".+?#.*\[([^\[\]]+)\][^()]*")
"""A line that conda-lock finds a selector in."""
_LINE = re.compile(r"(?P<text>\s*[^\s#].*?)\s+#(?P<comment>.*\[[^\[\]]+\])[^()]*")
_BRACKETS = re.compile(r"\[([^\[\]]+)\]")
_SYNTAX = (ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Name, ast.Load)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A line, with all that is indented below it, that does not count on ``platforms``."""

    text: str
    selector: str
    platforms: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.text} is skipped for {', '.join(self.platforms)} by its selector [{self.selector}]"


def resolved(data: bytes, platforms: Sequence[str]) -> tuple[bytes, tuple[LeftOut, ...]]:
    """The environment.yml ``data`` as conda-lock has to see it for ``platforms``, and what does not count there.

    Raises :class:`ConfigError` for a selector that conda-lock cannot be told of, :class:`yaml.YAMLError` for what is
    not YAML.
    """
    if b"[" not in data:
        return data, ()
    text = data.decode("utf-8-sig")
    lines, left = text.splitlines(), list[LeftOut]()
    if not any(map(_LINE.fullmatch, lines)):
        return data, ()
    first, number = _dependencies(text)
    while number > first:  # from the end, so that what is written below does not move what is above
        number -= 1
        if not (found := _LINE.fullmatch(lines[number])):
            continue
        kept, selector, tree = found["text"], *_selector(found["comment"])
        where = [one for one in platforms if tree is None or _holds(tree, one)]
        if missing := tuple(one for one in platforms if one not in where):
            left.append(LeftOut(text=kept.strip().removeprefix("- "), selector=selector, platforms=missing))
        end = _end_of_block(lines, number)
        lines[number:end] = _written(lines[number:end], kept, selector, where, platforms)
    return "\n".join([*lines, ""]).encode(), tuple(reversed(left))


def _dependencies(text: str) -> tuple[int, int]:
    """The first line of the list of dependencies, and the one behind its last; none if there is no such list."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "dependencies" and isinstance(value, yaml.SequenceNode):
            return value.start_mark.line, value.end_mark.line + bool(value.flow_style)
    return 0, 0


def _selector(comment: str) -> tuple[str, ast.expr | None]:
    """The first of what stands in brackets that is a selector."""
    for text in _BRACKETS.findall(comment):
        if tree := _expression(text.strip()):
            return text.strip(), tree
    return "", None


def _written(block: list[str], text: str, selector: str, where: Sequence[str], platforms: Sequence[str]) -> list[str]:
    """What stands in the place of ``block``, whose first line counts ``where`` its selector holds."""
    if len(where) == len(platforms):
        return [text, *block[1:]]
    if not where:
        return [f"# {line}" for line in block]
    if len(block) > 1 or not all(one in CONDA_LOCKS for one in platforms):
        raise ConfigError(
            f"conda-lock does not support the selector [{selector}] of {text.strip()}",
            remedy="Lock the platforms one by one, or write a line with its own selector for each: "
            f"{', '.join(f'# [{name}]' for name in CONDA_LOCKS.values())}",
        )
    return [f"{text}  # [{CONDA_LOCKS[one]}]" for one in where]


def _end_of_block(lines: Sequence[str], number: int) -> int:
    """Behind the last line that is indented below ``lines[number]``; blank lines and comments are part of nothing."""
    indent, end = _indent(lines[number]), number + 1
    for place in range(number + 1, len(lines)):
        if not lines[place].strip() or lines[place].lstrip().startswith("#"):
            continue
        if _indent(lines[place]) <= indent:
            break
        end = place + 1
    return end


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _expression(selector: str) -> ast.expr | None:
    """The parsed selector; None if it is no expression of names of platforms."""
    try:
        tree = ast.parse(selector, mode="eval")
    except (SyntaxError, ValueError, RecursionError):
        return None
    nodes = list(ast.walk(tree))
    if all(isinstance(node, _SYNTAX) for node in nodes) and _NAMES.issuperset(
        node.id for node in nodes if isinstance(node, ast.Name)
    ):
        return tree.body
    return None


def _holds(tree: ast.expr, platform: str) -> bool:
    if isinstance(tree, ast.BoolOp):
        return (all if isinstance(tree.op, ast.And) else any)(_holds(value, platform) for value in tree.values)
    if isinstance(tree, ast.UnaryOp):
        return not _holds(tree.operand, platform)
    assert isinstance(tree, ast.Name)
    return tree.id in _EVERYWHERE or tree.id in _MACHINES.get(platform, ())
