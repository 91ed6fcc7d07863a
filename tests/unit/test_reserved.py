"""Names of users and groups that servers have already. The lists are those of the distributions' own base packages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bundler.config.patterns import NAME
from bundler.config.project import load_config
from bundler.config.reserved import is_reserved
from bundler.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

BASES = {
    "Debian": """
        root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc _apt nobody adm tty
        disk kmem dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl plugdev
        staff users nogroup input kvm render sgx crontab ssl-cert messagebus netdev systemd-network
        systemd-resolve systemd-timesync systemd-journal sshd tss polkitd uuidd tcpdump postfix postdrop
        Debian-exim lpadmin scanner bluetooth
    """,
    "Red Hat": """
        root bin daemon adm lp sync shutdown halt mail operator games ftp nobody sys tty disk mem kmem wheel
        cdrom man dialout floppy tape video lock audio users input kvm render sgx utmp utempter ssh_keys dbus
        polkitd chrony sssd clevis unbound dnsmasq cockpit-ws cockpit-wsinstance pesign setroubleshoot tcpdump
        saslauth rpc rpcuser nfsnobody geoclue pipewire flatpak rtkit colord gdm libstoragemgmt usbmuxd stapusr
        stapsys stapdev radvd named apache
    """,
    "Alpine": """
        root bin daemon adm lp sync shutdown halt mail news uucp operator man postmaster cron ftp sshd at squid
        xfs games cyrus vpopmail ntp smmsp guest nobody sys tty disk kmem wheel floppy audio cdrom dialout tape
        video netdev readproc kvm abuild cdrw usb users utmp ping nogroup input www-data
    """,
    "SUSE": """
        root bin daemon lp mail games man wwwrun ftp nobody messagebus nscd sshd polkitd statd rpc dnsmasq
        lightdm vscan trusted wheel kmem lock shadow tape tty disk dialout cdrom audio video users sys www
    """,
    "Arch": """
        root bin daemon mail ftp http nobody dbus systemd-coredump uuidd tss avahi git alpm sys mem log smmsp
        proc wheel tty kmem audio disk floppy input kvm lp optical render sgx storage uucp video users rfkill
        adm network power
    """,
}


@pytest.mark.parametrize("distribution", BASES)
def test_the_base_users_and_groups_are_known(distribution: str) -> None:
    names = [name for name in BASES[distribution].split() if re.fullmatch(NAME, name)]
    assert len(names) > 30
    assert [name for name in names if not is_reserved(name)] == []


@pytest.mark.parametrize("name", ["tomcat", "grafana", "varnish", "zabbix", "mosquitto", "debian-tor", "systemd-x"])
def test_a_bundle_is_not_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(
        f'[bundle]\nname = "{name}"\nversion = "1"\n[services.api]\ncommand = ["python"]\n'
    )
    with pytest.raises(
        ConfigError, match=f"servers already have a user or group '{name}'; choose .* such as my-{name}"
    ):
        load_config(tmp_path)


@pytest.mark.parametrize("name", ["hello", "my-redis", "metrics", "jupyter", "spark", "api", "wwwdata"])
def test_other_names_may_be_had(name: str) -> None:
    assert not is_reserved(name)
