"""pylock.toml and uv.lock: which wheels are taken for the Python that conda brings, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundler.config.lockfiles import Lockfiles
from bundler.errors import BundlerError, ConfigError, LockError
from bundler.lockfiles.read import files_for, locked_categories, read_lock

if TYPE_CHECKING:
    from pathlib import Path

SHA = "ab" * 32
FILES = "https://pypi.example.org/files"
CONDA = f"""\
# platform: {{platform}}
@EXPLICIT
https://conda.example.org/forge/{{platform}}/python-{{python}}-h1_0_cpython.conda#{SHA}
"""


class Project:
    """conda's Python in an @EXPLICIT file, and a file of wheels beside it."""

    def __init__(self, path: Path, name: str) -> None:
        self.wheels = path / name
        self.conda = path / "conda-linux-64.lock"
        self.conda.write_text(CONDA.format(platform="linux-64", python="3.11.7"))

    def lockfiles(self, **options: Any) -> Lockfiles:
        return Lockfiles(conda=(self.conda,), wheels=self.wheels, **options)

    def read(self, text: str, *categories: str, **options: Any) -> dict[str, str]:
        """The wheels' file names."""
        self.wheels.write_text(text)
        lock = read_lock(self.lockfiles(**options), "linux-64", ("main", *categories))
        return {one.name: one.filename for one in lock.packages if one.manager == "pip"}

    def fails(self, text: str, kind: type[BundlerError] = LockError, *categories: str) -> str:
        with pytest.raises(kind) as raised:
            self.read(text, *categories)
        assert type(raised.value) is kind
        assert raised.value.remedy
        return raised.value.format_message()


@pytest.fixture
def pylock(tmp_path: Path) -> Project:
    return Project(tmp_path, "pylock.toml")


@pytest.fixture
def uv(tmp_path: Path) -> Project:
    return Project(tmp_path, "uv.lock")


NUMBER = "9" * 5000
"""Python reads none of more than 4300 digits."""
TAGS = ".".join(f"t{number}" for number in range(1000))
"""Thrice in a name it is a billion tags."""
PYLOCK = 'lock-version = "1.0"\ncreated-by = "tests"\nrequires-python = ">=3.9"\n'


def listed(name: str, *files: str, marker: str = "", more: str = "", version: str = "1.0", sha256: str = SHA) -> str:
    """An entry of a pylock.toml."""
    wheels = ", ".join(f'{{ url = "{FILES}/{file}", hashes = {{ sha256 = "{sha256}" }} }}' for file in files)
    condition = f'marker = "{marker}"\n' if marker else ""
    offers = f"wheels = [{wheels}]\n" if files else ""
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{condition}{offers}{more}'


def test_the_wheels_of_a_pylock_are_chosen_by_tag_and_marker(pylock: Project) -> None:
    text = PYLOCK + listed(
        "fast",
        "fast-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "fast-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
        "fast-1.0-cp311-cp311-manylinux_2_17_aarch64.whl",
        "fast-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",
        "fast-1.0-py3-none-any.whl",
    )
    text += listed("winny", "winny-1.0-py3-none-any.whl", marker="sys_platform == 'win32'")
    text += listed("old", "old-1.0-py3-none-any.whl", marker="python_version < '3.12'")
    files = pylock.read(text)
    assert files == {
        "fast": "fast-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "old": "old-1.0-py3-none-any.whl",
    }
    older = pylock.read(text, glibc=(("linux-64", "2.17"),))
    assert older["fast"] == "fast-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
    assert pylock.read(text, glibc=(("linux-64", "2.12"),))["fast"] == "fast-1.0-py3-none-any.whl"
    pylock.conda.write_text(CONDA.format(platform="linux-64", python="3.12.1"))
    assert pylock.read(text) == {"fast": "fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"}


def test_a_wheel_of_a_pylock(pylock: Project) -> None:
    pylock.read(PYLOCK + listed("App_Lib", "app_lib-1.0-py3-none-any.whl", more='dependencies = [{ name = "h11" }]\n'))
    lock = read_lock(pylock.lockfiles(), "linux-64")
    wheel, python = lock.packages
    assert (wheel.key, wheel.version, wheel.sha256, wheel.md5) == ("pip:app-lib", "1.0", SHA, None)
    assert (wheel.url, wheel.depends) == (f"{FILES}/app_lib-1.0-py3-none-any.whl", ("h11",))
    assert python.key == "python"
    assert lock.path == pylock.conda
    assert files_for(pylock.lockfiles(), "linux-64") == (pylock.conda, pylock.wheels)


def test_what_a_pylock_says_besides_decides_nothing(pylock: Project) -> None:
    text = (
        PYLOCK
        + "[tool.x]\ny = 1\n"
        + listed(
            "app",
            "app-1.0-py3-none-any.whl",
            more='index = "https://pypi.example.org/simple"\n'
            'attestation-identities = [{ kind = "GitHub", repository = "a/b", workflow = "w.yml" }]\n'
            'requires-python = ">=3.9,<3.12"\n[packages.tool.x]\ny = 1\n',
        )
    )
    assert pylock.read(text) == {"app": "app-1.0-py3-none-any.whl"}


def test_a_package_of_a_pylock_that_is_for_another_python(pylock: Project) -> None:
    text = PYLOCK + listed("app", "app-1.0-py3-none-any.whl", more='requires-python = ">=3.9,<3.11"\n')
    assert "app requires Python >=3.9,<3.11; the conda packages provide Python 3.11.7" in pylock.fails(text)
    assert "app: its `requires-python` is wrong" in pylock.fails(text.replace(">=3.9,<3.11", "new"))
    assert pylock.read(text.replace("[[packages]]", "[[packages]]\nmarker = \"os_name == 'nt'\"")) == {}


def test_the_categories_of_a_pylock_are_extras_and_groups(pylock: Project) -> None:
    text = PYLOCK + 'extras = ["gpu"]\ndependency-groups = ["dev", "serve"]\ndefault-groups = ["serve"]\n'
    text += listed("a", "a-1.0-py3-none-any.whl", marker="'gpu' in extras")
    text += listed("b", "b-1.0-py3-none-any.whl", marker="'dev' in dependency_groups")
    text += listed("c", "c-1.0-py3-none-any.whl", marker="'serve' in dependency_groups")
    assert set(pylock.read(text)) == {"c"}
    assert set(pylock.read(text, "gpu")) == {"a", "c"}
    assert set(pylock.read(text, "dev", "gpu")) == {"a", "b", "c"}
    assert set(locked_categories(pylock.lockfiles(), "linux-64")) == {"main", "gpu", "dev"}
    assert "no package is locked in category docs; locked categories: dev, gpu, main" in pylock.fails(
        text, ConfigError, "docs"
    )


NO_WHEEL = [
    ('sdist = { url = "https://x.example/app-1.0.tar.gz" }\n', "app 1.0: no wheel available, only source"),
    ('archive = { url = "https://x.example/app-1.0.zip" }\n', "app 1.0: no wheel available, only source"),
    (
        'vcs = { type = "git", url = "https://u:s3cret@x.example/app", commit-id = "a" }\n',
        "app comes from a source repository",
    ),
    ('directory = { path = ".", editable = true }\n', "app is a local directory (.)"),
    ('wheels = [{ path = "../app-1.0-py3-none-any.whl" }]\n', "app is a local file (../app"),
    (
        f'wheels = [{{ url = "{FILES}/app-1.0-cp312-cp312-linux_x86_64.whl" }}]\n',
        "app 1.0: no wheel fits Python 3.11.7 on linux-64 with glibc 2.28: app-1.0-cp312-cp312-linux_x86_64.whl",
    ),
]


@pytest.mark.parametrize(("more", "sentence"), NO_WHEEL)
def test_what_has_no_wheel_is_refused_or_injected(pylock: Project, more: str, sentence: str) -> None:
    text = PYLOCK + listed("app", more=more) + listed("h11", "h11-1.0-py3-none-any.whl")
    said = pylock.fails(text)
    assert sentence in said
    assert "[bundle] inject" in said
    assert "s3cret" not in said
    assert set(pylock.read(text, injected=frozenset({"app"}))) == {"h11"}


def test_an_archive_may_be_a_wheel(pylock: Project) -> None:
    archive = f'archive = {{ url = "{FILES}/app-1.0-py3-none-any.whl", hashes = {{ sha256 = "{SHA}" }} }}\n'
    assert pylock.read(PYLOCK + listed("app", more=archive)) == {"app": "app-1.0-py3-none-any.whl"}


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("a =", LockError, "not valid TOML"),
        ("a = 1", LockError, "not a pylock.toml"),
        ('lock-version = "2.0"\npackages = []', LockError, "a pylock.toml of version 2.0"),
        (
            PYLOCK.replace(">=3.9", ">=3.12") + "packages = []",
            ConfigError,
            "requires Python >=3.12; the conda packages",
        ),
        (PYLOCK.replace(">=3.9", "new") + "packages = []", LockError, "`requires-python` is wrong"),
        (
            PYLOCK + "environments = [\"sys_platform == 'win32'\"]\npackages = []",
            ConfigError,
            "other than",
        ),
        (PYLOCK + "environments = ['no']\npackages = []", LockError, "'no' is not an environment marker"),
        (PYLOCK + "packages = [1]", LockError, "?: its entry is damaged"),
        (PYLOCK + listed("a", marker="what == 'ever'"), LockError, "is not an environment marker"),
        (PYLOCK + 2 * listed("a", "a-1.0-py3-none-any.whl"), LockError, "a: is listed twice"),
        (PYLOCK + listed("a", "a-1.0-py3-none-any.whl", sha256=""), LockError, "a: '' is not a sha256"),
        (PYLOCK + listed("a", "a-1.0-py3-none-any.whl", sha256="../x"), LockError, "'../x' is not a sha256"),
        (PYLOCK + listed("a", "..%2F..%2Fa-1.0-py3-none-any.whl"), LockError, "a 1.0: Invalid"),
        (PYLOCK + listed("a", "../a-1.0-py3-none-any.whl"), LockError, "points outside its directory"),
        (PYLOCK + listed("a\\u001b", "a-1.0-py3-none-any.whl"), LockError, "is not a package name"),
        (PYLOCK + listed("a", "a-1.0-py3-none-any.whl", version="1/0"), LockError, "'1/0' is not a version"),
        (PYLOCK + listed("a", "a-1.0-py3-none-any.whl", version=NUMBER), LockError, "999… is too long for a name or"),
        (PYLOCK + listed("a" * 5000, "a-1.0-py3-none-any.whl"), LockError, "aaa… is too long for a name or a version"),
        (PYLOCK + listed("a", f"a-{NUMBER}-py3-none-any.whl"), LockError, "the name of a wheel has 255 characters"),
        (PYLOCK + listed("a", f"a-1-{TAGS}-{TAGS}-{TAGS}.whl"), LockError, "the name of a wheel has 255 characters"),
        (PYLOCK + listed("a", marker=f"python_version > '{NUMBER}'"), LockError, "is not an environment marker"),
        (PYLOCK + listed("a", more=f'requires-python = ">{NUMBER}"'), LockError, "`requires-python` is wrong"),
        (PYLOCK.replace("3.9", NUMBER) + "packages = []", LockError, "`requires-python` is wrong"),
        ("a = " + "[" * 100_000, LockError, "not valid TOML"),
        (f"a = {NUMBER}", LockError, "not valid TOML"),
        (PYLOCK + "packages = nan", LockError, "not a pylock.toml"),
        (PYLOCK + listed("a").replace('"1.0"', "inf"), LockError, "a inf: no wheel available"),
        (PYLOCK + listed("a", "a-1.0-py3-none-any.whl").replace("https:", "data:"), LockError, "is not an http"),
    ],
)
def test_what_is_wrong_with_a_pylock_is_said(
    pylock: Project, text: str, kind: type[BundlerError], sentence: str
) -> None:
    said = pylock.fails(text, kind)
    assert sentence in said
    assert said.startswith(str(pylock.wheels))
    assert "\x1b" not in said


def test_the_version_of_an_archive_is_that_of_its_name(pylock: Project) -> None:
    """PEP 751: a package that is named by a URL need not have one. A file may begin with a mark of UTF-8."""
    archive = f'archive = {{ url = "{FILES}/a-1.0-py3-none-any.whl", hashes = {{ sha256 = "{SHA}" }} }}\n'
    pylock.read(f'\ufeff{PYLOCK}[[packages]]\nname = "a"\n{archive}')
    assert [one.version for one in read_lock(pylock.lockfiles(), "linux-64").packages if one.name == "a"] == ["1.0"]


def test_the_remedy_goes_with_what_is_wrong(pylock: Project) -> None:
    assert "Write it with the tool that created it" in pylock.fails(PYLOCK + 2 * listed("a", "a-1.0-py3-none-any.whl"))
    assert "conda-bundler does not build from source. Use" in pylock.fails(
        PYLOCK + listed("a", "a-1.0-cp27-cp27m-win32.whl")
    )


def test_wheels_need_a_python(pylock: Project) -> None:
    pylock.conda.write_text(CONDA.format(platform="linux-64", python="3.11.7").replace("python-", "perl-"))
    assert "no Python for the wheels of pylock.toml" in pylock.fails(PYLOCK + "packages = []", ConfigError)


def test_a_wheel_that_both_files_have(pylock: Project) -> None:
    with pylock.conda.open("a") as conda:
        conda.write(f"# pip a @ {FILES}/a-1.0-py3-none-any.whl --hash=sha256:{SHA}\n")
    assert set(pylock.read(PYLOCK + listed("a", "a-1.0-py3-none-any.whl"))) == {"a"}
    said = pylock.fails(PYLOCK + listed("a", "a-2.0-py3-none-any.whl", version="2.0", sha256="cd" * 32), ConfigError)
    assert "lock different wheels for the same projects: a 1.0, a 2.0" in said


UV = """\
version = 1
revision = 3
requires-python = ">=3.9"

[[package]]
name = "proj"
version = "0.1"
source = { virtual = "." }
dependencies = [
    { name = "app", extra = ["fast"] },
    { name = "winny", marker = "sys_platform == 'win32'" },
    { name = "numpy", version = "1.0", source = { registry = "r" }, marker = "python_full_version < '3.11'" },
    { name = "numpy", version = "2.0", source = { registry = "r" }, marker = "python_full_version >= '3.11'" },
]
optional-dependencies = { gpu = [{ name = "cuda" }] }
dev-dependencies = { dev = [{ name = "testy" }] }
"""


def locked(name: str, version: str = "1.0", *, more: str = "", file: str | None = None, source: str = "") -> str:
    """An entry of a uv.lock."""
    file = file or f"{name}-{version}-py3-none-any.whl"
    wheels = f'wheels = [{{ url = "{FILES}/{file}", hash = "sha256:{SHA}" }}]\n'
    source = source or '{ registry = "r" }'
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {source}\n{wheels}{more}'


GRAPH = (
    UV
    + locked("app", more='dependencies = [{ name = "h11" }]\noptional-dependencies = { fast = [{ name = "loop" }] }\n')
    + "".join(locked(name) for name in ("h11", "loop", "winny", "cuda", "testy", "nobodys", "numpy"))
    + locked("numpy", "2.0")
)


def test_a_uv_lock_is_followed_from_the_project(uv: Project) -> None:
    files = uv.read(GRAPH)
    assert files == {
        "app": "app-1.0-py3-none-any.whl",
        "h11": "h11-1.0-py3-none-any.whl",
        "loop": "loop-1.0-py3-none-any.whl",
        "numpy": "numpy-2.0-py3-none-any.whl",
    }
    assert set(uv.read(GRAPH, "gpu")) - set(files) == {"cuda"}
    assert set(uv.read(GRAPH, "dev")) - set(files) == {"testy"}
    assert set(locked_categories(uv.lockfiles(), "linux-64")) == {"main", "gpu", "dev"}
    uv.conda.write_text(CONDA.format(platform="linux-64", python="3.10.2"))
    assert uv.read(GRAPH)["numpy"] == "numpy-1.0-py3-none-any.whl"


def test_forks_are_told_apart_by_their_markers(uv: Project) -> None:
    text = UV.replace(', version = "1.0", source = { registry = "r" }', "")
    text = text.replace(', version = "2.0", source = { registry = "r" }', "")
    text += "".join(locked(name) for name in ("app", "winny"))
    forks = [("1.0", "sys_platform == 'win32'"), ("2.0", "sys_platform == 'linux'")]
    for version, marker in forks:
        text += locked("numpy", version, more=f'resolution-markers = ["{marker}"]\n')
    assert uv.read(text)["numpy"] == "numpy-2.0-py3-none-any.whl"
    both = text.replace("sys_platform == 'win32'\"]", "os_name == 'posix'\"]")
    assert "numpy: several versions of it are locked" in uv.fails(both)


SOURCES = [
    ('{ git = "https://u:s3cret@x.example/app?rev=1#a" }', "app comes from a source repository"),
    ('{ editable = "packages/app" }', "app is a local file or directory (packages/app)"),
    ('{ directory = "/abs" }', "app is a local file or directory (/abs)"),
    ('{ path = "app-1.0-py3-none-any.whl" }', "app is a local file or directory"),
]


@pytest.mark.parametrize(("source", "sentence"), SOURCES)
def test_what_uv_would_build_is_refused_or_injected(uv: Project, source: str, sentence: str) -> None:
    text = UV + locked("app", source=source) + locked("numpy", "2.0")
    said = uv.fails(text)
    assert sentence in said
    assert "[bundle] inject" in said
    assert "s3cret" not in said
    assert set(uv.read(text, injected=frozenset({"app"}))) == {"numpy"}


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("version =", LockError, "not valid TOML"),
        ("[[package]]\nname = 'a'", LockError, "it has no `version`"),
        (GRAPH.replace("version = 1\n", "version = 2\n", 1), LockError, "a uv.lock of version 2"),
        (GRAPH.replace(">=3.9", ">=3.12"), ConfigError, "requires Python >=3.12"),
        (GRAPH.replace("3.9", NUMBER), LockError, "`requires-python` is wrong"),
        (GRAPH.replace('{ virtual = "." }', '{ virtual = "a" }'), ConfigError, "has no project next to it"),
        ("conflicts = [[{ package = 'p', extra = 'a' }]]\n" + GRAPH, ConfigError, "mutually exclusive"),
        (GRAPH.replace('name = "h11"\nversion', 'name = "x"\nversion'), LockError, "h11: it is not locked"),
        (GRAPH.replace(f'files/app-1.0-py3-none-any.whl", hash = "sha256:{SHA}"', 'files/app-1.0-py3-none-any.whl"'),
         LockError, "app: its wheel has no sha256"),
        (GRAPH.replace(FILES, "http://x.example/a/.."), LockError, "points outside its directory"),
        (GRAPH.replace("sys_platform == 'win32'", "nonsense"), LockError, "winny: 'nonsense' is not an environment"),
        (GRAPH.replace('dependencies = [{ name = "h11" }]', "dependencies = [1]"), LockError, "an entry is damaged"),
        (UV + '[[package]]\nname = "app"\nversion = "1.0"\nsource = { registry = "r" }\n' + locked("numpy", "2.0"),
         LockError, "app 1.0: no wheel available, only source"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_uv_lock_is_said(uv: Project, text: str, kind: type[BundlerError], sentence: str) -> None:
    said = uv.fails(text, kind)
    assert sentence in said
    assert said.startswith(str(uv.wheels))


WORKSPACE = """\
[manifest]
members = ["api", "proj"]
"""


def test_the_root_of_a_workspace_is_read_and_its_members_are_code_of_ones_own(uv: Project) -> None:
    """What a member needs is locked, too; the member itself comes as a wheel."""
    text = GRAPH.replace("\n[[package]]", f"\n{WORKSPACE}\n[[package]]", 1)
    text = text.replace('{ name = "app", extra', '{ name = "api" },\n    { name = "app", extra')
    text += '[[package]]\nname = "api"\nversion = "0.1"\nsource = { editable = "packages/api" }\n'
    text += 'dependencies = [{ name = "nobodys" }]\ndev-dependencies = { dev = [{ name = "docs" }] }\n' + locked("docs")
    said = uv.fails(text)
    assert "api is a local file or directory (packages/api)" in said
    assert "[bundle] inject" in said
    files = uv.read(text, injected=frozenset({"api"}))
    assert "nobodys" in files
    assert "api" not in files
    files = uv.read(text, "dev", injected=frozenset({"api"}))
    assert "testy" in files
    assert "docs" not in files, "a group is the project's own"


def test_a_workspace_without_a_project_of_its_own(uv: Project) -> None:
    text = GRAPH.replace("\n[[package]]", f"\n{WORKSPACE}\n[[package]]", 1).replace('"."', '"packages/proj"')
    said = uv.fails(text, ConfigError)
    assert "belongs to a workspace without a root project; its members are api, proj" in said
    assert "uv export --format pylock.toml --output-file pylock.toml --package api" in said


def test_a_file_that_is_not_there(uv: Project) -> None:
    with pytest.raises(ConfigError, match="no such lockfile") as raised:
        read_lock(uv.lockfiles(), "linux-64")
    assert raised.value.remedy == "Write it with uv: uv lock"
