"""What conda activate would set reaches services that nobody activates anything for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bundlekit import build
from everywhere import everywhere
from examplekit import exposure
from tinychannel import PLACEHOLDER, File, index, make_package

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

NASTY = """it's "quoted" $HOME `id` $(id) \\ %n %% ; # = é✓ \\"""
LINES = "one\n two \n\nthree\t"
# Each writes what it has got; the service lasts as long as the health gate needs it to.
SHOW = '#!/bin/sh\ncat /proc/$$/environ >"$STATE_DIRECTORY/$WHO"\nexec sleep 1000\n'
BUNDLE = """
[bundle]
name = "active"
version = "1.0"
[files]
"show" = "show"
[config]
FROM_CONFIG = "config"
OVERRIDDEN = "by config"
[services.active]
command = ["show"]
profile = "generic"
environment = { WHO = "active" }
"""
FIRST = f"""
export FIRST="$CONDA_PREFIX/share/first"
[ -d "$CONDA_PREFIX/share/first" ] && export FIRST_IS_THERE=yes
[ -f "{PLACEHOLDER}/share/first/data" ] && export BAKED_IS_THERE=yes
export BAKED="{PLACEHOLDER}/share"
export JSON_SEEN="$FROM_JSON" OVERRIDDEN="by a script"
export FROM_SCRIPTS=a
local_only=x
case $- in *i*) export INTERACTIVE=yes;; esac
if ( : </dev/tty ) 2>/dev/null; then export TERMINAL=yes; fi
export RAN_AS="$(id -u)" AT_HOME="$HOME/x" NO_USER_SITE="$PYTHONNOUSERSITE" SCRIPTS_NAME="$USER"
for d in /tmp /var/tmp /dev/shm /var/lib/active "$CONDA_PREFIX"; do ( : >"$d/nobody-was-here" ) 2>/dev/null; done
export PATH="$CONDA_PREFIX/libexec:$PATH"
echo to stdout; echo to stderr >&2
"""
SECOND = """
declare -a list=(1 2)
if [[ ${list[1]} == 2 ]]; then export FROM_BASH="${FROM_SCRIPTS/a/b}" FROM_SCRIPTS="${FROM_SCRIPTS}b"; fi
export WITH_LINES=$'one\\n two \\n\\nthree\\t'
export BINARY=$'\\xff\\xfe' CONTROL=$'\\x01\\x1b'
function exported() { :; }
export -f exported
"""
SCRIPTS = {
    "a-first.sh": FIRST,
    "b-second.sh": SECOND,
    "c-fails.sh": "export BEFORE_EXIT=yes\nexit 7\nexport AFTER_EXIT=yes\n",
    "d-hangs.sh": "export NEVER=yes\n(trap '' TERM; sleep 3000) & sleep 3000\n",
    "e-syntax.sh": "export NEVER=yes\nif then fi )\n",
    "f-floods.sh": "export NEVER=yes\ncat /dev/zero\nexport LATER=yes\n",
    "g-unsets.sh": "unset LANG FROM_STATE\nexport LAST=yes\n",
    "not-a-script.txt": "export NEVER=yes\n",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    channel = tmp_path_factory.mktemp("channel")
    files: dict[str, File] = {
        f"etc/conda/activate.d/{name}": File(content=text.encode(), prefix="text" if PLACEHOLDER in text else None)
        for name, text in SCRIPTS.items()
    }
    variables = {
        "a.json": {"FROM_JSON": f"{PLACEHOLDER}/share", "TWICE": "a", "NASTY": NASTY, "GONE": "x", "NUMBER": 5},
        "b.json": {"TWICE": "b", "THRICE": "b", "LINES": LINES},
    }
    files |= {
        f"etc/conda/env_vars.d/{name}": File(content=json.dumps(table).encode(), prefix="text")
        for name, table in variables.items()
    }
    files["share/first/data"] = File(content=b"data")
    make_package(channel, "active", "1.0", files=files)
    index(channel)
    (channel / "virtual-packages.yml").write_text("subdirs:\n  linux-64:\n    packages:\n      __glibc: '2.17'\n")
    project = tmp_path_factory.mktemp("active")
    spec = "channels: [conda-forge]\ndependencies: [active]\n"
    spec += "variables: {THRICE: spec, FROM_STATE: state, GONE: '***unset***'}\n"
    (project / "environment.yml").write_text(spec)
    (project / "bundle.toml").write_text(BUNDLE)
    (project / "show").write_text(SHOW)
    (project / "show").chmod(0o755)
    return build(project, channel, project / "dist")


def installed(machine: Machine, bundle: Path, *options: str) -> str:
    """What install.sh said."""
    machine.copy_in(bundle, "/root/bundle")
    done = machine.run("sh", "/root/bundle/install.sh", *options)
    assert done.status == 0, done.stderr
    return done.stderr


def environment(machine: Machine) -> dict[str, str]:
    content = machine.read("/var/lib/active/active")
    assert content is not None
    pairs = content.decode("utf-8", "surrogateescape").split("\0")[:-1]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture(scope="module", params=["bullseye", *everywhere("bookworm")])
def active(request: pytest.FixtureRequest, bundle: Path) -> Iterator[tuple[Machine, str]]:
    with Machine(rootfs(request.param)) as machine:
        said = installed(machine, bundle)
        yield machine, said


def test_variables_in_condas_order(active: tuple[Machine, str]) -> None:
    machine, _ = active
    release = machine.run("readlink", "-f", "/opt/active/current").stdout.strip()
    got = environment(machine)
    assert got["CONDA_PREFIX"] == f"{release}/env"
    assert (got["TWICE"], got["THRICE"], got["NUMBER"]) == ("b", "spec", "5")
    assert got["FROM_JSON"] == f"{release}/env/share"
    assert got["JSON_SEEN"] == got["FROM_JSON"]
    assert "GONE" not in got


def test_nasty_values_arrive_unchanged(active: tuple[Machine, str]) -> None:
    got = environment(active[0])
    assert got["NASTY"] == NASTY
    assert got["LINES"] == LINES
    assert got["WITH_LINES"] == LINES


def test_scripts_see_the_release_where_it_will_be(active: tuple[Machine, str]) -> None:
    machine, _ = active
    release = machine.run("readlink", "-f", "/opt/active/current").stdout.strip()
    got = environment(machine)
    assert got["FIRST"] == f"{release}/env/share/first"
    assert got["BAKED"] == f"{release}/env/share"
    assert (got["FIRST_IS_THERE"], got["BAKED_IS_THERE"]) == ("yes", "yes")
    assert got["PATH"].startswith(f"{release}/env/libexec:{release}/env/bin:/usr/local/sbin:")
    assert "partial" not in " ".join(got.values())
    assert machine.run("sh", "-c", "find /opt/active/releases -maxdepth 1 -type l").stdout == ""


def test_scripts_run_as_nobody_without_a_terminal(active: tuple[Machine, str]) -> None:
    """Neither as root nor as the service: what has taken that over could reach them, and writes into its home."""
    machine, _ = active
    got = environment(machine)
    assert int(got["RAN_AS"]) > 60000
    assert got["RAN_AS"] != machine.run("id", "-u", "active").stdout.strip()
    assert (got["AT_HOME"], got["NO_USER_SITE"], got["SCRIPTS_NAME"]) == ("/var/lib/active/x", "1", "active")
    assert machine.run("find", "/", "-xdev", "-name", "nobody-was-here").stdout == ""
    assert machine.run("find", "/", "-xdev", "-user", got["RAN_AS"]).stdout == ""
    assert "TERMINAL" not in got
    assert "INTERACTIVE" not in got
    assert "local_only" not in got


def test_scripts_follow_each_other_and_bash_runs_bashs(active: tuple[Machine, str]) -> None:
    got = environment(active[0])
    assert (got["FROM_SCRIPTS"], got["FROM_BASH"], got["LAST"]) == ("ab", "b", "yes")
    assert not [name for name in got if "exported" in name]


def test_config_beats_activation(active: tuple[Machine, str]) -> None:
    assert environment(active[0])["OVERRIDDEN"] == "by config"


def test_what_fails_is_told_and_stops_nothing(active: tuple[Machine, str]) -> None:
    machine, said = active
    got = environment(machine)
    assert "c-fails.sh: it ended with status 7" in said
    assert got["BEFORE_EXIT"] == "yes"
    assert "d-hangs.sh: it did not finish within" in said
    assert "e-syntax.sh: " in said
    assert "f-floods.sh: " in said, said
    assert "activation unsets LANG" in said
    assert "activation sets BINARY to a value that no unit can hold" in said
    assert "activation sets CONTROL to a value that no unit can hold" in said
    assert not {"AFTER_EXIT", "BINARY", "CONTROL", "FROM_STATE"} & set(got)
    assert got["LANG"] == "C.UTF-8"
    assert machine.run("sh", "-c", "grep -l '30[0]0' /proc/[0-9]*/cmdline").stdout == ""


def test_the_release_is_whole_and_installing_again_changes_nothing(active: tuple[Machine, str]) -> None:
    machine, _ = active
    assert machine.run("/opt/active/manage", "verify").status == 0
    again = machine.run("sh", "/root/bundle/install.sh")
    assert (again.status, "already installed" in again.stderr) == (0, True)
    machine.run("sh", "-c", "rm /opt/active/current/config/activation.env", check=True)
    assert machine.run("/opt/active/manage", "verify").status == 11
    repaired = machine.run("sh", "/root/bundle/install.sh")
    assert repaired.status == 0, repaired.stderr
    assert machine.run("/opt/active/manage", "verify").status == 0
    got = environment(machine)
    assert got["FIRST_IS_THERE"] == "yes"
    assert "partial" not in " ".join(got.values())


def test_another_root(bundle: Path) -> None:
    with Machine(rootfs("bookworm")) as machine:
        installed(machine, bundle, "--prefix", "/srv/elsewhere")
        release = machine.run("readlink", "-f", "/srv/elsewhere/current").stdout.strip()
        got = environment(machine)
        assert got["BAKED"] == got["FROM_JSON"] == f"{release}/env/share"
        assert got["BAKED_IS_THERE"] == "yes"
        assert "/opt/active" not in " ".join(got.values())


def test_without_bash_what_is_plain_runs(bundle: Path) -> None:
    with Machine(rootfs("bookworm")) as machine:
        machine.run("sh", "-c", "rm -f /bin/bash /usr/bin/bash", check=True)
        said = installed(machine, bundle)
        assert "b-second.sh is not run: it requires bash, which is missing" in said
        got = environment(machine)
        assert (got["FROM_SCRIPTS"], got["LAST"], got["NASTY"]) == ("a", "yes", NASTY)
        assert "c-fails.sh: it ended with status 7" in said
        assert got["BEFORE_EXIT"] == "yes"


def test_an_image_asks_them_at_its_first_boot(bundle: Path) -> None:
    with Machine(rootfs("bookworm")) as machine:
        machine.copy_in(bundle, "/root/bundle")
        machine.run("sh", "-c", "mkdir /srv/image && cp -a /bin /etc /lib* /sbin /usr /var /srv/image/", check=True)
        done = machine.run("sh", "/root/bundle/install.sh", "--root", "/srv/image")
        assert (done.status, "at the image's first boot" in done.stderr) == (0, True), done.stderr
        machine.run("sh", "-c", "cp -a /srv/image/opt/active /opt/ && cp -a /srv/image/var/lib/conda-bundler /var/lib/")
        machine.run(
            "sh", "-c", "cp -a /srv/image/usr/local/lib/systemd /usr/local/lib/; cp -a /srv/image/etc/active /etc"
        )
        machine.run(
            "sh", "-c", "for f in passwd group shadow gshadow; do cp -a /srv/image/etc/$f /etc/; done", check=True
        )
        # as that boot does it, in a unit that is confined
        booted = machine.run("sh", "-c", "systemctl daemon-reload && systemctl start active-first-boot")
        said = machine.run("journalctl", "-u", "active-first-boot", "-o", "cat", "--no-pager").stdout
        assert booted.status == 0, said
        assert "a-first.sh" not in said
        assert "c-fails.sh: it ended with status 7" in said
        assert exposure(machine, "active-first-boot") <= 2.0
        text = (machine.read("/opt/active/current/config/activation.env") or b"").decode()
        assert 'LAST="yes"' in text
        assert 'RAN_AS="0"' not in text
        assert f'RAN_AS="{machine.run("id", "-u", "active").stdout.strip()}"' not in text
        assert machine.run("/opt/active/manage", "verify").status == 0
