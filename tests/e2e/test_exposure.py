"""How exposed the units of all examples are, by systemd-analyze of a Debian's own; no machine is booted for it.

systemd 247 cannot look at files alone; test_examples_hello.py has it on a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from examplekit import exposures
from exampleunits import example_units, too_exposed

from bundler.machine import rootfs
from bundler.process import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

# It writes to /run, and the root directory is the one that machines are made of.
_LOOK = """
mount --bind "$1" "$2/mnt" && mount -t tmpfs tmpfs "$2/run" && cd "$1" || exit 1
set -- "$2" *.service
root=$1
shift
for file; do
    set -- "$@" "/mnt/$file"
    shift
done
SYSTEMD_COLORS=0 exec chroot "$root" systemd-analyze security --offline=true --no-pager "$@"
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing but the units."""
    room = tmp_path_factory.mktemp("units")
    for name, text in example_units(tmp_path_factory.mktemp("bundles")).items():
        (room / name).write_text(text)
    return room


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_units_of_all_examples_are_tight(suite: str, written: Path) -> None:
    done = run(["unshare", "--mount", "sh", "-c", _LOOK, "sh", written, rootfs(suite)], check=False)
    found = exposures(done.stdout)
    assert found.keys() == {path.name for path in written.glob("*.service")}, done.stderr
    assert too_exposed(found) == {}
