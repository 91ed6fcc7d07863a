"""The kinds of value that directives take: each raises ValueError, with a sentence, for what systemd would not take."""

from __future__ import annotations

import errno
import ipaddress
import re
import signal
from typing import TYPE_CHECKING

from bundler.systemd.calendar import seconds_of
from bundler.systemd.directives import nearest
from bundler.systemd.enumerations import ADDRESS_FAMILIES, CALL_GROUPS, CAPABILITIES
from bundler.systemd.systemcalls import SYSTEM_CALLS
from bundler.systemd.words import check_specifiers, split_words

if TYPE_CHECKING:
    from collections.abc import Callable

_YES_OR_NO = frozenset({"1", "yes", "y", "true", "t", "on", "0", "no", "n", "false", "f", "off"})
_SIZE = re.compile(r"infinity|[0-9]+(\.[0-9]+)?%|[0-9]+(\.[0-9]+)?\s*[BKMGTPE]?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNIT = re.compile(
    r"[A-Za-z0-9:_.\\@%-]+\.(service|socket|target|device|mount|automount|swap|timer|path|slice|scope)", re.ASCII
)
_URI = re.compile(r"(https?://|file:/|info:|man:).+")
_NAMESPACES = frozenset({"cgroup", "ipc", "net", "mnt", "pid", "user", "uts", "time"})


def one_of(value: str, words: frozenset[str]) -> None:
    if value not in words:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(words))}")


def yes_or_no(value: str, also: frozenset[str] = frozenset()) -> None:
    if value.lower() not in _YES_OR_NO and value not in also:
        raise ValueError(f"{value!r} is not one of {', '.join(['yes', 'no', *sorted(also)])}")


def whole_number(value: str, lowest: int, highest: int) -> None:
    if not re.fullmatch(r"[+-]?[0-9]+", value) or not lowest <= int(value) <= highest:
        raise ValueError(f"{value!r} is not a whole number from {lowest} to {highest}")


def absolute_path(value: str) -> None:
    check_specifiers(value)
    if not value.startswith(("/", "%")):
        raise ValueError(f"{value!r} is not an absolute path; write /… or a placeholder, such as {{state}}/x")


def environment_file(value: str) -> None:
    absolute_path(value.removeprefix("-"))


def working_directory(value: str) -> None:
    if value.removeprefix("-") != "~":
        absolute_path(value.removeprefix("-"))


def absolute_paths(value: str) -> None:
    for word in split_words(value):
        absolute_path(word.text.lstrip("-+"))


def bind_mounts(value: str) -> None:
    for word in split_words(value):
        for path in word.text.removeprefix("-").split(":")[:2]:
            absolute_path(path)


def mounts_with_options(value: str) -> None:
    for word in split_words(value):
        absolute_path(word.text.partition(":")[0])


def directories(value: str) -> None:
    for word in split_words(value):
        check_specifiers(word.text)
        if word.text.startswith("/") or not word.text or ".." in word.text.split("/"):
            raise ValueError(f"{word.text!r} is not a valid name: it must be relative, without '..'")


def unit_names(value: str) -> None:
    for word in split_words(value):
        check_specifiers(word.text)
        if not _UNIT.fullmatch(word.text):
            hint = f"; write {word.text}.service" if re.fullmatch(r"[A-Za-z0-9_@-]+", word.text) else ""
            raise ValueError(f"{word.text!r} is not a unit name{hint}")


def mount_points(value: str) -> None:
    for word in split_words(value):
        absolute_path(word.text)


def assignments(value: str) -> None:
    check_specifiers(value)
    for word in split_words(value):
        name, equals, _ = word.text.partition("=")
        if not equals or not _NAME.fullmatch(name):
            hint = ' (quote a value with spaces as a whole: "NAME=a b")' if not equals else ""
            raise ValueError(f"{word.text!r} is not of the form NAME=value{hint}")


def variable_names(value: str) -> None:
    for word in split_words(value):
        if not _NAME.fullmatch(word.text.partition("=")[0]):
            raise ValueError(f"{word.text!r} is not a variable name")


def span(value: str) -> None:
    seconds_of(value)


def size(value: str) -> None:
    if not _SIZE.fullmatch(value):
        raise ValueError(f"{value!r} is not a size; write it like 512M, 8G, 50% or infinity")


def limit_of_bytes(value: str) -> None:
    for part in value.split(":", 1):
        size(part)


def limit(value: str) -> None:
    parts = value.split(":", 1)
    if not all(re.fullmatch(r"[0-9]+|infinity", part) for part in parts):
        raise ValueError(f"{value!r} is not a limit; write it like 65536, 1024:65536 or infinity")
    soft, hard = (float(part.replace("infinity", "inf")) for part in (parts[0], parts[-1]))
    if soft > hard:
        raise ValueError(f"{value!r} has a soft limit that is higher than the hard one")


def limit_of_time(value: str) -> None:
    for part in value.split(":", 1):
        seconds_of(part)


def tasks(value: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]*|[0-9]+(\.[0-9]+)?%|infinity", value):
        raise ValueError(f"{value!r} is not a number of tasks; write it like 200, 50% or infinity")


def quota(value: str) -> None:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?%", value) or not float(value[:-1]):
        raise ValueError(f"{value!r} is not a CPU quota; write it like 80% or 200%")


def weight(value: str) -> None:
    if value != "idle":
        whole_number(value, 1, 10000)


def signal_name(value: str) -> None:
    name = value if value.startswith("SIG") else f"SIG{value}"
    if name not in signal.Signals.__members__ and not re.fullmatch(
        r"[1-9]|[1-5][0-9]|6[0-4]|(SIG)?RTM(IN|AX)([+-][0-9]+)?", value
    ):
        raise ValueError(f"unknown signal {value!r}; write it like SIGINT")


def mode(value: str) -> None:
    if not re.fullmatch(r"0?[0-7]{1,4}", value):
        raise ValueError(f"{value!r} is not an octal mode; write it like 0027")


def _names_of(known: frozenset[str], what: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        for word in split_words(value.removeprefix("~")):
            if word.text not in known:
                raise ValueError(f"{word.text!r} is no {what}{nearest(word.text, known)}")

    return check


def capabilities(value: str) -> None:
    _names_of(CAPABILITIES, "capability")(value.upper())


def families(value: str) -> None:
    if value != "none":
        _names_of(ADDRESS_FAMILIES, "address family")(value)


def namespaces(value: str) -> None:
    if value.lower() not in _YES_OR_NO:
        _names_of(_NAMESPACES, "kind of namespace")(value)


def system_calls(value: str) -> None:
    for word in split_words(value.removeprefix("~")):
        name, colon, number = word.text.partition(":")
        if name.startswith("@") and name not in CALL_GROUPS:
            raise ValueError(f"{name!r} is not a system call group{nearest(name, CALL_GROUPS)}")
        if not name.startswith("@") and name not in SYSTEM_CALLS:
            group = f"@{name}" if f"@{name}" in CALL_GROUPS else ""
            hint = f"; did you mean the group {group}?" if group else nearest(name, SYSTEM_CALLS)
            raise ValueError(f"{name!r} is not a system call; systemd would ignore it{hint}")
        if colon and not value.startswith("~"):
            raise ValueError(f"{word.text!r} has an error number, which only entries denied with ~ can have")
        if colon:
            error_number(number)


def error_number(value: str) -> None:
    if value != "kill" and value not in errno.errorcode.values() and not re.fullmatch(r"[1-9][0-9]{0,3}", value):
        raise ValueError(f"{value!r} is not an error number; write it like EPERM")


def addresses(value: str) -> None:
    for word in split_words(value):
        if word.text in ("any", "localhost", "link-local", "multicast"):
            continue
        try:
            ipaddress.ip_network(word.text, strict=False)
        except ValueError:
            raise ValueError(f"{word.text!r} is not an address or network; write it like 10.0.0.0/8 or any") from None


def output(value: str) -> None:
    kind, colon, rest = value.partition(":")
    if colon and kind in ("file", "append", "truncate"):
        absolute_path(rest)
    elif not re.fullmatch(r"inherit|null|tty|(journal|kmsg)(\+console)?|socket|fd(:.+)?", value):
        raise ValueError(f"{value!r} is not an output; write it like journal, null or append:{{state}}/log")


def documentation(value: str) -> None:
    for word in split_words(value):
        if not _URI.fullmatch(word.text):
            raise ValueError(f"{word.text!r} is not a URL; write https://…, http://…, file:/…, info:… or man:…")


def credential(value: str) -> None:
    name, _, _ = value.partition(":")
    if not re.fullmatch(r"[!-9;-~]+", name) or "/" in name:
        raise ValueError(f"{name!r} is not a credential name; write it like NAME:/path")
