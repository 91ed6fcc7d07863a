"""Which libraries only the server can have, by what ELF objects say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from bundler.elf import Elf
from bundler.pack.members import LINK_MODE, TreeEntry
from bundler.units.libraries import HostLibrary, LibraryUser, Rules, find_libraries

if TYPE_CHECKING:
    from collections.abc import Mapping

X86_64, I686, AARCH64 = (62, 2), (3, 1), (183, 2)
NO_RULES = Rules()
SITE = "env/lib/python3.11/site-packages"


def elf(*needed: str, soname: str = "", kind: tuple[int, int] = X86_64, system: int = 0) -> Elf:
    return Elf(kind=kind, system=system, dynamic=True, needed=needed, soname=soname)


def find(
    files: Mapping[str, Elf | str],
    rules: Rules = NO_RULES,
    *,
    owners: Mapping[str, str] | None = None,
    platform: str = "linux-64",
) -> dict[str, HostLibrary]:
    """What is missing of ``files``: an object, or the target of a link, by path below the release."""
    tree = [
        TreeEntry(path=path, mode=LINK_MODE, digest=what, size=0)
        if isinstance(what, str)
        else TreeEntry(path=path, mode=0o755, digest="0" * 64, size=1, elf=what)
        for path, what in files.items()
    ]
    return {one.soname: one for one in find_libraries(tree, platform, rules, lambda: owners or {})}


def test_what_nobody_brings_is_named_with_package_and_file() -> None:
    files = {
        f"{SITE}/a/b.so": elf("libfoo.so.1", "libc.so.6"),
        f"{SITE}/a/c.so": elf("libfoo.so.1"),
        "app/d": elf("libfoo.so.1"),
    }
    found = find(files, owners={f"{SITE}/a/b.so": "a", f"{SITE}/a/c.so": "a"})
    assert list(found) == ["libfoo.so.1"]
    assert found["libfoo.so.1"].need == "required"
    assert found["libfoo.so.1"].needed_by == (
        LibraryUser(package="", path="app/d", files=1),
        LibraryUser(package="a", path=f"{SITE}/a/b.so", files=2),
    )
    assert found["libfoo.so.1"].row()[:5] == ("libfoo.so.1", "required", "", "app/d", "3")


@pytest.mark.parametrize(
    "brings",
    [
        {"env/lib/libfoo.so.1": elf()},
        {f"{SITE}/other/deep/libfoo.so.1": elf()},
        {"app/libfoo.so.1": elf()},
        {"env/lib/foo": elf(soname="libfoo.so.1")},
        {"env/lib/libfoo.so.1.2": elf(), "env/lib/libfoo.so.1": "libfoo.so.1.2"},
        {"env/lib/z": elf(), "env/lib/y": "./z", "env/lib/libfoo.so.1": "y"},
        {"env/x/z": elf(), "env/lib/libfoo.so.1": "../x/z"},
        {f"{SITE}/a.libs/libfoo-0123abcd.so.1": elf(), f"{SITE}/a/b.so": elf("libfoo-0123abcd.so.1")},
    ],
    ids=["file", "elsewhere", "app", "soname", "link", "links", "link-away", "vendored"],
)
def test_what_brings_it(brings: Mapping[str, Elf | str]) -> None:
    needs = {} if f"{SITE}/a/b.so" in brings else {"env/bin/tool": elf("libfoo.so.1")}
    assert find({**needs, **brings}) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"env/lib/libfoo.so.2": elf(soname="libfoo.so.2")},
        {"env/lib/libfoo.so.1": elf(kind=AARCH64, soname="libfoo.so.1")},
        {"env/lib32/libfoo.so.1": elf(kind=I686)},
        {"env/lib/libfoo.so.1": elf(system=9)},
        {"env/lib/libfoo.so.1": Elf(kind=X86_64)},
        {"env/lib/libfoo.so.1": "libfoo.so.1.2"},
        {"env/lib/libfoo.so.1": "libfoo.so.1"},
        {"env/lib/a": "b", "env/lib/b": "a", "env/lib/libfoo.so.1": "a"},
        {"env/x86_64-conda-linux-gnu/sysroot/lib64/libfoo.so.1": elf()},
        {"env/lib/stubs/libfoo.so": elf(soname="libfoo.so.1")},
        {f"{SITE}/torch/lib/libfoo-a34b3233.so.1": elf(soname="libfoo.so.1")},
        {"env/lib/libfoo.so.1": elf("libc.musl-x86_64.so.1")},
    ],
    ids=[
        "version", "machine", "32-bit", "freebsd", "object-file", "dangling", "itself", "circle", "sysroot", "stub",
        "vendored", "musl",
    ],
)  # fmt: skip
def test_what_does_not_bring_it(other: Mapping[str, Elf | str]) -> None:
    assert list(find({"env/bin/tool": elf("libfoo.so.1"), **other})) == ["libfoo.so.1"]


@pytest.mark.parametrize(
    "user",
    [
        elf("libfoo.so.1", kind=AARCH64),
        elf("libfoo.so.1", kind=I686),
        elf("libfoo.so.1", system=9),
        elf("libfoo.so.1", "libc.musl-x86_64.so.1"),
        elf("libfoo.so.1", "libc.so"),
        elf("libfoo.so.1", "libc.so.7"),
    ],
    ids=["machine", "32-bit", "freebsd", "musl", "android", "bsd"],
)
def test_what_is_for_another_system_needs_nothing(user: Elf) -> None:
    assert find({"env/lib/x.so": user}) == {}


def test_another_platform() -> None:
    files = {"env/lib/x.so": elf("libfoo.so.1", kind=AARCH64), "env/lib/y.so": elf("libbar.so.1")}
    assert list(find(files, platform="linux-aarch64")) == ["libfoo.so.1"]


def test_glibc_is_there() -> None:
    names = "ld-linux-x86-64.so.2 ld-linux.so.2 ld-linux-aarch64.so.1 ld-linux-armhf.so.3 ld64.so.2 ld64.so.1"
    names += " linux-vdso.so.1 libc.so.6 libm.so.6 libdl.so.2 librt.so.1 libutil.so.1 libpthread.so.0 libresolv.so.2"
    names += " libanl.so.1 libmvec.so.1 libthread_db.so.1 libBrokenLocale.so.1 libnss_dns.so.2 libnss_files.so.2"
    assert find({"env/bin/tool": elf(*names.split())}) == {}


def test_what_has_left_glibc_is_looked_for() -> None:
    gone = ("libcrypt.so.1", "libnsl.so.1", "libnss_ldap.so.2", "libgcc_s.so.1", "libstdc++.so.6", "libcom.so.6")
    assert list(find({"env/bin/tool": elf(*gone)})) == sorted(gone)


@pytest.mark.parametrize(
    "name",
    ["libcuda.so.1", "libnvidia-ml.so.1", "libnvcuvid.so.1", "libibverbs.so.1", "libmlx5.so.1", "librdmacm.so.1"],
)
def test_drivers_are_optional(name: str) -> None:
    found = find({"env/lib/x.so": elf(name)})[name]
    assert found.need == "optional"
    assert found.because
    assert find({"env/lib/x.so": elf(name)}, Rules(libraries=((name, "required"),)))[name].need == "required"


def test_a_service_with_a_gpu_requires_the_driver() -> None:
    found = find({"env/lib/x.so": elf("libcuda.so.1", "libnvidia-ml.so.1")}, Rules(gpu=True))
    assert {name: one.need for name, one in found.items()} == {
        "libcuda.so.1": "required",
        "libnvidia-ml.so.1": "optional",
    }
    optional = Rules(gpu=True, libraries=(("libcuda.so.1", "optional"),))
    assert find({"env/lib/x.so": elf("libcuda.so.1")}, optional)["libcuda.so.1"].need == "optional"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{SITE}/cv2/qt/plugins/platforms/libqxcb.so", "libX11.so.6"),
        (f"{SITE}/PySide6/Qt/plugins/sqldrivers/libqsqlmysql.so", "libmysqlclient.so.21"),
        (f"{SITE}/onnxruntime/capi/libonnxruntime_providers_tensorrt.so", "libnvinfer.so.10"),
        (f"{SITE}/numba/np/ufunc/tbbpool.cpython-311-x86_64-linux-gnu.so", "libtbb.so.12"),
        (f"{SITE}/mpi4py/MPI.mpich.cpython-311-x86_64-linux-gnu.so", "libmpi.so.12"),
        (f"{SITE}/nvidia/nvshmem/lib/nvshmem_bootstrap_pmix.so.3", "libpmix.so.2"),
        ("env/lib/python3.9/lib-dynload/_crypt.cpython-39-x86_64-linux-gnu.so", "libcrypt.so.1"),
    ],
)
def test_what_only_plug_ins_need_is_optional(path: str, name: str) -> None:
    assert find({path: elf(name)})[name].need == "optional"
    both = find({path: elf(name), f"{SITE}/a.so": elf(name)})[name]
    assert both.need == "required"
    assert both.needed_by[0].path == f"{SITE}/a.so", "the file for which it is required is named first"


def test_what_only_plug_ins_load_is_tried_as_well() -> None:
    """As in opencv-python: cv2 needs Qt, only Qt's plug-in needs XcbQpa, and that needs X11 and, as Qt does, GL."""
    plug_in, libs = f"{SITE}/cv2/qt/plugins/platforms/libqxcb.so", f"{SITE}/opencv_python.libs"
    files = {
        f"{SITE}/cv2/cv2.abi3.so": elf("libQt5Gui-0123abcd.so.5"),
        f"{libs}/libQt5Gui-0123abcd.so.5": elf("libGL.so.1"),
        f"{libs}/libQt5XcbQpa-89abcdef.so.5": elf("libX11.so.6", "libGL.so.1", "libQt5Gui-0123abcd.so.5"),
        plug_in: elf("libQt5XcbQpa-89abcdef.so.5"),
    }
    assert {name: one.need for name, one in find(files).items()} == {
        "libGL.so.1": "required",
        "libX11.so.6": "optional",
    }


def test_libraries_that_need_each_other_are_required() -> None:
    files = {"env/lib/liba.so": elf("libb.so", "libfoo.so.1"), "env/lib/libb.so": elf("liba.so")}
    assert find(files)["libfoo.so.1"].need == "required"


@pytest.mark.parametrize(
    ("libraries", "need"),
    [
        ((("libfoo.so.1", "optional"),), "optional"),
        ((("libfoo*", "optional"),), "optional"),
        ((("lib*", "optional"), ("libfoo.so.1", "required")), "required"),
        ((("libbar.so.1", "optional"),), "required"),
    ],
)
def test_bundle_toml_decides(libraries: tuple[tuple[str, Literal["required", "optional"]], ...], need: str) -> None:
    assert find({"env/bin/tool": elf("libfoo.so.1")}, Rules(libraries=libraries))["libfoo.so.1"].need == need


def test_a_library_that_no_file_says_it_needs() -> None:
    rules = Rules(libraries=(("libopened.so.1", "required"), ("libmaybe*", "required"), ("libtried.so", "optional")))
    found = find({"env/bin/tool": elf("libc.so.6")}, rules)
    assert list(found) == ["libopened.so.1"]
    assert found["libopened.so.1"].needed_by == ()
    assert find({"env/lib/libopened.so.1": elf()}, rules) == {}, "the bundle brings it"


def test_a_name_with_a_directory() -> None:
    assert list(find({"env/bin/tool": elf("/usr/lib/vendor/libfoo.so.1")})) == ["/usr/lib/vendor/libfoo.so.1"]
    assert find({"env/bin/tool": elf("$ORIGIN/../lib/libfoo.so.1"), "env/lib/libfoo.so.1": elf()}) == {}


def test_where_else_the_loader_looks() -> None:
    tool = Elf(kind=X86_64, dynamic=True, needed=("libfoo.so.1",), search=("$ORIGIN/../lib", "/usr/local/cuda/lib64"))
    found = find({"env/bin/tool": tool}, Rules(search=("/srv/lib",)))["libfoo.so.1"]
    assert found.search == ("/srv/lib", "/usr/local/cuda/lib64")


def test_names_that_would_steer_a_terminal() -> None:
    found = find({"app/\x1b[2J\n": elf("lib\x1bfoo.so")})
    assert list(found) == ["lib\\x1bfoo.so"]
    assert found["lib\\x1bfoo.so"].needed_by[0].path == "app/\\x1b[2J\\n"


def test_owners_are_asked_only_if_something_is_missing() -> None:
    def never() -> Mapping[str, str]:
        raise AssertionError

    tree = [TreeEntry(path="env/bin/tool", mode=0o755, digest="", size=1, elf=elf("libc.so.6"))]
    assert find_libraries(tree, "linux-64", Rules(), never) == ()
