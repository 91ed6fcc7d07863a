"""What is read of activation when a bundle is built."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bundler.errors import ConfigError, PackError
from bundler.installer.activation import Script, is_plain, read_activation, spec_variables

if TYPE_CHECKING:
    from pathlib import Path

BAKED = "/opt/x/releases/1-0123456789ab/env"


def lay(prefix: Path, files: dict[str, object]) -> frozenset[str]:
    """Write them below the prefix, tables as JSON; their paths below the release."""
    for path, content in files.items():
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / path).write_text(content if isinstance(content, str) else json.dumps(content))
    return frozenset(f"env/{path}" for path in files)


def test_variables_in_condas_order(tmp_path: Path) -> None:
    shipped = lay(
        tmp_path,
        {
            "etc/conda/env_vars.d/b.json": {"A": "b", "B": 1, "C": True},
            "etc/conda/env_vars.d/a.json": {"A": "a", "D": "a", "E": "a", "F": "***unset***"},
            "conda-meta/state": {"version": 1, "env_vars": {"D": "state", "E": "***unset***"}},
        },
    )
    found = read_activation(tmp_path, BAKED, shipped=shipped, variables={"G": "spec"})
    assert dict(found.variables) == {
        "CONDA_PREFIX": BAKED,
        "CONDA_DEFAULT_ENV": BAKED,
        "CONDA_SHLVL": "1",
        "A": "b",
        "B": "1",
        "C": "True",
        "D": "state",
        "G": "spec",
    }
    assert found.unset == ("E", "F")


def test_what_is_left_out_of_the_payload_sets_nothing(tmp_path: Path) -> None:
    lay(tmp_path, {"etc/conda/env_vars.d/a.json": {"A": "a"}, "etc/conda/activate.d/a.sh": ""})
    found = read_activation(tmp_path, BAKED, shipped=frozenset(), variables={})
    assert (len(found.variables), found.scripts) == (3, ())


def test_scripts_are_sorted_and_their_shell_is_known(tmp_path: Path) -> None:
    scripts = {"b.sh": "[[ -n $X ]] && export Y=1\n", "a b.sh": "export A=1\n", "c.fish": "", "d.csh": ""}
    shipped = lay(tmp_path, {f"etc/conda/activate.d/{name}": text for name, text in scripts.items()})
    found = read_activation(tmp_path, BAKED, shipped=shipped, variables={})
    where = "env/etc/conda/activate.d"
    assert found.scripts == (Script(path=f"{where}/a b.sh", plain=True), Script(path=f"{where}/b.sh", plain=False))
    assert found.files()["config/activation.list"] == f"sh {where}/a b.sh\nbash {where}/b.sh\n"


def test_a_script_whose_name_would_be_two_lines_is_refused(tmp_path: Path) -> None:
    shipped = lay(tmp_path, {"etc/conda/activate.d/a\nb.sh": ""})
    with pytest.raises(PackError, match="name"):
        read_activation(tmp_path, BAKED, shipped=shipped, variables={})


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        pytest.param('{"A":' * 100_000, id="deep"),
        '{"A B": "x"}',
        '{"": "x"}',
        '{"A": null}',
        '{"A": ["x"]}',
        '{"A": "\\u0007"}',
        '{"A": "\\ud800"}',
    ],
)
def test_what_no_service_can_have_is_refused_with_its_file(tmp_path: Path, content: str) -> None:
    shipped = lay(tmp_path, {"etc/conda/env_vars.d/a.json": content})
    with pytest.raises(PackError) as caught:
        read_activation(tmp_path, BAKED, shipped=shipped, variables={})
    assert str(caught.value.where).endswith("env_vars.d/a.json")


@pytest.mark.parametrize(
    "text",
    [
        'export A="$CONDA_PREFIX/share"\n',
        'if [ -n "${A:-}" ]; then A=$((1 + 2)); fi\n',
        "# [[ source function ==\n. ./other\n",
        "A=${B:-x}${C:+y}${D:=z}${E#a}${F%%b}${#G}\n",
        "case $A in a|b) export B=`id -u` ;; esac\n",
        "f() { local x; x=1; }\nf >/dev/null 2>&1 || true\n",
    ],
)
def test_plain_scripts(text: str) -> None:
    assert is_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "[[ -n $A ]]",
        '[ "$A" == b ]',
        "a=(1 2)",
        "a[1]=2",
        "a+=b",
        "((a++))",
        "echo ${a/b/c}",
        "echo ${a:1:2}",
        "echo ${a[0]}",
        "echo ${!a}",
        "echo ${a^^}",
        "function f { :; }",
        "if true; then source x; fi",
        "declare -x A=b",
        "read -r a <<< b",
        "diff <(a) <(b)",
        "a=$'x'",
        "a &> b",
        'cd "${BASH_SOURCE[0]%/*}"',
        "  pushd /",
    ],
)
def test_bashs_own_scripts(text: str) -> None:
    assert not is_plain(f"export A=1\n{text}\n")


def read(*paths: Path) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in paths]


def test_variables_of_the_environment_spec(tmp_path: Path) -> None:
    spec = tmp_path / "environment.yml"
    spec.write_text("variables:\n  A: b\n  N: 5\n")
    assert spec_variables(read(spec)) == {"A": "b", "N": "5"}
    spec.write_text("dependencies: []\n")
    assert spec_variables(read(spec)) == {}
    for wrong in ("variables: [A]\n", "variables: {A-B: c}\n", "variables: {A: {}}\n", "a: [\n"):
        spec.write_text(wrong)
        with pytest.raises(ConfigError) as caught:
            spec_variables(read(spec))
        assert caught.value.where == str(spec)


def test_variables_of_several_specs_are_those_of_what_is_bundled(tmp_path: Path) -> None:
    base, more, dev = (tmp_path / f"{name}.yml" for name in ("base", "more", "dev"))
    base.write_text("variables: {A: base, B: base}\n")
    more.write_text("variables: {B: more}\n")
    dev.write_text("category: dev\nvariables: {A: dev}\n")
    assert spec_variables(read(base, more, dev), ("main",)) == {"A": "base", "B": "more"}
    assert spec_variables(read(base, more, dev), ("dev",)) == {"A": "dev", "B": "more"}
