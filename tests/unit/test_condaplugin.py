"""`conda bundler`: what conda finds by the entry point.

The conda in Python's package index is older than its plug-ins, so the two names that ours uses are made up here, as
conda documents them.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import entry_points
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    conda = ModuleType("conda")
    conda.plugins = SimpleNamespace(hookimpl=lambda function: function, CondaSubcommand=SimpleNamespace)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "conda", conda)
    monkeypatch.delitem(sys.modules, "bundler.condaplugin", raising=False)
    yield importlib.import_module("bundler.condaplugin")
    sys.modules.pop("bundler.condaplugin", None)


def test_the_entry_point_names_the_module(plugin: Any) -> None:
    (found,) = entry_points(group="conda", name="conda-bundler")
    assert found.load() is plugin


def test_conda_runs_the_command_with_its_own_words(plugin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (subcommand,) = plugin.conda_subcommands()
    assert subcommand.name == "bundler"
    assert subcommand.summary.endswith(".")
    started: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda program, words: started.append((program, words)))
    subcommand.action(("build", "--json"))
    assert started == [(sys.executable, [sys.executable, "-m", "bundler", "build", "--json"])]
