"""The rooms of bundler/ and the order in which they may import each other (CONTRIBUTING.md, "Layout")."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import bundler

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(bundler.__file__).parent

LAYERS = (
    (
        "atomic",
        "cooldown",
        "digests",
        "locked",
        "plainyaml",
        "platforms",
        "printable",
        "streams",
        "systemd",
        "tar",
        "transfer",
    ),
    ("elf", "errors", "foreign", "licenses", "progressjson", "sealed"),
    ("codemarks", "package", "process", "progress", "resources"),
    ("cage", "diskspace", "fetch", "machine", "scratch"),
    ("about", "config", "linking", "linkscripts", "wheels"),
    ("commandline", "inject", "lockfiles", "sbom"),
    ("lock", "sharing"),
    ("prefix",),
    ("pack",),
    ("units",),
    ("installer",),
    ("bundle", "inputs", "project_templates"),
    ("build", "inventory", "reader"),
    ("audit", "rebuild", "signing", "smoke"),
    ("doctor", "outputs", "report"),
    ("cli",),
    ("__main__", "condaplugin"),
)
"""The lowest first. A room imports from layers below its own; rooms of one layer do so in one direction."""


def room_of(module: str) -> str:
    return module.split(".")[1]


def imports() -> Iterator[tuple[str, str, str]]:
    """Each import of one room by another, those for types included: importer, imported, and where it stands."""
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        importer = relative.parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("bundler"):
                continue
            assert node.module  # no relative imports
            modules = [node.module] if "." in node.module else [f"bundler.{name.name}" for name in node.names]
            for module in modules:
                if module != "bundler.__version__" and room_of(module) != importer:
                    yield importer, room_of(module), f"{relative}:{node.lineno}"


def rooms() -> set[str]:
    found = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    return found | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


LEVEL = {room: level for level, layer in enumerate(LAYERS) for room in layer}


def test_every_room_has_a_layer() -> None:
    assert sorted(LEVEL) == sorted(rooms())


def test_imports_go_downwards() -> None:
    upwards = [
        f"{where} imports {imported}" for importer, imported, where in imports() if LEVEL[imported] > LEVEL[importer]
    ]
    assert not upwards, "\n".join(upwards)


def test_rooms_of_one_layer_form_no_circle() -> None:
    beside = {(importer, imported) for importer, imported, _ in imports() if LEVEL[importer] == LEVEL[imported]}
    reached = set(beside)
    for _ in LEVEL:
        reached |= {(first, last) for first, middle in reached for start, last in beside if middle == start}
    assert not [room for room in LEVEL if (room, room) in reached]


def inside(room: str) -> set[tuple[str, str]]:
    """Each import of one of a room's modules by another, those for types included."""
    found = set[tuple[str, str]]()
    modules = {path.stem: path for path in (PACKAGE / room).glob("*.py")}
    for importer, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == f"bundler.{room}":
                found |= {(importer, name.name) for name in node.names if name.name in modules}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"bundler.{room}."):
                found.add((importer, (node.module or "").split(".")[2]))
    return found


def test_the_modules_of_config_form_no_circle() -> None:
    """Values are below what is checked of them."""
    below: dict[str, set[str]] = {}
    for importer, imported in inside("config"):
        below.setdefault(importer, set()).add(imported)
    assert {"project", "consistency", "bundleconfig"} <= below.keys()
    TopologicalSorter(below).prepare()  # raises CycleError, which names the circle
