"""Explain uv's error messages to the author of an environment.yml."""

from __future__ import annotations

import re
from textwrap import indent
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bundler.errors import BundlerError, LockError, without_credentials
from bundler.fetch.trust import certificate_hint
from bundler.process import shown
from bundler.resources import cache_dir
from bundler.wheels.requirements import BUILD_IT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.lock.pypi.uv import WheelQuestion

__all__ = ["explain_uv"]

_INDEX_SETTINGS = "`pip-repositories:`"
_UNAVAILABLE = re.compile(r"([\w.-]+)==(\S+) has no wheels with a matching")
_ELSEWHERE = re.compile(r"Wheels are available for `([^`]+)` \(v[^)]*\) on the following platforms?: (.+)")
_PYTHONS = re.compile(r"we only found wheels for `([^`]+)` \(v[^)]*\) with the following (.+? tags?): (.+)")

_BROKEN = re.compile(
    r"(?:Metadata for|The structure of|The metadata of) `([^`]+)` \(v([^)]*)\) "
    r"((?:could not be parsed|was invalid|was inconsistent|is inconsistent)):\n\s+(.+)"
)


def explain_uv(text: str, question: WheelQuestion, where: str) -> BundlerError:
    """The error for uv's output ``text``; ``where`` is the location in the environment file."""
    text = without_credentials(shown(re.sub(r"\x1b\[[0-9;]*m", "", text))).strip()
    return (
        _refused(text, where)
        or _unreachable(text, where)
        or _no_index(text, where)
        or _misnamed(text, where)
        or _not_cached(text, where)
        or _unsatisfiable(text, question, where)
        or LockError(f"uv failed: {_joined(text.removeprefix('error: '))}", where=where)
    )


def _refused(text: str, where: str) -> BundlerError | None:
    found = re.search(r"An index URL \((\S+)\) could not be queried .*?\((\d+) ", text)
    found = found or re.search(r"An index \((\S+)\) returned a (\d+) ", text)
    if not found:
        return None
    return LockError(
        f"authentication to the package index on {_server(found[1])} failed (HTTP {found[2]})",
        where=where,
        remedy=f"Check the user name and the password variable in {_INDEX_SETTINGS}.",
    )


def _unreachable(text: str, where: str) -> BundlerError | None:
    found = re.search(r"(?:Failed to fetch:?|for url) [`(]?(https?://[^\s`)]+)", text)
    if not found or "No solution found" in text:
        return None
    named = re.search(r"Failed to download `\S+ @ ", text) is not None
    what = f"{_file(found[1])} of `pip:` cannot be downloaded:" if named else "the package index on"
    if status := re.search(r"HTTP status \w+ error \((\d+) ", text):
        return LockError(
            f"{what} {_server(found[1])} responded with {status[1]}",
            where=where,
            remedy="Check its URL." if named else f"Try again later, or use another index in {_INDEX_SETTINGS}.",
        )
    reason = re.findall(r"cause: (.*)", text)[-1]
    if "certificate" in reason.lower():
        reason = f"{reason}; {certificate_hint()}"
    return LockError(
        f"{what} {_server(found[1])} cannot be reached: {reason}",
        where=where,
        remedy="Check the network and the proxy settings, or use conda packages instead.",
    )


def _no_index(text: str, where: str) -> BundlerError | None:
    """The server is not a package index, or a broken one."""
    found = re.search(r"(Unsupported `Content-Type` \"[^\"]*\") for `(https?://[^`]+)`", text)
    found = found or re.search(r"(Received some unexpected (?:HTML|JSON)) from `(https?://[^`]+)`", text)
    if not found:
        return None
    kind = re.search(r'"([^"]*)"', found[1])
    reason = _joined("; ".join(re.findall(r"cause: (.*)", text)))
    said = f"is of the type {kind[1] or '(none)'}" if kind else f"cannot be read: {reason}"
    return LockError(
        f"{_server(found[2])} is not a package index: its page {found[2]} {said}",
        where=where,
        remedy=f"Check the URL in {_INDEX_SETTINGS}: most package index URLs end in /simple.",
    )


def _misnamed(text: str, where: str) -> BundlerError | None:
    found = re.search(r"[Mm]etadata (name|version) `([^`]+)` does not match given (?:name|version) `([^`]+)`", text)
    if not found:
        return None
    return LockError(
        f"a wheel of {found[3]} on a package index has inconsistent metadata: the {found[1]} in its metadata is "
        f"{found[2]}",
        where=where,
        remedy=f"Use another version of it, or another index in {_INDEX_SETTINGS}.",
    )


def _not_cached(text: str, where: str) -> BundlerError | None:
    if "network was disabled" not in text and "Network connectivity is disabled" not in text:
        return None
    if unhashed := re.search(r"Failed to download `(\S+)` to compute missing hashes", text):
        return LockError(
            f"the package index has no sha256 for {_file(unhashed[1])}, and --offline prevents downloading the wheel",
            where=where,
            remedy="Lock once with network access.",
        )
    names = re.findall(r"Because ([\w.-]+) was not found in the cache", text)
    missing = names[0] if names else "a package"
    return LockError(
        f"{missing} is not in the cache, and --offline prevents asking a package index",
        where=where,
        remedy=f"Lock once with network access, or copy {cache_dir('uv')} from a machine that has locked it.",
    )


def _unsatisfiable(text: str, question: WheelQuestion, where: str) -> BundlerError | None:
    reasons = re.search(
        r"No solution found when resolving dependencies.*?\n\s*cause: (.*?)(?=\n\nhint:|\Z)", text, re.DOTALL
    )
    if not reasons:
        return None
    sentences = [_sentence(reason) for reason in re.split(r"\n\s+(?=And because |Because )", reasons[1])]
    lines = [_plain(sentence) for sentence in sentences]
    without_wheel = _without_wheel(text, question)
    lines += [*_brought_by_conda(reasons[1], question), *_constrained(reasons[1], question)]
    lines += [*without_wheel, *_elsewhere(text), *_unreadable(text), *_withdrawn(reasons[1]), *_empty_pages(reasons[1])]
    older = "requires Python" in reasons[1]
    if older:
        lines.append(f"- the environment has {question.python}")
    what = "Relax one of these version constraints" + (", request another Python in environment.yml" if older else "")
    return LockError(
        f"cannot be solved for {question.python.platform}:\n{indent(chr(10).join(lines), '    ')}",
        where=where,
        remedy=f"{what}, or use a version that has a wheel; a wheel that you build yourself goes into bundle.toml "
        "([bundle] inject)."
        if without_wheel
        else f"{what}, or add an index that has the missing package.",
    )


def _sentence(reason: str) -> str:
    """One of uv's reasons in one line, with commas in lists."""
    first, *more = reason.splitlines()
    deepest = min((len(line) - len(line.lstrip()) for line in more), default=0)
    for line in more:
        in_list = len(line) - len(line.lstrip()) > deepest and not first.endswith(":")
        first += f"{',' if in_list else ''} {line.strip()}"
    return first.strip()


def _plain(sentence: str) -> str:
    """Replace phrases about uv's own command line."""
    for said, better in (
        (", we can conclude that ", ", "),
        (" we can conclude that ", ", so "),
        ("was not found in the package registry", "is not in any of the package indexes"),
        ("was not found in the provided package locations", "is not in any of the package locations"),
        ("you require ", "`pip:` asks for "),
        ("your requirements are unsatisfiable", "`pip:` cannot be satisfied"),
        ("has no usable wheels", "has only source, no wheel"),
    ):
        sentence = sentence.replace(said, better)
    return re.sub(r"(?<=[\w\]])\{([^{}]*)\}", r" (if \1)", sentence)


def _brought_by_conda(reasons: str, question: WheelQuestion) -> Iterator[str]:
    for name, package in question.provided.items():
        if _names(name, reasons):
            called = "" if package.name == name else f" ({package.name})"
            yield f"- conda provides {name} {package.version}{called}, so no wheel of it is used"


def _constrained(reasons: str, question: WheelQuestion) -> Iterator[str]:
    """Constraints, which uv does not distinguish from requirements of packages."""
    for text in dict.fromkeys(question.wanted.constraints):
        name = re.match(r"[\w.-]+", text)
        if name and _names(name[0], reasons):
            yield f"- a constraints file (`-c`) requires {text}"


def _names(name: str, reasons: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", reasons) is not None


def _elsewhere(text: str) -> Iterator[str]:
    """Hints where the missing package may be found."""
    for name, index in re.findall(r"hint: `([^`]+)` was found on (https?://\S+), but not at", text):
        yield f"- the first index that has a project is used: for {name} that is {_server(index)}"
    for name in dict.fromkeys(re.findall(r"re-releases? (?:are|is) available for `?([\w.-]+)", text)):
        yield f"- {name} has pre-releases; `--pre` in `pip:` allows them"


def _unreadable(text: str) -> Iterator[str]:
    """Wheels, or their metadata on the index, that are broken."""
    for name, version, wrong, reason in _BROKEN.findall(text):
        kind = "metadata" if "parsed" in wrong or "inconsistent" in wrong else "wheel"
        yield f"- the {kind} of {name} {version} cannot be used: {reason}"


def _withdrawn(reasons: str) -> Iterator[str]:
    for name, version in dict.fromkeys(re.findall(r"([\w.-]+)==(\S+) was yanked", reasons)):
        yield f"- {name} {version} was yanked from its package index; `{name}=={version}` in `pip:` selects it anyway"


def _empty_pages(reasons: str) -> Iterator[str]:
    """Indexes without files of a project, which uv does not report for a requirement with a marker."""
    for name, marker in dict.fromkeys(re.findall(r"[Tt]here are no versions of ([\w.-]+)(\{)?", _joined(reasons))):
        page = "has a page without any files of it; it may be a proxy's login page, or not a package index"
        yield (
            f"- none of the package indexes has a file of {name}"
            if marker
            else f"- the first package index that responds for {name} {page}"
        )


def _without_wheel(text: str, question: WheelQuestion) -> list[str]:
    """The versions that uv would choose if they had a wheel for the server, and the platforms that have one."""
    glibc = ".".join(map(str, question.glibc))
    others = {found[1]: _joined(found[2]) for found in _ELSEWHERE.finditer(text)}
    others |= {found[1]: _joined(found[3]) for found in _PYTHONS.finditer(text)}
    lines = []
    for name, version in dict.fromkeys(_UNAVAILABLE.findall(text)):
        has = f", only for {others[name].replace('`', '')}" if name in others else ""
        lines.append(
            f"- the package index has {name} {version}, but no wheel of it for this platform and Python "
            f"({question.python}, glibc {glibc}){has}"
        )
    if "building from source is disabled" in text:
        sources = dict.fromkeys(re.findall(r"([\w.-]+==\S+) has no usable wheels", text))
        named = f" of {', '.join(sources).replace('==', ' ')}" if sources else ""
        lines.append(f"- conda-bundler does not build wheels{named} from source: {BUILD_IT}")
    return lines


def _joined(text: str) -> str:
    return " ".join(text.split())


def _file(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _server(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
