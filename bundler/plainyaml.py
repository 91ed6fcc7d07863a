"""Load YAML three times as fast as PyYAML, which otherwise takes most of the time for reading a lockfile.

PyYAML builds a tree of nodes, then resolves and constructs each of them. For a document without anchors, tags and merge
keys, the data can be built directly from its events. PyYAML resolves plain scalars, and loads all other documents.

A few lines with anchors can expand to more than fits into memory. So the expanded size is counted before anything is
constructed.
"""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["dump_yaml", "load_yaml", "load_yaml12"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""libyaml's, if PyYAML has it."""
_TEXT = "tag:yaml.org,2002:str"
_WORDS = frozenset(["yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"])
"""Booleans of YAML 1.1 that are strings in YAML 1.2."""
_MERGED = ("<<", "=")
_MOST_TIMES = 20
"""The maximum number of nodes per byte, with aliases expanded; ordinary documents have less than one."""
_MERGE = "tag:yaml.org,2002:merge"
_INTEGER, _MOST_DIGITS = "tag:yaml.org,2002:int", 100
"""Longer numbers are refused: nobody needs them, and Python cannot print them."""


class _NotPlainError(Exception):
    """PyYAML has to build it."""


def load_yaml(data: bytes, *, once: bool = False) -> Any:
    """Load ``data``. Raises :class:`yaml.YAMLError` or :class:`ValueError` if it is not YAML, or not safe.

    ``once``: duplicate keys are errors, since some readers use the first and others the last.
    """
    return _load(data, _LOADER, once=once)


def load_yaml12(data: bytes, *, once: bool = False) -> Any:
    """The same for YAML 1.2, where yes, no, on and off are strings."""
    return _load(data, _Loader12, once=once)


def _load(data: bytes, kind: Any, *, once: bool) -> Any:
    try:
        return _loaded(data, kind, once=once)
    except RecursionError:
        raise ValueError("it is too deeply nested") from None
    except TypeError as error:  # which PyYAML raises for some tags and keys
        raise ValueError(str(error)) from error


def _loaded(data: bytes, kind: Any, *, once: bool) -> Any:
    loader = kind(data)
    try:
        return _document(loader, once=once)
    except _NotPlainError:
        return _built(data, kind, once=once)
    finally:
        loader.dispose()


def _built(data: bytes, kind: Any, *, once: bool) -> Any:
    """Load with PyYAML like ``yaml.load``, but check the nodes before they are constructed."""
    loader = kind(data)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_TIMES * len(data):
            raise ValueError("its anchors expand to too much data")
        if once:
            _check_keys(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_number(tag: str, text: str) -> None:
    if tag == _INTEGER and len(text) > _MOST_DIGITS:
        raise ValueError(f"a number is too large: {text[:20]}…")


def _check_keys(root: Any) -> None:
    pending, known = [root], set()
    while pending:
        node = pending.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in known:
            continue
        known.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            pending += node.value
            continue
        seen = set()
        for key, value in node.value:
            pending.append(value)
            if (key.tag, str(key.value)) in seen and key.tag != _MERGE:
                raise _twice(str(key.value))
            seen.add((key.tag, str(key.value)))


def _twice(key: str) -> ValueError:
    return ValueError(f"the key {key[:80]!r} is there twice")


def _size(node: Any, known: dict[int, int]) -> int:
    """The number of nodes, with aliases expanded."""
    size = known.get(id(node))
    if size is None:
        known[id(node)] = 0
        inner = node.value if isinstance(node, yaml.CollectionNode) else ()
        if not inner:
            _check_number(node.tag, node.value)
        pairs = isinstance(node, yaml.MappingNode)
        size = 1 + sum(_size(one, known) for item in inner for one in (item if pairs else (item,)))
        known[id(node)] = size
    elif size == 0:
        raise ValueError("an anchor refers to itself")
    return size


class _Loader12(_LOADER):  # type: ignore[misc]
    def resolve(self, kind: type[yaml.Node], value: str, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0] and value in _WORDS:
            return _TEXT
        return super().resolve(kind, value, implicit)


def dump_yaml(document: Any, before: bytes) -> bytes:
    """``document`` as YAML, with its keys in their order, below the comments at the head of ``before``."""
    head = b"".join(line for line in before.splitlines(keepends=True) if line.startswith(b"#"))
    text: str = yaml.dump(document, Dumper=_DUMPER, sort_keys=False)
    return head + text.encode()


def _document(loader: Any, *, once: bool) -> Any:
    loader.get_event()  # the stream's start
    if isinstance(loader.get_event(), yaml.StreamEndEvent):
        return None
    document = _Builder(loader, once=once).value(loader.get_event())
    loader.get_event()  # the document's end
    if not isinstance(loader.get_event(), yaml.StreamEndEvent):
        raise _NotPlainError  # several documents
    return document


class _Builder:
    def __init__(self, loader: Any, *, once: bool) -> None:
        self._loader = loader
        self._once = once
        self._known: dict[str, Any] = {}
        """Resolved plain scalars, which are immutable; a lockfile repeats them often."""

    def value(self, event: Any) -> Any:
        """The value that begins with ``event``."""
        kind = type(event)
        if kind is yaml.AliasEvent or event.anchor is not None or event.tag is not None:
            raise _NotPlainError
        if kind is yaml.ScalarEvent:
            return self._plain(event.value) if event.implicit[0] else event.value
        following = self._loader.get_event
        if kind is yaml.SequenceStartEvent:
            items = []
            while type(inner := following()) is not yaml.SequenceEndEvent:
                items.append(self.value(inner))
            return items
        mapping = {}
        while type(inner := following()) is not yaml.MappingEndEvent:
            if type(inner) is not yaml.ScalarEvent or (inner.implicit[0] and inner.value in _MERGED):
                raise _NotPlainError
            key = self.value(inner)
            if self._once and key in mapping:
                raise _twice(inner.value)
            mapping[key] = self.value(following())
        return mapping

    def _plain(self, text: str) -> Any:
        if text in self._known:
            return self._known[text]
        loader = self._loader
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))
        if tag == _TEXT:
            value: Any = text
        elif text in _MERGED:
            raise _NotPlainError
        else:
            _check_number(tag, text)
            value = loader.construct_object(yaml.ScalarNode(tag, text), deep=True)
        self._known[text] = value
        return value
