"""What is said of a platform's servers, and what the locked packages ask of a target."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bundler.config.platforms import PlatformTable, assumed
from bundler.config.project import BundleConfig, Overrides, load_config
from bundler.errors import ConfigError
from bundler.fetch.archives import INDEX, Archive
from bundler.installer.requirements import Requirements, requirements
from bundler.lock.solver.explain import without_candidates
from bundler.locked import Lock, LockedPackage
from bundler.platforms import MACHINES

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '[bundle]\nname = "small"\nversion = "1.0"\n'
SERVICE = '[services.small]\ncommand = ["tool"]\n'


def config_of(path: Path, text: str = "", *, platforms: tuple[str, ...] = (), gpu: bool = False) -> BundleConfig:
    (path / "environment.yml").write_text("channels: [x]\ndependencies: [tool]\n")
    (path / "bundle.toml").write_text(HEAD + text + SERVICE + ("gpu = true\n" if gpu else ""))
    return load_config(path, Overrides(platforms=platforms))


def needed(
    path: Path,
    *depends: str,
    index: dict[str, Any] | None = None,
    wheels: tuple[str, ...] = (),
    platform: str = "linux-64",
    config: BundleConfig | None = None,
) -> Requirements:
    """What a package asks for that the lockfile says ``depends`` of, and its own metadata ``index``."""

    def package(filename: str, manager: str, depends: tuple[str, ...] = ()) -> LockedPackage:
        return LockedPackage(
            name="tool", version="1", manager=manager, platform=platform, url=f"file:///c/noarch/{filename}",
            sha256="0" * 64, md5=None, depends=depends,
        )  # fmt: skip

    tool = package("tool-1-0.conda", "conda", depends)
    info = {INDEX: json.dumps(index or {}).encode()}
    lock = Lock(path=path, platform=platform, packages=(tool, *(package(wheel, "pip") for wheel in wheels)))
    return requirements(config or config_of(path), lock, [Archive(package=tool, path=path, size=1, info=info)])


# --- [platforms]


def test_platforms_are_those_named_or_those_with_a_table(tmp_path: Path) -> None:
    assert config_of(tmp_path).platforms == ("linux-64",)
    tables = '[platforms.linux-aarch64]\nglibc = "2.31"\n[platforms.linux-64]\n'
    config = config_of(tmp_path, tables)
    assert config.platforms == ("linux-aarch64", "linux-64")
    assert config.platform_table("linux-aarch64") == PlatformTable(glibc="2.31")
    assert config.platform_table("linux-64") == config.platform_table("linux-s390x") == PlatformTable()


def test_the_command_line_chooses_among_them(tmp_path: Path) -> None:
    named = 'platforms = ["linux-64", "linux-aarch64"]\n[platforms.linux-64]\n'
    one = config_of(tmp_path, named, platforms=("linux-aarch64",))
    assert (one.platforms, one.project_platforms) == (("linux-aarch64",), ("linux-64", "linux-aarch64"))
    every = config_of(tmp_path, named, platforms=("linux-s390x", "all", "linux-64"))
    assert every.platforms == ("linux-s390x", "linux-64", "linux-aarch64")
    alone = config_of(tmp_path, platforms=("linux-aarch64",))
    assert alone.project_platforms == ("linux-aarch64",), "nobody has named linux-64"


def test_all_platforms_of_nothing(tmp_path: Path) -> None:
    environment = tmp_path / "environment.yml"
    environment.write_text("channels: [x]\ndependencies: [tool]\n")
    options: dict[str, Any] = {"environments": (environment,), "name": "x", "version": "1", "command": ("x",)}
    with pytest.raises(ConfigError, match=r"--platform all requires a bundle\.toml that lists platforms") as caught:
        load_config(tmp_path, Overrides(platforms=("all",), **options))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'platforms = ["linux-64bit"]\n',
            "bundle.platforms.0: unknown platform 'linux-64bit'; known platforms: linux-64,",
        ),
        ("[platforms.osx-64]\n", "platforms.osx-64: unknown platform 'osx-64'"),
        ("[platforms.linux-64]\nglibc = 2.28\n", "platforms.linux-64.glibc: "),
        ('[platforms.linux-64]\nglibc = "2"\n', "platforms.linux-64.glibc: '2' does not match"),
        ('[platforms.linux-64]\ncuda = "any"\n', "platforms.linux-64.cuda: 'any' does not match"),
        (
            '[platforms.linux-64]\narchspec = "haswell"\n',
            "platforms.linux-64.archspec: is the text 'haswell'; it must be \"x86_64",
        ),
        ('[platforms.linux-64]\nkernel = "5.10"\n', "platforms.linux-64.kernel: unknown key"),
        ('[platforms.linux-aarch64]\narchspec = "x86_64_v2"\n', "platforms.linux-aarch64.archspec: only linux-64"),
        ('platforms = ["linux-64"]\n[platforms.linux-aarch64]\n', "platforms.linux-aarch64: bundle.platforms does not"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(tmp_path, text)
    assert said in caught.value.format_message()


def test_an_unknown_platform_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown platform 'win-64'; known platforms: linux-64, linux-32") as caught:
        config_of(tmp_path, platforms=("win-64",))
    assert caught.value.where == "--platform"


def test_two_places_that_say_what_servers_have(tmp_path: Path) -> None:
    (tmp_path / "virtual-packages.yml").write_text("")
    config_of(tmp_path)
    with pytest.raises(
        ConfigError, match=r"platforms: virtual-packages\.yml beside environment\.yml sets the same value"
    ):
        config_of(tmp_path, "[platforms.linux-64]\n")


def test_virtual_packages() -> None:
    table = PlatformTable(glibc="2.34", linux="4.18", cuda="12.4", archspec="x86_64_v3")
    assert assumed("linux-64", table) == {
        "__unix": "0",
        "__linux": "4.18",
        "__glibc": "2.34",
        "__archspec": "1 x86_64_v3",
        "__cuda": "12.4",
    }
    assert {name: assumed(name, PlatformTable())["__archspec"] for name in MACHINES} == {
        name: f"1 {'x86' if name == 'linux-32' else machine}" for name, machine in MACHINES.items()
    }
    assert "__cuda" not in assumed("linux-64", PlatformTable()), "a GPU is nothing to take for granted"


# --- what packages ask for


@pytest.mark.parametrize(
    ("spec", "floor"),
    [
        ("__glibc >=2.17,<3.0.a0", "2.17"),
        ("__glibc >=2.9", "2.9"),
        ("__glibc >=2.17,>=2.28", "2.28"),
        ("__glibc >=2.34|>=2.28", "2.28"),
        ("__glibc 2.17.*", "2.17"),
        ("__glibc =2.17", "2.17"),
        ("__glibc ==2.17 0", "2.17"),
        ("__glibc ~=2.17", "2.17"),
        ("__glibc <3", ""),
        ("__glibc !=2.30", ""),
        ("__glibc", ""),
        ("__glibc *", ""),
        ("glibc >=9", ""),
    ],
)
def test_the_lowest_version_that_a_spec_allows(tmp_path: Path, spec: str, floor: str) -> None:
    assert needed(tmp_path, spec).glibc == floor


def test_the_highest_of_all_floors_as_numbers(tmp_path: Path) -> None:
    index = {"depends": ["__linux >=4.18"], "constrains": ["__glibc >=2.9", "__linux >=4.2"]}
    asked = needed(tmp_path, "__glibc >=2.17", "__unix", index=index)
    assert (asked.glibc, asked.linux, asked.cuda, asked.gpu) == ("2.17", "4.18", "", False)


def test_the_processors_level_is_a_build_string_that_only_the_archive_has(tmp_path: Path) -> None:
    for spec in ("__archspec 1 x86_64_v3", "__archspec =1=x86_64_v3", "__archspec * x86_64_v3"):
        asked = needed(tmp_path, "__archspec ==1", index={"depends": [spec, "__archspec 1 x86_64_v2"]})
        assert asked.level == "x86_64_v3"
        assert {"avx2", "cx16"} <= set(asked.features)
        assert "avx512f" not in asked.features
    for spec in ("__archspec 1 x86_64", "__archspec 1 haswell", "__archspec"):
        assert needed(tmp_path, spec).level == ""


def test_a_gpu_that_is_needed_and_one_that_may_be_missing(tmp_path: Path) -> None:
    asked = needed(tmp_path, "__cuda >=12.4")
    assert (asked.cuda, asked.gpu, asked.branch) == ("12.4", True, 550)
    asked = needed(tmp_path, index={"constrains": ["__cuda >=11.8"]})
    assert (asked.cuda, asked.gpu, asked.branch) == ("11.8", False, 520)
    assert needed(tmp_path, "__cuda >=12").branch == 525
    assert needed(tmp_path, "__cuda >=99").branch == 0, "of a CUDA that is not out yet"
    assert needed(tmp_path, "__cuda").branch == 0


def test_a_service_with_a_gpu_has_what_bundle_toml_says(tmp_path: Path) -> None:
    config = config_of(tmp_path, '[platforms.linux-64]\ncuda = "12.2"\n', gpu=True)
    assert (needed(tmp_path, config=config).cuda, needed(tmp_path, config=config).gpu) == ("12.2", True)
    assert needed(tmp_path, "__cuda >=11.2", config=config).cuda == "11.2", "the packages know it better"
    asked = needed(tmp_path, config=config_of(tmp_path, gpu=True))
    assert (asked.cuda, asked.gpu) == ("", True)


def test_the_c_library_of_wheels(tmp_path: Path) -> None:
    both = "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    assert needed(tmp_path, wheels=("a-1-py3-none-any.whl",)).glibc == ""
    assert needed(tmp_path, wheels=(both,)).glibc == "2.17"
    mild = both.replace("manylinux2014", "manylinux_2_28")
    assert needed(tmp_path, wheels=(mild,)).glibc == "2.17", "one of its tags is enough"
    assert needed(tmp_path, wheels=(both, "b-1-cp311-abi3-manylinux_2_28_x86_64.whl")).glibc == "2.28"
    assert needed(tmp_path, wheels=("c-1-cp36-cp36m-manylinux1_x86_64.whl",)).glibc == "2.5"


def test_machines_that_run_a_platforms_programs(tmp_path: Path) -> None:
    assert needed(tmp_path, platform="linux-aarch64").machines == ("aarch64",)
    assert needed(tmp_path, platform="linux-armv6l").machines == ("armv6l", "armv7l", "armv8l")


# --- the solver's words


def test_which_specs_have_no_package() -> None:
    tree = """Cannot solve the request because of: The following packages are incompatible
└─ broken 1.0 would require
   ├─ leaf >=9, for which no candidates were found.
   └─ __cuda >=99, for which no candidates were found."""
    assert without_candidates(tree) == ("leaf >=9",)
    assert without_candidates("No candidates were found for native *.") == ("native *",)


def test_the_compute_capability_of_gpus(tmp_path: Path) -> None:
    asked = needed(tmp_path, "__cuda_arch >=8.0", "__cuda >=12.4")
    assert (asked.cuda_arch, asked.cuda, asked.gpu) == ("8.0", "12.4", True)
    assert needed(tmp_path, "__cuda_arch").gpu
    assert not needed(tmp_path, index={"constrains": ["__cuda_arch >=9.0"]}).gpu, "content without"
    assert needed(tmp_path, index={"constrains": ["__cuda_arch >=9.0"]}).cuda_arch == "9.0"
    assert assumed("linux-64", PlatformTable(cuda_arch="8.6"))["__cuda_arch"] == "8.6"
    assert "__cuda_arch" not in assumed("linux-64", PlatformTable(cuda="12.4"))


def test_a_conditional_dependency_asks_for_nothing_where_it_does_not_hold(tmp_path: Path) -> None:
    index = {"depends": ['__glibc[version=">=2.34",when="__win"]']}
    assert needed(tmp_path, index=index).glibc == ""
    assert needed(tmp_path, "__glibc >=2.34", index=index).glibc == "2.34", "the lockfile says that it holds"
