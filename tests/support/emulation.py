"""A small Debian of aarch64 on a machine that is none: qemu's emulator runs its programs.

The kernel is told of the emulator in a user namespace alone (binfmt_misc has an instance for each from Linux 6.7 on),
so that nothing else on this machine ever runs a program of aarch64.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from examplekit import CHECKOUT

__all__ = ["debian", "lacking", "run_emulated"]

EMULATOR = "qemu-aarch64-static"
_PACKAGES = (
    "base-files", "coreutils", "dash", "diffutils", "findutils", "grep", "gzip", "libc-bin", "libpython3.11-minimal",
    "login", "passwd", "python3.11-minimal", "sed", "tar", "util-linux",
)  # fmt: skip
# ELF, 64 bits, little-endian, an executable or shared object, machine 183; F: the emulator is opened here and now.
_REGISTER = (
    r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{emulator}:F"
)
_ENTER = """
set -eu
root=$1 bundle=$2 register=$3
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s "$register" >/proc/sys/fs/binfmt_misc/register
cd /mnt/root
mkdir -p srv/bundle
mount --rbind /proc proc
mount --rbind /dev dev
mount --bind "$bundle" srv/bundle
echo root:x:0:0:root:/root:/bin/sh >etc/passwd
echo root:x:0: >etc/group
shift 3
exec chroot /mnt/root /bin/sh -c "$@"
"""


def lacking() -> str:
    """What this machine has not got for it."""
    if os.geteuid() != 0:
        return "root"
    if not shutil.which(EMULATOR) or not shutil.which("mmdebstrap"):
        return f"{EMULATOR} (qemu-user-static) and mmdebstrap"
    probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "binfmt_misc", "none", "/mnt"]
    own = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return "" if own else "a kernel with binfmt_misc in user namespaces (Linux 6.7)"


def debian() -> Path:
    """Its root directory, only unpacked: no program of it runs for that. Made once, in build/."""
    root = CHECKOUT / "build" / "bookworm-arm64"
    root.parent.mkdir(exist_ok=True)
    with (root.parent / ".bookworm-arm64.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            partial = root.with_name(".bookworm-arm64.partial")
            shutil.rmtree(partial, ignore_errors=True)
            options = ["--quiet", "--variant=extract", "--arch=arm64", f"--include={','.join(_PACKAGES)}"]
            subprocess.run(["mmdebstrap", *options, "bookworm", partial], check=True, capture_output=True, timeout=600)
            partial.rename(root)
    return root


def run_emulated(bundle: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of its shell on a throwaway copy of the Debian, as root; the bundle is in /srv/bundle."""
    emulator = shutil.which(EMULATOR)
    assert emulator is not None
    words = ["sh", "-c", _ENTER, "sh", str(debian()), str(bundle), _REGISTER.format(emulator=emulator), script]
    # The shell is in the new namespace when it prints a line; it goes on when all users are mapped, as themselves.
    inside = ["unshare", "--user", "--mount", "sh", "-c", 'echo; read _; exec "$@"', "sh", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(inside, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{kind}").write_text("0 0 65536\n")
        stdout, stderr = process.communicate("\n", timeout=800)
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)
