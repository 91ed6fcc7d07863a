"""How install.sh looks for libraries, under every shell: on this machine, and in an image."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

from bundler.elf import platform_bytes
from bundler.platforms import MACHINES

if TYPE_CHECKING:
    from pathlib import Path

HERE = next(
    name for name, machine in MACHINES.items() if machine == subprocess.check_output(["uname", "-m"], text=True).strip()
)
BYTES = " ".join(map(str, platform_bytes(HERE)))
NO_LDCONFIG = "return 127"
OTHER_MACHINE = 8

pytestmark = pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared object for this machine."""
    room = tmp_path_factory.mktemp("library")
    (room / "empty.c").write_text("")
    subprocess.run(["cc", "-shared", "-nostdlib", "empty.c", "-o", "made.so"], cwd=room, check=True)
    return room / "made.so"


class Host:
    """What install.sh is told of libraries, and where it looks for them."""

    def __init__(self, room: Path, shell: tuple[str, ...], library: Path) -> None:
        self.room, self.shell, self.library = room, shell, library
        self.ldconfig = NO_LDCONFIG
        (room / "etc" / "hello").mkdir(parents=True)

    def put(self, path: str, *, kind: str = "") -> Path:
        """A library at ``path`` below the room; ``kind`` is what is wrong with it."""
        place = self.room / path
        place.parent.mkdir(parents=True, exist_ok=True)
        content = bytearray(self.library.read_bytes())
        if kind == "32-bit":
            content[4] = 1
        elif kind == "foreign":
            content[18] = OTHER_MACHINE
        place.write_bytes(b"INPUT(libc.so.6)\n" if kind == "text" else bytes(content))
        return place

    def check(self, *libraries: str, image: str = "") -> str:
        """What is said, ending in the number of problems. ``libraries`` are arguments for ``each_library``."""
        lines = [f"PROGRAM=install.sh NAME=hello IMAGE='{image}' ETC='{self.room}/etc/hello' LIBRARY_BYTES='{BYTES}'"]
        lines += [f"ldconfig() {{ {self.ldconfig}; }}", "each_library() {", ":"]
        lines += [f'"$1" {library}' for library in libraries]
        lines += ["}", "check_libraries", "echo $PROBLEMS >&2"]
        (self.room / "script").write_text(with_functions("\n".join(lines) + "\n"))
        words = [*self.shell, str(self.room / "script")]
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def finds(self, name: str, *, image: bool = False, search: str = "") -> bool:
        said = self.check(
            f"{name} required a env/a.so 1 '' '' '{search}'", image=str(self.room / "image") if image else ""
        )
        assert said == "0\n" or f"    {name}: needed by a (env/a.so)\n" in said
        return said == "0\n"


@pytest.fixture
def host(tmp_path: Path, shell: tuple[str, ...], library: Path) -> Host:
    return Host(tmp_path, shell, library)


def test_what_is_said_of_those_that_are_missing(host: Host) -> None:
    said = host.check(
        "libc.so.6 required a env/a.so 1 '' '' ''",
        "libnone.so.1 required opencv-python 'env/it is.so' 4 libnone1 none-libs ''",
        "libnone.so.2 required '' app/mine 1 libnone1 none2 ''",
        "libnone.so.3 required '' '' 0 '' '' ''",
        "libtried.so.1 optional a env/a.so 1 '' '' ''",
        "libtried.so.2 optional a env/a.so 1 '' '' ''",
    )
    assert said == (
        "install.sh: warning: this machine lacks optional libraries of the bundle:"
        " libtried.so.1 libtried.so.2\n"
        "  Install them if a service uses the files that need them.\n"
        "install.sh: error: this machine lacks libraries that the bundle needs:\n"
        "    libnone.so.1: needed by opencv-python (env/it is.so) and 3 more\n"
        "    libnone.so.2: needed by app/mine\n"
        "    libnone.so.3: required by bundle.toml\n"
        "  Debian, Ubuntu: apt-get install libnone1\n"
        "  RHEL, Fedora: dnf install none-libs none2\n"
        "  To find the package with libnone.so.3: apt-file search libnone.so.3, or dnf provides '*/libnone.so.3'\n"
        '  Or add them to the bundle. Those that it does not need are "optional" in bundle.toml: [bundle] libraries\n'
        "1\n"
    )


def test_nothing_to_look_for_is_not_looked_for(host: Host) -> None:
    host.ldconfig = "echo asked >&2"
    assert host.check() == "0\n"


def test_the_default_directories_without_ldconfig(host: Host) -> None:
    assert host.finds("libc.so.6")
    assert not host.finds("libnone.so.1")
    assert not host.finds("libc.so")  # a text for the linker, if it is there at all
    assert not host.finds("libcAso.6")


@pytest.mark.parametrize("kind", ["", "32-bit", "foreign", "text", "gone"])
def test_what_the_cache_names(host: Host, kind: str) -> None:
    place = host.put("srv/libmade.so.1", kind=kind)
    host.ldconfig = (
        '[ "$*" = -p ] && printf "%s\\n" "2 libs found in cache" '
        f'"	libmade.so.1 (libc6,x86-64) => {place}" "	libmade.so.10 (libc6) => {host.put("srv/libmade.so.10")}"'
    )
    if kind == "gone":
        place.unlink()
    assert host.finds("libmade.so.1") == (not kind)
    assert host.finds("libmade.so.10")
    assert not host.finds("made.so.1")


def test_a_library_for_another_machine_hides_none(host: Host) -> None:
    wrong, right = host.put("a/libmade.so.1", kind="32-bit"), host.put("b/libmade.so.1")
    host.ldconfig = f'printf "	libmade.so.1 (libc6) => %s\\n" {wrong} {right}'
    assert host.finds("libmade.so.1")


def test_where_the_loader_is_told_to_look(host: Host) -> None:
    host.put("cuda/libmade.so.1")
    assert host.finds("libmade.so.1", search=f"/nowhere:{host.room}/cuda")
    assert not host.finds("libmade.so.1")
    (host.room / "etc" / "hello" / "hello.env").write_text(f"LD_LIBRARY_PATH=relative:{host.room}/cuda\n")
    assert host.finds("libmade.so.1")


def test_a_name_with_a_directory(host: Host) -> None:
    place = host.put("vendor/libmade.so.1")
    assert host.finds(str(place))
    assert not host.finds(f"{place}.2")
    assert not host.finds("vendor/libmade.so.1")


def test_an_image_is_looked_into_and_not_the_host(host: Host) -> None:
    host.ldconfig = "echo '	libc.so.6 (libc6,x86-64) => /lib/x86_64-linux-gnu/libc.so.6'"
    (host.room / "image").mkdir()
    assert not host.finds("libc.so.6", image=True)
    host.ldconfig = NO_LDCONFIG
    assert not host.finds("libc.so.6", image=True)
    host.put("image/usr/lib64/libmade.so.1")
    assert host.finds("libmade.so.1", image=True)


def test_an_image_whose_directory_is_a_link_to_the_hosts(host: Host) -> None:
    (host.room / "image").mkdir()
    (host.room / "image" / "lib").symlink_to("/lib")
    (host.room / "image" / "lib64").symlink_to("/lib64")
    assert not host.finds("libc.so.6", image=True)
    host.put("image/usr/lib/x86_64-linux-gnu/libc.so.6")
    assert host.finds("libc.so.6", image=True)


def test_links_in_an_image_lead_to_its_own_files(host: Host) -> None:
    lib = host.put("image/usr/lib/libreal.so.1").parent
    (lib / "libout.so.1").symlink_to("/lib64/ld-linux-x86-64.so.2")
    (lib / "libabsolute.so.1").symlink_to("/etc/alternatives/made")
    (lib / "libround.so.1").symlink_to("libround.so.1")
    alternatives = host.room / "image" / "etc" / "alternatives"
    alternatives.mkdir(parents=True)
    (alternatives / "made").symlink_to("../../usr/lib/libreal.so.1")
    assert host.finds("libabsolute.so.1", image=True)
    assert not host.finds("libout.so.1", image=True)
    assert not host.finds("libround.so.1", image=True)


@pytest.mark.parametrize("there", [True, False], ids=["ldconfig", "no ldconfig"])
def test_an_images_own_cache(host: Host, *, there: bool) -> None:
    """Made by the real ldconfig; read by it, or where there is none by what is in it."""
    host.put("image/opt/vendor/libmade.so.1")
    (host.room / "image" / "etc").mkdir()
    (host.room / "image" / "etc" / "ld.so.conf").write_text("/opt/vendor\n")
    ldconfig = shutil.which("ldconfig", path="/usr/sbin:/sbin")
    if there:
        host.ldconfig = f'{ldconfig} "$@"'
    assert host.finds("libmade.so.1", image=True), "without a cache its directories count"
    (host.room / "image" / "etc" / "ld.so.conf").write_text("")
    assert not host.finds("libmade.so.1", image=True)
    subprocess.run([str(ldconfig), "-r", host.room / "image", "/opt/vendor"], check=True)
    assert host.finds("libmade.so.1", image=True)
    assert not host.finds("libmade.so", image=True)


def test_configured_directories_count_where_there_is_no_cache(host: Host) -> None:
    host.put("image/opt/one/libmade.so.1")
    host.put("image/opt/two/libmade.so.2")
    confs = host.room / "image" / "etc" / "ld.so.conf.d"
    confs.mkdir(parents=True)
    (confs.parent / "ld.so.conf").write_text("include /etc/ld.so.conf.d/*.conf\n  /opt/one  # of one\n")
    (confs / "two.conf").write_text("/opt/two\n")
    assert host.finds("libmade.so.1", image=True)
    assert host.finds("libmade.so.2", image=True)
