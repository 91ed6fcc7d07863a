"""Names that a server has given already: to users and groups, to units, to directories of the system.

A bundle's user is called as the bundle, its directories are ``/etc/<name>``, ``/var/lib/<name>`` and the like; a
service's unit and ``/run/<service>`` are called as the service. From the base sets and the best known servers' packages
of Debian, Ubuntu, RHEL and Fedora, SUSE and Arch.
"""

from __future__ import annotations

__all__ = ["is_reserved", "is_reserved_service", "is_system"]

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

_OURS = frozenset({"conda-bundler"})
"""``/run/conda-bundler`` is our lock, ``/var/lib/conda-bundler`` our records, ``/etc/conda-bundler`` who may sign."""
_PLACES = frozenset(
    """
    agetty alternatives apt blkid boot-loader cloud-init console containerd containers credentials crun cryptsetup
    dbus dpkg faillock fsck host initctl initramfs lock log lvm mdadm misc motd mount netns network nologin ostree pam
    pki plymouth podman private resolvconf rpcbind screen security selinux sepermit setrans shm skel snapd ssl sudo
    sysconfig systemd tmpfiles tuned udev udisks2 user utmp uuidd xtables
    """.split()  # noqa: SIM905
)
"""What the system has in /run, /etc, /var/lib, /var/cache or /var/log."""
_UNITS = frozenset(
    """
    accounts-daemon acpid alsa-restore alsa-state anacron apache2 apparmor apport atd auditd autofs avahi-daemon
    blk-availability bluetooth bolt chrony chronyd cloud-config cloud-final cloud-init cloud-init-local cockpit
    collectd colord console-getty console-setup container-getty containerd cron crond cups dbus dbus-broker
    debug-shell dm-event dnf-automatic dnf-makecache dnsmasq docker dovecot dracut-cmdline dracut-initqueue
    dracut-mount dracut-shutdown e2scrub e2scrub-reap emergency exim4 fail2ban fapolicyd firewalld fstrim fwupd gdm
    getty getty-static gssproxy haproxy httpd import-state initrd-cleanup initrd-switch-root insights-client
    irqbalance iscsi iscsid kdump keyboard-setup kmod kmod-static-nodes ldconfig libvirtd lightdm loadmodules
    logrotate low-memory-monitor lvm2-monitor lxd mailman man-db mariadb mcelog mdmonitor memcached mongod multipathd
    mysql mysqld named networking nfs-server nfs-utils nftables nginx nis-domainname nscd ntp ntpd ntpsec openvpn
    packagekit php-fpm podman polkit postfix postgresql power-profiles-daemon procps proftpd qemu-guest-agent quotaon
    rabbitmq-server rc-local redis redis-server rescue resolvconf rngd rpcbind rsync rsyslog rtkit-daemon samba
    saslauthd selinux-autorelabel selinux-autorelabel-mark serial-getty smartd smartmontools smbd snapd snmpd
    spice-vdagentd squid ssh sshd sssd sysstat system-update-cleanup tftp tor tuned udev udisks2 ufw
    unattended-upgrades unbound upower uuidd vsftpd ypbind zfs-mount zfs-share
    """.split()  # noqa: SIM905
)
"""Units of systemd's and of the distributions'."""


def is_reserved(name: str) -> bool:
    """Whether a bundle cannot be called ``name``."""
    return name in _NAMES or name.startswith(_PREFIXES) or is_system(name)


def is_reserved_service(name: str) -> bool:
    """Whether servers are likely to have a unit or a directory in /run that is called as the service ``name``."""
    return name in _UNITS or name.startswith("systemd-") or is_system(name)


def is_system(name: str) -> bool:
    """Whether ``name`` is that of directories of the system, or of ours."""
    return name in _PLACES or name in _OURS
