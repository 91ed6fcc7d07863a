"""Tabs in an environment.yml: libyaml takes them between words and at a line's end, conda-lock's reader nowhere."""

from __future__ import annotations

from typing import Any

import yaml

from bundler.plainyaml import load_yaml

__all__ = ["without_tabs"]


def without_tabs(data: bytes) -> bytes:
    """``data`` with blanks in their place, if it then says the same and conda-lock's reader needs it."""
    if b"\t" not in data or _is_readable(data):
        return data
    changed = data.replace(b"\t", b" ")
    try:
        return changed if _with_blanks(load_yaml(data)) == load_yaml(changed) else data
    except (yaml.YAMLError, ValueError):  # whoever reads it says what is wrong
        return data


def _is_readable(data: bytes) -> bool:
    try:
        yaml.compose(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return True


def _with_blanks(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\t", " ")
    if isinstance(value, list):
        return [_with_blanks(one) for one in value]
    if isinstance(value, dict):
        return {_with_blanks(key): _with_blanks(one) for key, one in value.items()}
    return value
