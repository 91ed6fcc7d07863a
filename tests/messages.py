"""The catalogue of messages: what conda-bundler, install.sh and manage show, as templates (``make messages``).

From Python, each string of two words or more that is not a docstring, a regular expression or code; ``{name}`` is a
value, ``{a|b}`` one of two texts. From shell, the quoted arguments of the functions that print, and each prose argument
of the others, which may hand it on to one of those; prose that a variable is set to; here-documents for ``cat``.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["CATALOGUE", "Message", "catalogue", "messages", "of_shell"]

_ROOT = Path(__file__).parent.parent
CATALOGUE = _ROOT / "tests/unit/messages.txt"
_WORDS = re.compile(r"[A-Za-z}]{2,}[,;:)'\"]*\s+[A-Za-z({'\"/-]+")
"""What prose has, and a name, a path or a directive has not."""
_CODE = re.compile(
    r"^\s*(import |from \S+ import|def |#!|<!|set -|exec |\w+\[)"
    r"|; (done|esac|fi)\b|&& (exec|mkdir)|[{}();]\\?\n|-> \{digest"
)
"""What code has that prose has not."""
_LIST = re.compile(r"\s*[A-Z]\w+(\s+[A-Z]\w+)+\s*|\n\s+[\w\s-]+\n\s+")
"""Directives, capabilities, reserved names: words without a sentence."""
_OF_WORDS = ("bundler/systemd/enumerations.py",)
"""Modules of such words alone."""
_TOOLS = ("re", "struct", "ast")
"""Modules whose functions take strings that nobody reads."""
_VALUE = re.compile(r"\$\{[^}]*\}|\$\w+")
_PRINTING = ("say", "die", "warn", "complain", "problem", "tell_line", "refuse_if")
"""Shell functions that print a sentence, and maybe what to do about it."""
_RAW = ("printf", "echo", "fail")
"""Shell commands of whose arguments some are for people."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """A text, its file, and its kind: an exception, a shell function, ``remedy``, ``step`` or ``text``."""

    path: str
    kind: str
    text: str


def messages() -> list[Message]:
    """All of them, sorted by file, in the order of the file."""
    found: list[Message] = []
    for path in sorted((_ROOT / "bundler").rglob("*.py")):
        name = path.relative_to(_ROOT).as_posix()
        found += [] if name in _OF_WORDS else _of_python(name, path.read_text(encoding="utf-8"))
    scripts = {
        path.relative_to(_ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((_ROOT / "templates").rglob("*.sh*"))
    }
    functions = {name for source in scripts.values() for name in _FUNCTION.findall(source)}
    for name, source in scripts.items():
        found += of_shell(name, source, functions)
    return found


def catalogue() -> str:
    """One line a message, below the name of its file."""
    lines: list[str] = []
    last = ""
    for message in messages():
        if message.path != last:
            lines += [*([""] if last else []), f"# {message.path}"]
        last = message.path
        text = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in message.text)
        lines.append(f"{message.kind}: {text}")
    return "\n".join(lines) + "\n"


def _of_python(path: str, source: str) -> list[Message]:
    visitor = _Visitor(path)
    visitor.visit(ast.parse(source))
    return visitor.found


class _Visitor(ast.NodeVisitor):
    """Collects the texts of a module."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.kind = "text"
        self.found: list[Message] = []

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr) and _is_text(node):
            text = _rendered(node)
            if _WORDS.search(text) and not _CODE.search(text) and not _LIST.fullmatch(text):
                self.found.append(Message(path=self.path, kind=self.kind, text=text))
        else:
            super().visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # otherwise a docstring
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = _called(node.func)
        if isinstance(node.func, ast.Attribute) and (_name(node.func.value) in _TOOLS or node.func.attr == "split"):
            return
        if name in ("cast", "TypeVar"):
            return
        outer = self.kind
        self.visit(node.func)
        self.kind = name if name[:1].isupper() or name == "step" else outer
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            self.kind = keyword.arg if keyword.arg in ("remedy", "where", "help") else self.kind
            self.visit(keyword.value)
        self.kind = outer

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        pass


def _called(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else _name(node)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right))
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) or _is_text(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _rendered(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_rendered(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _rendered(node.value) if _is_text(node.value) else f"{{{_placeholder(node.value)}}}"
    if isinstance(node, ast.BinOp) and _is_text(node):
        return _rendered(node.left) + _rendered(node.right)
    if isinstance(node, ast.IfExp) and _is_text(node):
        return f"{{{_rendered(node.body)}|{_rendered(node.orelse)}}}"
    return f"{{{_placeholder(node)}}}"


def _placeholder(node: ast.expr) -> str:
    """A short name of the value, the one that says most."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        if _called(node.func) == "counted" and len(node.args) > 1:
            unit = node.args[1]
            return f"number of {unit.value!s}s" if isinstance(unit, ast.Constant) else "number"
        inner = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
        names = [_placeholder(one) for one in inner if not isinstance(one, ast.Constant)]
        return names[0] if names else _called(node.func)
    names = [
        one.attr if isinstance(one, ast.Attribute) else one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute | ast.Name)
    ]
    return names[0] if names else "…"


_BEGIN = r"(?:^|&&|\|\||[;({!|)]|\b(?:then|else|do|if))[ \t\n\\]*"
"""What comes before a command."""
_FUNCTION = re.compile(r"^(\w+)\(\)", re.MULTILINE)
_ASSIGNMENT = re.compile(r"(?:^|[\s;({&|)])\w+=(?=[\"'])", re.MULTILINE)
_OPTION = re.compile(r"(^|\s)-[A-Za-z0-9_]+\s(?!\s*-)")
"""What a command has that prose has not, nor the list of options in a help text."""
_HERE = re.compile(r"\bcat <<-?(?P<end>\w+)\n(?P<text>.*?)^\s*(?P=end)$", re.MULTILINE | re.DOTALL)
_RECORDING = ("claim",)
"""Shell functions whose arguments only look like prose: they are lines of a record."""


def of_shell(path: str, source: str, functions: Collection[str]) -> list[Message]:
    """The messages of a script that calls ``functions``, in their order."""
    source = re.sub(r"(?m)^\s*#.*$", "", source)
    found = [(at, Message(path=path, kind="cat", text=line)) for at, line in _here_documents(source)]
    source = _HERE.sub(lambda here: re.sub(r"[^\n]", " ", here[0]), source)
    names = "|".join(sorted({*functions, *_PRINTING, *_RAW} - {*_RECORDING}))
    quoted = _quoted(source)
    for call in re.finditer(rf'{_BEGIN}(?P<name>{names}|"\$\w+")[ \t]', source, re.MULTILINE):
        if call["name"] == "printf" or call["name"][0] == '"' or not quoted[call.start("name")]:
            found += [(at, Message(path=path, kind=kind, text=text)) for at, kind, text in _told(source, call)]
    for assignment in _ASSIGNMENT.finditer(source):
        for at, text in _arguments(source, assignment.end())[:1]:
            found += [(at, Message(path=path, kind="text", text=text))] if _is_prose(text) else []
    return list(dict(sorted(found, key=lambda one: one[0])).values())


def _here_documents(source: str) -> Iterator[tuple[int, str]]:
    """Their lines of prose."""
    for here in _HERE.finditer(source):
        for line in re.finditer(r"(?m)^.+$", here["text"]):
            if _is_prose(line[0]) and not line[0].lstrip().startswith('"'):
                yield here.start("text") + line.start(), line[0].strip()


def _quoted(source: str) -> bytearray:
    """For each character, whether it is within quotes."""
    found = bytearray(len(source))
    at = 0
    while at < len(source):
        end = at
        if source[at] == "\\":
            end = at + 1
        elif source[at] == "#" and source[at - 1] in " \t\n":
            end = source.find("\n", at)
        elif source[at] in "'\"":
            end = source.find("'", at + 1) if source[at] == "'" else _end_of_quotes(source, at + 1)
            found[at:end] = bytes([1]) * (end - at)
        at = end + 1
    return found


def _told(source: str, call: re.Match[str]) -> Iterator[tuple[int, str, str]]:
    """What a command says: where it stands, its kind, its text."""
    name = call["name"]
    for index, (at, text) in enumerate(_arguments(source, call.end("name"))):
        if name in _PRINTING:
            if re.search(r"[a-z]{2}", _without_values(text)):
                yield at, "remedy" if index else name, text
        elif _is_prose(text):
            yield at, name.strip('"'), text


def _is_prose(text: str) -> bool:
    words = _without_values(text)
    return bool(_WORDS.search(words) and not _CODE.search(text) and not _OPTION.search(words))


def _without_values(text: str) -> str:
    """Variables and commands, which may have quotes and others in them, are words without a sentence."""
    while (begin := text.find("$(")) >= 0:
        depth, at = 1, begin + 2
        while at < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        text = text[:begin] + text[at:]
    return _VALUE.sub("", text)


def _arguments(source: str, start: int) -> list[tuple[int, str]]:
    """The quoted words of the command whose arguments begin at ``start``: where they stand, and as they are written."""
    found = []
    at = start
    while at < len(source) and source[at] not in "\n;&|)":
        if source[at] == "'":
            end = source.find("'", at + 1)
            found.append((at, source[at + 1 : end]))
            at = end
        elif source[at] == '"':
            end = _end_of_quotes(source, at + 1)
            found.append((at, source[at + 1 : end].replace("\\\n", "")))
            at = end
        elif source.startswith("\\\n", at):
            at += 1
        elif source.startswith(" #", at):
            break
        at += 1
    return found


def _end_of_quotes(source: str, at: int) -> int:
    """Where the double quotes end that began before ``at``; a command in them may have quotes of its own."""
    depth = 0
    while at < len(source) and (source[at] != '"' or depth):
        if source[at] == "\\":
            at += 1
        elif source.startswith("$(", at):
            depth += 1
            at += 1
        elif source[at] == ")" and depth:
            depth -= 1
        at += 1
    return at


if __name__ == "__main__":
    sys.stdout.write(catalogue())
