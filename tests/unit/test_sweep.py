"""`make sweep`: its table of projects, and what becomes of results. That projects run is seen by running it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from examplekit import CHECKOUT
from sweep.environments import PLACE, installed
from sweep.report import RESULTS, faults, merged, page, read_results, write_results
from sweep.run import Result, named_exemptions
from sweep.table import groups, read_groups

from bundler.codemarks import PYTHON
from bundler.config.project import load_config

if TYPE_CHECKING:
    from pathlib import Path


def result(project: str, systemd: int = 252, **values: Any) -> Result:
    usual: dict[str, Any] = {"group": "web", "by_hand": True, "as_service": True}
    return Result(project=project, systemd=systemd, **(usual | values))


def test_the_table_is_in_order() -> None:
    found = groups()
    assert sum(len(group.projects) for group in found) >= 100
    for group in found:
        for project in group.projects:
            compile(project.statement, project.name, "exec")
            assert re.fullmatch(r"[a-z][a-z0-9-]{0,30}", project.unit)  # what a service may be called


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"a": {"statement": "pass", "require": ["a"]}}, "a: unknown keys: require"),
        ({"a": {"statement": " "}}, "a: it has no statement"),
        ({"a_b": {"statement": "pass"}, "a-b": {"statement": "pass"}}, "projects of the same name: sweep-a-b"),
    ],
)
def test_a_mistake_in_the_table_is_told(entries: dict[str, dict[str, Any]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_groups({"web": entries})


def test_a_project_is_asked_for_by_its_name_unless_said() -> None:
    (group,) = read_groups({"web": {"b": {"statement": "pass"}, "a": {"statement": "pass", "requires": ["b", "c[d]"]}}})
    assert group.requires == ("b", "c[d]")


def test_only_what_works_by_hand_can_be_our_fault() -> None:
    ours = result("ours", as_service=False)
    assert faults([ours, result("nobodys", by_hand=False, as_service=False), result("well")]) == [ours]


def test_a_later_run_takes_the_place_of_its_projects(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    assert read_results(path) == []
    write_results([result("gone"), result("new"), result("kept", group="data", exemptions=("a",))], path)
    table = read_groups({"web": {"new": {"statement": "pass"}}, "data": {"kept": {"statement": "pass"}}})
    found = merged(read_results(path), [result("new", said="now")], table)
    assert [(one.group, one.project) for one in found] == [("data", "kept"), ("web", "new")]
    assert (found[0].exemptions, found[1].said) == (("a",), "now")


def test_the_page_in_the_documentation_is_of_the_results_and_has_every_project() -> None:
    results = read_results(RESULTS)
    assert (CHECKOUT / "docs" / "sweep.md").read_text("utf-8") == page(results)
    assert {(one.group, one.project) for one in results} == {
        (group.name, one.name) for group in groups() for one in group.projects
    }
    assert faults(results) == []


def test_some_projects_of_a_group_can_be_chosen() -> None:
    (group,) = read_groups({"web": {"a": {"statement": "pass"}, "b": {"statement": "pass"}}})
    assert [one.name for one in group.only(["b"]).projects] == ["b"]
    assert group.only(None) is group


def test_the_page_tells_each_project_and_why_it_is_confined_less() -> None:
    jit: dict[str, Any] = {"exemptions": ("MemoryDenyWriteExecute: V8, in a|b.so",)}
    text = page(
        [
            result("a"),
            result("a", 257, as_service=False, said="one\n`two`"),
            result("b", by_hand=False, said="not there"),
            result("c", **jit, strict=True),
            result("c", 257, **jit, strict=False),
            result("d", **jit, strict=True),
        ]
    )
    assert "| web | a | yes | not on systemd 257 |  |  |\n" in text
    assert "| web | b | no | yes |  |  |\n" in text
    assert "| web | c | yes | yes | MemoryDenyWriteExecute: V8, in a\\|b.so | yes |\n" in text
    assert "| web | d | yes | yes | MemoryDenyWriteExecute: V8, in a\\|b.so | not by this job |\n" in text
    assert "**2 of the 3 projects that work by hand work as a service**; 4 were tried" in text
    assert "on systemd 252 and 257" in text
    assert "- a, systemd 257, as a service: `one 'two'`\n" in text
    assert "- b, systemd 252, by hand: `not there`\n" in text


def test_what_is_installed_decides_by_its_files_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "Some_Package-1.0.dist-info").mkdir()
    (tmp_path / "a" / "check.py").write_text("import ctypes\nPROT_EXEC = 4\n")
    (tmp_path / "a" / "again.py").hardlink_to(tmp_path / "a" / "check.py")
    (tmp_path / "a" / "plain.py").write_text("import ctypes\n")
    (tmp_path / "a" / "empty.py").touch()
    contents = installed(tmp_path)
    assert contents.packages == {"some-package"}
    assert [(mark.name, mark.files) for mark in contents.marks] == [
        (PYTHON, (f"{PLACE}/a/again.py", f"{PLACE}/a/check.py"))
    ]
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(
        '[bundle]\nname = "x"\nversion = "1"\n[services.x]\ncommand = ["python"]\nports = [80]\n'
    )
    named = named_exemptions(load_config(tmp_path).services[0], contents)
    assert f"MemoryDenyWriteExecute: {PYTHON}, in a/again.py and 1 more file" in named
    assert "PrivateUsers: ports = [80]" in named
