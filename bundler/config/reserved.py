"""Users and groups that the common distributions have: a bundle of such a name would run as somebody else.

From the base sets and the best known servers' packages of Debian, Ubuntu, RHEL and Fedora, SUSE and Arch.
"""

from __future__ import annotations

__all__ = ["is_reserved"]

_NAMES = frozenset(
    """
    abrt adm alpm amavis apache apt at audio audit avahi backup bin bluetooth brlapi cdrom chrony cockpit-ws colord
    crontab daemon dbus dhcpcd dialout dip disk dnsmasq docker dovecot dovenull exim fax flatpak floppy fprint ftp games
    gdm geoclue git gnats group haproxy halt http input irc kmem kvm landscape libvirt lightdm list lock log
    lp lpadmin lxd mail mailman man mem memcache memcached messagebus mongodb mysql named netdev network news nfsnobody
    nginx nm-openvpn nobody nogroup ntp nvidia-persistenced openvpn operator optical pcp pipewire plugdev podman polkitd
    pollinate postdrop postfix postgres power proc proxy pulse qemu rabbitmq redis render root rpc rpcuser rtkit rtkitd
    sasl saned sambashare scanner sddm setroubleshoot sgx shadow shutdown squid src ssh sshd ssl-cert sssd staff statd
    storage sudo sync sys syslog tape tcpdump tftp trusted tss tty unbound usbmux users utmp uucp uuidd video voice
    wheel whoopsie wwwrun www www-data
    """.split()  # noqa: SIM905 -- a list of names would be read by nobody
)
_PREFIXES = ("systemd-", "gnome-", "libvirt-", "debian-")


def is_reserved(name: str) -> bool:
    """Whether servers are likely to have a user or a group ``name`` already."""
    return name in _NAMES or name.startswith(_PREFIXES)
