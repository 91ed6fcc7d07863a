# Whatever the caller has exported: functions (where sh is bash it takes them from the environment, and would call them
# instead of the tools), options of tools, a path of his own.
[ -z "${BASH_VERSION-}" ] || eval 'for f in $(compgen -A function); do unset -f "$f"; done; unset f'
unset IFS CDPATH ENV BASH_ENV TAR_OPTIONS GZIP XZ_OPT XZ_DEFAULTS ZSTD_CLEVEL GREP_OPTIONS
unset SYSTEMD_PAGER SYSTEMCTL_FORCE_BUS
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 022
