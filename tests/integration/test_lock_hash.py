"""Our reading of an environment.yml and conda-lock's own, hash by hash: it is the oracle of what it calls fresh."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bundler.lock.contenthash.contents import content_hashes
from bundler.lock.contenthash.spec import UnknownError, read_lock_spec

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # conda-lock's own, of what it brings along
PLATFORMS = ("linux-64", "linux-aarch64", "linux-ppc64le")
CHANNELS = (
    "conda-forge",
    "nodefaults",
    "bioconda",
    "conda-forge/label/dev",
    "../channel",
    "https://Example.org/some/channel/",
    "file:///srv/channel",
    "https://${ME}:${PASSWORD}@Example.org:8443/private",
    "https://example.org/t/${TOKEN}/private",
    "https://example.org/t/$TOKEN/private",
    "http://$TOKEN@example.org",
)
CONDA = (
    "python",
    "Python =3.11",
    "python=3.11.*",
    "python 3.11.*",
    "numpy==1.26.4",
    "numpy =1.26=py311_0",
    "numpy 1.26.4 py311h*_0",
    "numpy=1.26.4=*_cpython",
    "scipy>=1.10,<2",
    "scipy >=1.10, <2.0a0",
    "scipy>=1.10|1.8",
    "scipy 1.8|1.9|>2",
    "pandas!=2.0.*",
    "pandas ~=2.1",
    "pandas 2*",
    "pandas *",
    "pandas * py311_0",
    "pandas =2.1*",
    "libblas=*=*openblas",
    "blas * openblas",
    "conda-forge::xarray",
    "conda-forge::xarray>=2023",
    "r-base 4.3.1",
    "ca-certificates 2024.2.2",
    "openssl =3",
    "openssl 1!3.0.post1+local",
    "pip",
    "pip >=23",
    "zlib<=1.3",
    "zlib == 1.2.13 h1_0",
    "zlib==1.2.13=h1_0",
    "_libgcc_mutex 0.1 conda_forge",
    "libffi[version='>=3,<4']",
    "xz[version=5.*,build=h1_0]",
    'tk[build="*_1"]',
    "readline[version='==8',build='a*']",
)
PIP = (
    "requests",
    "Flask_Login[Extra,another] >= 2.0, <3",
    "zope.interface==5.*",
    "attrs~=22.1",
    "attrs===22.1",
    "six ; sys_platform == 'win32'",
    "six>=1 ; sys_platform != 'win32' and python_version < '3.12'",
    "mypkg==1.0; os_name == 'nt' or platform_system == 'Linux'",
    "mypkg; (platform_machine == 'x86_64' or os_name == 'nt') and sys_platform == 'linux'",
    "one @ https://example.org/one-1.0-py3-none-any.whl#sha256=" + "a" * 64,
    "one[x] @ https://example.org/one-1.0-py3-none-any.whl",
    "two==2.0 --hash=sha256:" + "b" * 64,
    "-e .",
)
SELECTORS = (
    "",
    "",
    "",
    "",
    "  # [linux64]",
    "  # [aarch64]",
    "  # [win]",
    " # why [unix]",
    "  # plain",
    " # [linux] (odd)",
)
VIRTUAL: tuple[dict[str, Any], ...] = (
    {name: {"__unix": "0", "__glibc": "2.28", "__archspec": f"1 {name}"} for name in PLATFORMS},
    {"linux-64": {"__glibc": "2.17", "__cuda": "11.4"}, "noarch": {"__mine": "1 build"}, "osx-64": {"__osx": "11.0"}},
    {"linux-64": {}},
)
UNKNOWN = (
    "numpy[version='>=1', build=x, md5=y]",
    "numpy[version='>= 1']",
    "numpy[version=1*]",
    "numpy[version='1|2']",
    "numpy[version=1] x",
    "numpy (1.2)",
    "https://example.org/noarch/some-1.0-0.conda",
    "conda-forge/linux-64::numpy[build=x]",
    "numpy >=1,<2|3",
    "numpy 1..2",
    "numpy ==",
    "num*",
    "",
    "numpy if linux",
)


def render(random_: random.Random) -> str:
    """An environment.yml as text, for selectors are comments."""
    lines = ["# a comment [win]"]
    if category := random_.choice((None, None, "main", "dev")):
        lines.append(f"category: {category}")
    lines += ["dependencies:", "  - first"]
    chosen = random_.sample(CONDA, random_.randint(1, 12))
    lines += [f"  - {json.dumps(text)}{random_.choice(SELECTORS)}" for text in chosen]
    if random_.random() < 0.6:
        lines += [f"  - pip:{random_.choice(('', ' # [unix]'))}"]
        lines += [f'    - "{text}"{random_.choice(SELECTORS)}' for text in random_.sample(PIP, random_.randint(1, 6))]
    return "\n".join(lines) + "\n"


def theirs(
    paths: list[Path], overrides: tuple[str, ...], virtual: Path, platforms: tuple[str, ...], mapping: Path
) -> dict[str, set[str]]:
    """What conda-lock takes for the hash of each platform."""
    from conda_lock.content_hash import backwards_compatible_content_hashes  # type: ignore[import-untyped]
    from conda_lock.src_parser import make_lock_spec  # type: ignore[import-untyped]
    from conda_lock.virtual_package import virtual_package_repo_from_specification  # type: ignore[import-untyped]

    spec = make_lock_spec(
        src_files=paths, channel_overrides=overrides, platform_overrides=platforms, mapping_url=str(mapping)
    )
    repo = virtual_package_repo_from_specification(virtual)
    return {name: backwards_compatible_content_hashes(spec, repo, name) for name in platforms}


@pytest.mark.parametrize("seed", range(40))
def test_our_hashes_are_conda_locks(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no .condarc
    random_ = random.Random(seed)
    mapping, virtual = tmp_path / "names.json", tmp_path / "virtual-packages.yml"
    mapping.write_text("{}")
    packages = random_.choice(VIRTUAL)
    virtual.write_text(yaml.safe_dump({"subdirs": {name: {"packages": one} for name, one in packages.items()}}))
    channels = random_.sample(CHANNELS, random_.randint(1, 4))
    repositories = random_.choice(([], ["https://example.org/simple", "https://${TOKEN}@example.org/other"]))
    paths = []
    for number in range(random_.randint(1, 3)):
        path = tmp_path / str(number) / "environment.yml"
        path.parent.mkdir()
        keys = {"channels": channels[number:] if number else channels, "pip-repositories": repositories[number:]}
        path.write_text(render(random_) + yaml.safe_dump(keys))
        paths.append(path)
    overrides = tuple(random_.sample(CHANNELS[2:], 2)) if random_.random() < 0.2 else ()
    files = [(path, path.read_bytes()) for path in paths]
    spec = read_lock_spec(files, overrides, PLATFORMS)
    wanted = theirs(paths, overrides, virtual, PLATFORMS, mapping)
    for platform in PLATFORMS:
        assert content_hashes(spec.document(), platform, packages) == wanted[platform], platform


@pytest.mark.parametrize("text", CONDA)
def test_each_conda_spec_is_read_as_conda_lock_reads_it(text: str) -> None:
    from conda_lock.src_parser.conda_common import conda_spec_to_versioned_dep  # type: ignore[import-untyped]

    from bundler.lock.contenthash.spec import _conda_spec

    assert _conda_spec(text, "main") == conda_spec_to_versioned_dep(text, "main").model_dump()


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_known_for_certain_is_said_to_be_unknown(tmp_path: Path, text: str) -> None:
    data = yaml.safe_dump({"channels": ["conda-forge"], "dependencies": [text]}).encode()
    with pytest.raises(UnknownError):
        read_lock_spec([(tmp_path / "environment.yml", data)], (), ("linux-64",))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "channels: [a]\ndependencies: [x]\n"),
        ("environment.yml", "channels: null\ndependencies: [x]\n"),
        ("environment.yml", "channels: ['https://me:secret@example.org/c']\ndependencies: [x]\n"),
        ("environment.yml", "channels: [a]\ndependencies:\n- x # [linux64]\n"),
        ("environment.yml", "channels: [a]\ndependencies: [{pip: ['x; sys_platform in \"linux\"']}]\n"),
        ("environment.yml", "channels: [a]\ndependencies: [{pip: ['./x']}]\n"),
        ("environment.yml", "channels: [a]\ndependencies: {}\n"),
    ],
)
def test_files_of_which_conda_lock_has_to_be_asked(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UnknownError):
        read_lock_spec([(tmp_path / name, text.encode())], (), ("linux-s390x",))
