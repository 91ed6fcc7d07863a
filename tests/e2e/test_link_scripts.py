"""What a package's link script did at build is right on the server, wherever the release lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from smallbundle import build
from tinychannel import PLACEHOLDER, File, index, make_package

from bundler.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("own_cache")]

CONFIG = """
[bundle]
name = "small"
version = "1.0"
link_scripts = ["eager"]
[services.small]
command = ["serve"]
profile = "generic"
"""
# The service only stays up if the script was run and its file has the right path.
SERVE = f'#!/bin/sh\n. {PLACEHOLDER}/etc/eager.conf\ntest -x "$program" && exec "$program"\n'
SCRIPT = """
set -e
mkdir -p $PREFIX/etc $PREFIX/libexec
echo "program=$PREFIX/libexec/loop" >$PREFIX/etc/eager.conf
printf '#!/bin/sh\\nwhile :; do sleep 1; done\\n' >$PREFIX/libexec/loop
chmod 700 $PREFIX/libexec/loop
ln -s $PREFIX/etc/eager.conf $PREFIX/share/link
echo changed >>$PREFIX/share/plain
rm $PREFIX/share/gone
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("scripts")
    channel, project = room / "channel", room / "project"
    files: dict[str, bytes | File] = {
        "bin/.eager-post-link.sh": SCRIPT.encode(),
        "bin/serve": File(content=SERVE.encode(), mode=0o755, prefix="text"),
        "share/plain": b"plain\n",
        "share/gone": b"x",
    }
    make_package(channel, "eager", "1.0", files=files)
    index(channel)
    project.mkdir()
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [eager]\n")
    (project / "bundle.toml").write_text(CONFIG)
    return build(project, channel, "dir")


@pytest.mark.parametrize("root", ["/opt/small", "/srv/elsewhere"])
def test_it_runs_and_is_intact(bundle: Path, bookworm: Path, root: str) -> None:
    with Machine(bookworm) as machine:
        machine.copy_in(bundle, "/root/bundle")
        words = ("sh", "/root/bundle/install.sh", "--prefix", root)
        done = machine.run(*words)
        assert done.status == 0, done.stderr
        release = machine.run("readlink", "-f", f"{root}/current", check=True).stdout.strip()
        assert release.startswith(f"{root}/releases/")
        env = machine.run("readlink", "-f", f"{root}/current/env", check=True).stdout.strip()
        assert env.startswith(f"{root}/envs/")
        assert machine.read(f"{env}/etc/eager.conf") == f"program={env}/libexec/loop\n".encode()
        assert machine.run("readlink", "-e", f"{env}/share/link").stdout == f"{env}/etc/eager.conf\n"
        assert machine.read(f"{env}/share/plain") == b"plain\nchanged\n"
        assert machine.run("test", "-e", f"{env}/share/gone").status == 1
        pid = machine.run("systemctl", "show", "--property=MainPID", "--value", "small", check=True).stdout.strip()
        running = (machine.read(f"/proc/{pid}/cmdline") or b"").split(b"\0")
        assert f"{env}/libexec/loop".encode() in running
        assert machine.run(f"{root}/manage", "verify").status == 0
        assert machine.run(*words).status == 0
        assert machine.run(f"{root}/manage", "verify").status == 0
