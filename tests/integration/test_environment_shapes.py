"""environment.yml files as people have them: the specs that reach the solver, or the sentence that refuses the file.

conda-lock's own reader is between the file and the solver, in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.errors import ConfigError
from bundler.fetch.channels import ANYHOW
from bundler.lock.environment.check import check_environment
from bundler.lock.environment.views import without_pip
from bundler.lock.solver.granted import whole_specs
from bundler.lock.solver.sources import find_source

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # conda-lock's own, of what it brings along
C = "channels: [https://h/c]\n"
CHANNELS = ("https://h/c", "https://h/c/d/e", "conda-forge", "conda-forge/label/dev")
TWO = f"{C}dependencies:\n- a\n- b\n"

READ = [
    # how the file is written
    (TWO, ["a", "b"]),
    ("\ufeff" + TWO, ["a", "b"]),
    (TWO.replace("\n", "\r\n"), ["a", "b"]),
    (TWO.replace("\n", "\r"), ["a", "b"]),
    (f"\ufeff{C}dependencies:\r\n- a[fn=a-1-0.conda]  # [linux]\r\n", ['a ==1 0[fn="a-1-0.conda"]']),
    (f"---\n{TWO}...\n", ["a", "b"]),
    ('{"channels": ["https://h/c"], "dependencies": ["a", "b"]}', ["a", "b"]),
    (f"{C}dependencies: [a, b]", ["a", "b"]),
    (f'{C}dependencies: ["", a, ~, {{pip: }}, "b"]', ["a", "b"]),
    (f'{C}dependencies:\n- a\n- ""\n-\n- pip:\n- b\n', ["a", "b"]),
    (f"{C}dependencies:\n- a\t\n- b\t\t>=1\t# x\n", ["a", "b >=1"]),
    (f"{C}dependencies:\n- a\t# [win]\n- b\t# [linux]\n", ["b"]),
    (f"{C}dependencies:\n- a # \ta tab\n- b\n", ["a", "b"]),
    # YAML's own means
    (f"x-all: &all [a, 'b[build_number=2]']\n{C}dependencies: *all\n", ["a", 'b[build_number="==2"]']),
    ("base: &base {channels: [https://h/c], dependencies: [a, b]}\n<<: *base\n", ["a", "b"]),
    (f"{C}dependencies:\n- &one a[md5={'d' * 32}]\n- b\nx-again: [*one]\n", [f'a[md5="{"d" * 32}"]', "b"]),
    # other keys
    (f"name: x\nprefix: /home/me/x\nvariables: {{A: '1'}}\ncategory: dev\nplatforms: [linux-64]\n{TWO}", ["a", "b"]),
    ("channels: [https://h/c/, nodefaults, https://h/d/label/dev]\ndependencies: [a]\n", ["a"]),
    # specs
    (f"{C}dependencies:\n- python=3.10 \n- ' numpy  1.2.* '\n", ["python 3.10.*", "numpy 1.2.*"]),
    (f"{C}dependencies:\n- python 3.10.*\n- numpy>=1.2, <2\n", ["python 3.10.*", "numpy >=1.2,<2"]),
    (f"{C}dependencies: [python=3.10=*_cpython, numpy==1.2]\n", ["python ==3.10 *_cpython", "numpy ==1.2"]),
    ("channels: [conda-forge]\ndependencies: ['conda-forge::a >=1']\n", ["conda-forge::a >=1"]),
    ("channels: [conda-forge/label/dev]\ndependencies: ['conda-forge/label/dev::a']\n", ["conda-forge/label/dev::a"]),
    ("channels: [https://h/c]\ndependencies: ['https://h/c::a 1.*']\n", ['a 1.*[channel="https://h/c/"]']),
    (
        f"{C}dependencies: [https://h/c/linux-64/a-1.0-h_0.conda]\n",
        ['a ==1.0 h_0[channel="https://h/c/", subdir="linux-64"]'],
    ),
    (
        f"{C}dependencies: [https://h/c/linux-64/a-1-0.conda, https://h/c/noarch/b-2-0.conda]\n",
        ['a ==1 0[channel="https://h/c/", subdir="linux-64"]', 'b ==2 0[channel="https://h/c/", subdir="noarch"]'],
    ),
    ("channels: [https://h/c/d/e]\ndependencies: ['https://h/c/d/e::a >=1']\n", ['a >=1[channel="https://h/c/d/e/"]']),
    ("channels: [https://h/c]\ndependencies: ['https://h/c/::a']\n", ['a[channel="https://h/c/"]']),
    (f"{C}dependencies: [a_b, a-b 1.*, a.b, A_B]\n", ["a_b", "a-b 1.*", "a.b"]),
    (f"{C}dependencies: ['a[channel=https://h/c, version=1]']\n", ['a ==1[channel="https://h/c/"]']),
    (f"{C}dependencies:\n- a[version='>=1', extras=[x, y], flags=[cuda]]\n", ["a >=1[extras=[x, y], flags=[cuda]]"]),
    (f"{C}dependencies:\n- a[when='__cuda']\n- b[license=MIT]\n", ['a[when="__cuda"]', 'b[license="MIT"]']),
    # selectors
    (f"{C}dependencies:\n- sel(linux): a\n- sel(unix): b >=1\n- sel(win): c\n- sel( osx ): d[\n", ["a", "b >=1"]),
    (f"{C}dependencies: [sel(linux): a, {{sel(win): c}}, {{sel(unix): d}}, 'b', 'sel(unix)': 'c[build_number=1]']\n",
     ["a", "d", "b", 'c[build_number="==1"]']),
    (f"{C}dependencies:\n- sel(linux): &x a\n- b\n", ["a", "b"]),
    (f"{C}dependencies:\n- a # [linux64]\n- b # [win]\n- sel(linux): c # [unix]\n", ["a", "c"]),
    # pip
    (f"{C}dependencies:\n- python\n- pip: [x]\n- pip:\n  - y\n", ["python", "pip *"]),
    (f"{C}dependencies:\n- sel(linux): a\n- pip:\n  - x[y] >=1\n", ["a", "pip *"]),
]  # fmt: skip

REFUSED = [
    ("", "holds nothing; expected a mapping"),
    ("# nothing\n", "holds nothing; expected a mapping"),
    (TWO.encode("utf-16"), "is encoded in UTF-16, not UTF-8\n"),
    (TWO.encode("utf-16-le"), "is encoded in UTF-16LE, not UTF-8"),
    (TWO.encode("utf-16-be"), "is encoded in UTF-16BE, not UTF-8"),
    (TWO.encode("utf-32"), "is encoded in UTF-32, not UTF-8"),
    (f"# caf\xe9\n{TWO}".encode("latin-1"), "is encoded in an unknown encoding, not UTF-8"),
    (f"{C}dependencies:\n\t- a\n", "YAML does not allow tabs"),
    (f"{C}dependencies:\n-\ta\n", "YAML does not allow tabs"),
    (f"{C}dependencies:\n- a # [win]\n- b # [osx]\n", "has no package for linux-64: selectors skip all"),
    (f"{C}dependencies: [{{}}]\n", "entry 1 of `dependencies:` is an empty mapping"),
    (f"{C}dependencies: [conda-forge:a >=1]\n", "has a single colon; write `conda-forge::a >=1`"),
    (f"{C}dependencies: ['conda-forge: a']\n", "write `conda-forge::a`"),
    (f"{C}dependencies: [a===1.2]\n", "has `===`, which is pip's; write `a==1.2`"),
    (f"{C}dependencies:\n-a\n-b\n", "not YAML"),
    (f"{TWO}---\n{TWO}", "contains several YAML documents; only"),
    (f"{TWO}dependencies: [c]\n", "has `dependencies:` in lines 2 and 5"),
    (f"{C}dependencies: [{{{{ name }}}}]\n", "is a template"),
    ("{% set v = 1 %}\n" + TWO, "is a template"),
    ("[project]\nname = 'x'\ndependencies = ['a']\n", "is TOML, not an environment.yml"),
    ("# c\n\nname = 'x'\n", "is TOML, not an environment.yml"),
    ("version = 1\n[[package]]\nname = 'x'\n", "is a uv.lock or a pylock.toml, not an environment.yml"),
    ("requests==2.31\nflask[async]>=2 # web\n", "is a pip requirements file, not an"),
    ("-r base.txt\nflask\n", "is a pip requirements file, not an"),
    ("# conda\n@EXPLICIT\nhttps://h/linux-64/a-1-0.conda\n", "is an @EXPLICIT file"),
    ("version: 1\nmetadata: {}\npackage: []\n", "is a conda-lock lockfile; set it as [bundle] lockfile"),
    (f"{C}dependencies: {{python: 3.10}}\n", "is not a list of packages; write each after `- `"),
    (f"{C}dependencies: python\n", "is not a list of packages"),
    (f"{C}dependencies:\n", "is not a list of packages"),
    (f'{C}dependencies: ["", ~]\n', "lists no packages"),
    ("channel: [c]\ndependency: [a]\n", "has no `dependencies:` (it has `channel:`, `dependency:`)"),
    ("channels: conda-forge\ndependencies: [a]\n", "`channels:` is not a list"),
    ("channels: [nodefaults, c, nodefaults]\ndependencies: [a]\n", "lists nodefaults twice"),
    (f"category: [dev]\n{TWO}", "`category:` is ['dev'], and must be a single name"),
    (f"{TWO}pip: [x]\n", "is a top-level key; move it into `dependencies:` as `- pip:`"),
    (f"{C}dependencies:\n- python: 3.10\n", "entry 1 of `dependencies:` is a mapping, `python: …`"),
    (f"{C}dependencies:\n- a\n- 3.10\n", "entry 2 of `dependencies:` is neither a package nor a `pip:` list: 3.1"),
    (f"{C}dependencies: [[a, b]]\n", "entry 1 of `dependencies:` is neither"),
    (f"{C}dependencies: &d [a, *d]\n", "not YAML: an anchor refers to itself"),
    (f"{C}dependencies: [yes]\n", "entry 1 of `dependencies:` is neither"),
    (f"{C}dependencies:\n- npm: [x]\n", "only conda packages and wheels"),
    (f"{C}dependencies:\n- python\n- pip: requests\n", "entry 2 of `dependencies:` is `pip:` with 'requests'"),
    (f"{C}dependencies:\n- python\n- pip: [1.0]\n", "is `pip:` with [1.0]"),
    (f"{C}dependencies:\n- python\n- pip: [{{requests: 2}}]\n", "is `pip:` with [{'requests': 2}]"),
    (f"{C}dependencies:\n- sel(linux): a\n  sel(win): b\n", "has several keys: sel(linux), sel(win)"),
    (
        f"{C}dependencies:\n- sel(linux64): a\n",
        "has the unknown selector `sel(linux64)`; use one of sel(unix), sel(linux)",
    ),
    (f"{C}dependencies:\n- sel(not win): a\n", "has the unknown selector `sel(not win)`"),
    (f"{C}dependencies:\n- sel(linux): [a]\n", "has ['a'] after `sel(linux):`; write one package"),
    (f"{C}dependencies:\n- sel(linux):\n", "has None after `sel(linux):`"),
    (f"{C}dependencies:\n- a\n- sel(linux): a >=2\n", "requires a as `a` and as `a >=2`"),
    (f"{C}dependencies: ['defaults::a']\n", "write `pkgs/main::a`"),
    (f"{C}dependencies: [./a.conda]\n", "is a file"),
    (f"{C}dependencies:\n- sel(linux): a[\n", "bracket"),
]


@pytest.mark.parametrize(("text", "specs"), READ)
def test_what_reaches_the_solver(tmp_path: Path, text: str, specs: list[str]) -> None:
    from conda_lock.conda_solver import _to_match_spec  # type: ignore[import-untyped]
    from conda_lock.src_parser.environment_yaml import parse_environment_file  # type: ignore[import-untyped]

    path = tmp_path / "environment.yml"
    path.write_bytes(text.encode())
    environment = check_environment([path], ("linux-64",))
    ((_, data),) = environment.files
    path.write_bytes(without_pip(data, path))
    names = tmp_path / "names.json"
    names.write_text("{}")
    read = parse_environment_file(path, ["linux-64"], str(names)).dependencies["linux-64"]
    given = [_to_match_spec(one.name, one.version, one.build, one.conda_channel) for one in read]
    whole = {name: str(spec.whole) for name, spec in environment.long_specs("linux-64").items()}
    sources = [find_source(channel, {}, ANYHOW) for channel in CHANNELS]
    assert list(dict.fromkeys(map(str, whole_specs(given, whole, sources)))) == specs


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_is_refused(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    path = tmp_path / "environment.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as refused:
        check_environment([path], ("linux-64",))
    assert refused.value.exit_code == 2
    said = refused.value.format_message()
    assert said.startswith(f"{path}: ")
    assert sentence in said


def test_a_platform_for_which_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "environment.yml"
    path.write_text(f"{C}dependencies:\n- a # [linux64]\n- b # [win]\n")
    with pytest.raises(ConfigError, match="has no package for linux-aarch64: selectors skip all"):
        check_environment([path], ("linux-64", "linux-aarch64"))


def test_channels_of_nothing_are_none(tmp_path: Path) -> None:
    path = tmp_path / "environment.yml"
    path.write_text("channels:\ndependencies: [a]\n")
    assert check_environment([path], ("linux-64",), default="https://h/c").overrides == ("https://h/c",)


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (f"x-common: [a]\nname: x\nplatforms: [linux-64, osx-64]\n{TWO}", []),
        (f"platforms: [linux-aarch64]\n{TWO}", ["`platforms:` lists linux-aarch64, but the lockfile is for linux-64"]),
        (f"extra: 1\n{TWO}", ["`extra:` is unknown here"]),
        (f"{TWO}- sel(win): c\n", ["c is skipped: its selector sel(win) is not for Linux"]),
        ("channels: [defaults]\ndependencies: [a]\n", ["the channel `defaults` belongs to Anaconda"]),
    ],
)
def test_what_is_told(tmp_path: Path, text: str, notes: list[str]) -> None:
    path = tmp_path / "environment.yml"
    path.write_text(text)
    found = check_environment([path], ("linux-64",)).notes
    assert len(found) == len(notes)
    for note, wanted in zip(found, notes, strict=True):
        assert wanted in note
