"""Names that exist on servers already: users and groups, units, system directories.

A bundle's user has its name, and so do its directories, such as ``/etc/<name>`` and ``/var/lib/<name>``; a service's
unit and ``/run/<service>`` have the service's name. The lists come from the base systems and the best-known server
packages of Debian, Ubuntu, RHEL and Fedora, SUSE, Arch and Alpine.
"""

from __future__ import annotations

__all__ = ["is_reserved", "is_reserved_service", "is_system"]

_NAMES = frozenset(
    """
    abrt abuild adbusers adm alpm amanda amavis apache apcupsd apt arpwatch asterisk at audio audit avahi
    avahi-autoipd backup bin bluetooth brlapi caddy cdrom cdrw ceph cgred chrony chronyd clamav clamilt clamscan
    clamupdate clevis cockpit-ws cockpit-wsinstance colord couchdb courier cron crontab cups-pk-helper cyrus daemon
    dbus debian-exim debian-spamd debian-tor dhcp dhcpcd dhcpd dialout dictd dip disk dnsmasq docker dovecot
    dovenull ejabberd epmd etcd exim fax fetchmail flatpak floppy fprint freerad frr ftp ftpadmin fwupd-refresh
    games ganglia gdm geoclue gerbera git gitolite gluster gnats gnome-initial-setup gpsd grafana group guest
    hacluster halt haproxy hplip http i2psvc icecast icinga input insights irc jackuser jetty kamailio kernoops kmem
    knot kvm landscape ldap libstoragemgmt libuuid libvirt lightdm list lldpd lock log logcheck lp lpadmin lxd lxdm
    mail mailman mailnull man mem memcache memcached messagebus mongodb mosquitto mpd munge munin mysql mysqld
    nagios named netdata netdev network news nfsnobody nginx nm-fortisslvpn nm-openconnect nm-openvpn nobody nogroup
    nrpe nscd nsd ntp ntpsec nut nvidia-persistenced opendkim opendmarc openldap openvpn openvswitch operator
    oprofile optical pcp pcscd pdns pegasus pesign pgbouncer ping pipewire pkcs11 plugdev podman polkitd pollinate
    portage postdrop postfix postgres postgrey postmaster power privoxy proc proftpd prometheus proxy pulse
    pulse-access pulse-rt puppet pvm qemu quagga rabbitmq radicale radiusd radvd readproc redis redis-sentinel
    render rfkill root rpc rpcuser rslsync rspamd rtkit rtkitd salt sambashare saned sasl saslauth scanner screen
    sddm setroubleshoot sgx shadow shutdown slapd slurm smmsp smmta snmp solr spamd speech-dispatcher sphinxsearch
    squid squid3 src ssh sshd ssl ssl-cert sslh sssd staff stapdev stapsys stapusr statd storage stunnel stunnel4
    sudo svn sync sys syslog tape tcpdump tftp tinyproxy tomcat tomcat10 tomcat8 tomcat9 tor toranon transmission
    trusted tss tty turnserver unbound unscd uptimed usb usbmux usbmuxd users utempter utmp uucp uuidd varnish
    vboxadd vboxusers vcache vcs vcsa vde2-net vdr video vmail vnstat voice vpopmail vscan vsftpd wheel whoopsie
    wireshark wsdd www www-data wwwrun xfs zabbix znc
    """.split()  # noqa: SIM905 -- a list of names would be read by nobody
)
_PREFIXES = ("systemd-", "gnome-", "libvirt-", "debian-")

_OURS = frozenset({"conda-bundler"})
"""Our lock is in ``/run/conda-bundler``, our records in ``/var/lib``, and allowed signers in ``/etc/conda-bundler``."""
_PLACES = frozenset(
    """
    agetty alternatives apt blkid boot-loader cloud-init console containerd containers credentials crun cryptsetup
    dbus dpkg faillock fsck host initctl initramfs lock log lvm mdadm misc motd mount netns network nologin ostree pam
    pki plymouth podman private resolvconf rpcbind screen security selinux sepermit setrans shm skel snapd ssl sudo
    sysconfig systemd tmpfiles tuned udev udisks2 user utmp uuidd xtables
    """.split()  # noqa: SIM905
)
"""Names of the system in /run, /etc, /var/lib, /var/cache or /var/log."""
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
"""Units of systemd and of distributions."""


def is_reserved(name: str) -> bool:
    """Whether ``name`` is not allowed for a bundle."""
    return name in _NAMES or name.startswith(_PREFIXES) or is_system(name)


def is_reserved_service(name: str) -> bool:
    """Whether servers are likely to have a unit or a directory in /run with the name of the service ``name``."""
    return name in _UNITS or name.startswith("systemd-") or is_system(name)


def is_system(name: str) -> bool:
    """Whether the system, or conda-bundler itself, has directories called ``name``."""
    return name in _PLACES or name in _OURS
