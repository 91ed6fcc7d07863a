
# Clears what the caller has exported: functions (bash imports them from the environment, also as sh, and would call them
# instead of tools), options of the shell and of tools, PATH. This comes before all other commands: in POSIX mode, no
# function can override unset, eval and set, but one may override "[", until it is unset.
case ${BASH_VERSION-} in
    '') unset POSIXLY_CORRECT ;;
    *)
        # shellcheck disable=SC3028 # bash has it
        case :$SHELLOPTS: in
            *:posix:*) WAS_POSIX=-o ;;
            *) WAS_POSIX=+o ;;
        esac
        POSIXLY_CORRECT=yes
        unset -f builtin
        eval 'for f in $(builtin compgen -A function); do unset -f "$f"; done; unset f
            shopt -u failglob nocasematch'
        unset POSIXLY_CORRECT
        set "$WAS_POSIX" posix
        unset WAS_POSIX
        ;;
esac
set +a +f
unset IFS CDPATH ENV BASH_ENV TAR_OPTIONS GZIP XZ_OPT XZ_DEFAULTS ZSTD_CLEVEL GREP_OPTIONS
unset FUNCNEST GLOBIGNORE TMOUT SYSTEMD_PAGER SYSTEMCTL_FORCE_BUS
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 022
