"""Links in an image that install.sh --root installs into: none leads it out, and none keeps it for ever."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from everywhere import everywhere
from installkit import Spec, write_bundle
from shellkit import SHELL_IDS, SHELLS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

# With a /run of its own: the lock there is this machine's.
_RUN = 'mount -t tmpfs none /run; shift; exec timeout 60 "$@"'
PLACES = (
    *("opt", "etc", "etc/hello", "etc/passwd", "etc/systemd/system", "etc/systemd/system/multi-user.target.wants"),
    *("var", "var/lib", "var/lib/conda-bundler", "var/lib/conda-bundler/hello", "var/lib/conda-bundler/hello/owned"),
)
UNITS = ("usr/local", "usr/local/lib", "usr/local/lib/systemd")
"""/etc has room for units, too."""


@dataclass(frozen=True)
class Image:
    """An image that has what install.sh looks at, and a directory outside of it."""

    path: Path
    outside: Path
    bundle: Path

    def link(self, place: str, target: str) -> None:
        link = self.path / place
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_dir():
            shutil.rmtree(link)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    def install(self, shell: tuple[str, ...], *options: str) -> subprocess.CompletedProcess[str]:
        words: list[str | Path] = ["unshare", "-m", "sh", "-c", _RUN, "sh", "-", *shell, self.bundle / "install.sh"]
        return subprocess.run(
            [*words, "--root", self.path, *options], capture_output=True, text=True, check=False, timeout=120
        )

    def strays(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in self.outside.rglob("*")}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(Spec(), tmp_path_factory.mktemp("links") / "bundle")


@pytest.fixture
def image(tmp_path: Path, bundle: Path) -> Image:
    path = tmp_path / "image"
    for name in ("etc", "usr/lib", "var/lib", "opt"):
        (path / name).mkdir(parents=True)
    (path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (path / "etc/group").write_text("root:x:0:\n")
    (tmp_path / "outside").mkdir()
    for directory in (tmp_path, path, *path.rglob("*")):
        os.chown(directory, 0, 0)
    return Image(path, tmp_path / "outside", bundle)


@pytest.fixture(params=[SHELLS[-1], *everywhere(*SHELLS[:-1])], ids=[SHELL_IDS[-1], *SHELL_IDS[:-1]])
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def test_an_image_without_such_links(image: Image) -> None:
    """Or the tests below see nothing."""
    done = image.install(("sh",))
    assert done.returncode == 0, done.stderr
    assert (image.path / "opt/hello/current/app").is_dir()
    assert (image.path / "usr/local/lib/systemd/system/hello.service").is_file()


@pytest.mark.parametrize("place", PLACES)
def test_an_absolute_link_is_not_followed_out(image: Image, place: str) -> None:
    image.link(place, str(image.outside / "passwd" if place.endswith(("passwd", "owned")) else image.outside))
    before = image.strays()
    for words in (("--check",), ()):
        done = image.install(("sh",), *words)
        assert done.returncode == 10, done.stderr
        assert f"leads out of the image: /{place} is a link to {image.outside}" in done.stderr
        assert "Make it a relative link" in done.stderr
        assert image.strays() == before
    assert not (image.path / "var/lib/conda-bundler/hello/transaction").exists()


@pytest.mark.parametrize("place", UNITS)
def test_units_go_where_no_link_leads_out(image: Image, place: str, shell: tuple[str, ...]) -> None:
    image.link(place, str(image.outside))
    done = image.install(shell)
    assert done.returncode == 0, done.stderr
    assert (image.path / "etc/systemd/system/hello.service").is_file()
    assert image.strays() == {}


@pytest.mark.parametrize("target", ["../../outside", "x/../../../outside", "/../outside", "/opt2"])
def test_every_way_out(image: Image, target: str, shell: tuple[str, ...]) -> None:
    (image.path / "x").mkdir()
    image.link("opt", target)
    done = image.install(shell)
    assert done.returncode == 10, done.stderr
    assert "leads out of the image" in done.stderr
    assert image.strays() == {}


@pytest.mark.parametrize("place", ["opt", "var/lib", "usr/local", "etc/systemd/system"])
def test_a_loop_ends(image: Image, place: str, shell: tuple[str, ...]) -> None:
    image.link(place, "other")
    (image.path / place).with_name("other").symlink_to((image.path / place).name)
    done = image.install(shell)
    if place == "usr/local":
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 10, done.stderr
        assert "is part of a loop of links" in done.stderr


def test_links_within_the_image_are_followed(image: Image, shell: tuple[str, ...]) -> None:
    (image.path / "var/opt").mkdir()
    (image.path / "usr/etc/systemd").mkdir(parents=True)
    image.link("opt", "var/opt")
    image.link("etc/systemd", "../usr/etc/systemd")
    image.link("var/lock", "/run/lock")
    image.link("usr/local", "../usr/../var/usrlocal/../usrlocal")
    (image.path / "var/usrlocal").mkdir()
    done = image.install(shell)
    assert done.returncode == 0, done.stderr
    assert (image.path / "var/opt/hello/current/app").is_dir()
    assert (image.path / "var/usrlocal/lib/systemd/system/hello.service").is_file()
    assert (image.path / "usr/etc/systemd/system/multi-user.target.wants/hello.service").is_symlink()
    again = image.install(shell)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    "line", ["unit /../outside/theirs.service", "root /opt/../../outside", "unit /out/theirs.service"]
)
def test_what_the_images_record_names_is_within_it(image: Image, line: str, shell: tuple[str, ...]) -> None:
    """Units that a release no longer has are removed."""
    assert image.install(("sh",)).returncode == 0
    (image.outside / "theirs.service").write_text("theirs\n")
    (image.path / "out").symlink_to(image.outside)
    with (image.path / "var/lib/conda-bundler/hello/owned").open("a") as file:
        file.write(f"{line}\n")
    (image.path / "opt/hello/manage").write_text("changed\n")
    before = image.strays()
    done = image.install(shell)
    assert done.returncode == 10, done.stderr
    assert "image" in done.stderr
    assert image.strays() == before
