
# --- sockets ---------------------------------------------------------------------------------------------
# systemd listens with NAME.socket for NAME.service. The socket stays open during an upgrade of the service, so that no
# connections are refused. It is restarted only if its own section has changed: in one systemd job together with its
# service, which requires it, so that a killed run leaves no service without its socket.

RESUMED= # yes: a run that was cut off has been here before, and may have changed what is open

is_socket() { # UNIT or PATH
    case $1 in
        *.socket) ;;
        *) return 1 ;;
    esac
}

each_socket_of() { # RELEASE FUNCTION: calls it with the name of each socket unit
    for release_socket in "$ROOT/releases/$1"/units/*.socket; do
        [ ! -f "$release_socket" ] || "$2" "${release_socket##*/}"
    done
}

# Including those that this run or an earlier one has removed, but systemd still holds.
our_sockets() {
    {
        owned_paths unit | sed -n 's|.*/\(.*\.socket\)$|\1|p'
        for our_release in "$ROOT"/releases/*; do
            each_socket_of "${our_release##*/}" print_line
        done
    } | sort -u
}

print_line() { # WORD
    printf '%s\n' "$1"
}

socket_section() { # FILE
    [ ! -f "$1" ] || sed -n '/^\[Socket\]/,/^\[[^S]/p' "$1"
}

# Whether the open socket may have a different address or different permissions than in this release.
socket_differs() { # UNIT
    [ -z "$RESUMED" ] && [ -n "$FROM" ] || return 0
    differs_to=$(transaction_value to)
    [ "$(socket_section "$ROOT/releases/$FROM/units/$1")" != "$(socket_section "$ROOT/releases/$differs_to/units/$1")" ]
}

# The socket to restart together with a service, in one job. A new socket is started by its service's own job.
restarted_with() { # UNIT
    with_socket=${1%.service}.socket
    [ "$with_socket" != "$1.socket" ] && [ -f "$ROOT/releases/$RELEASE/units/$with_socket" ] || return 0
    [ -n "$(state_before active "$with_socket")" ] || [ -n "$RESUMED" ] || return 0
    ! socket_differs "$with_socket" || printf '%s\n' "$with_socket"
}

start_own_socket() { # UNIT
    own_socket=${1%.service}.socket
    [ "$own_socket" != "$1.socket" ] && [ -f "$ROOT/releases/$RELEASE/units/$own_socket" ] || return 0
    control start "$own_socket" || die 12 "systemctl start $own_socket failed" "See: journalctl -u $own_socket"
}

# systemd reports only "A dependency job failed" for the service.
tell_failed_socket() { # UNIT of the service
    case $1 in
        *.service) [ "$(property "${1%.service}.socket" ActiveState)" != failed ] || journal_tail "${1%.service}.socket" ;;
    esac
}

# A socket whose service is restarted is restarted with it. If the administrator has stopped the service, it is unchanged.
start_socket() { # UNIT
    case "$WATCHED " in
        *" ${1%.socket}.service "*) return 0 ;;
    esac
    case $(state_before active "$1") in
        '')
            say "$1 is not opened, since ${1%.socket}.service was stopped"
            return 0
            ;;
        active | activating | failed) ;;
        *)
            is_held "$1" || {
                say "$1 was stopped and stays so"
                return 0
            }
            control start "$1" || die 12 "systemctl start $1 failed" "See: journalctl -u $1"
            return 0
            ;;
    esac
    ! socket_differs "$1" || control restart "$1" || die 12 "systemctl restart $1 failed" "See: journalctl -u $1"
}

# In a rollback, for a service that is not restarted.
restore_socket() { # UNIT ACTIVE
    case $(state_before active "${1%.socket}.service"),$2 in
        active,* | activating,* | reloading,*) return 0 ;;
        *,active | *,activating | *,failed) ;;
        *)
            control stop "$1" || not_restored
            return 0
            ;;
    esac
    if socket_differs "$1"; then
        control restart "$1" || not_restored
    else
        control start "$1" || not_restored
    fi
}

# A new socket of a service that the administrator has disabled would start it anyway.
is_socket_of_disabled() { # UNIT
    is_socket "$1" && [ -z "$(state_before enabled "$1")" ] &&
        [ "$(state_before enabled "${1%.socket}.service")" = disabled ]
}

# Whether a service continues without this socket. As long as systemd has the service's old unit, both would be stopped.
is_left_by_service() { # PATH of its unit
    is_socket "$1" || return 1
    left_service=${1##*/}
    left_service=${left_service%.socket}.service
    [ -f "${1%/*}/$left_service" ] && [ -f "$ROOT/releases/$RELEASE/units/$left_service" ]
}

# The unit to stop with another one: a connection to an open socket would start its service again.
stopped_before() { # PATH of a unit: the name of another one
    case $1 in
        *.service) [ ! -f "${1%.service}.socket" ] || printf '%s\n' "${1##*/}" | sed 's/service$/socket/' ;;
    esac
}

# Called when systemd has loaded this release's services, which keep their sockets until they are restarted.
close_sockets() {
    [ "$SYSTEMD" = yes ] || return 0
    for closed_socket in $(our_sockets); do
        [ -f "$ROOT/releases/$RELEASE/units/$closed_socket" ] || close_socket "$closed_socket"
    done
}

close_socket() { # UNIT
    case $(property "$1" ActiveState) in
        active | activating) control stop "$1" || die 12 "systemctl stop $1 failed" "Try it by hand to see why." ;;
    esac
}

# systemd also holds sockets of other units; ours are at the address of one of our open socket units.
is_held_for_us() { # SOCKET-NUMBER PORT-or-PATH
    has_socket 1 "$1" || return 1
    for held_socket in $(our_sockets); do
        [ "$(property "$held_socket" ActiveState)" = active ] || continue
        case "
$(property "$held_socket" Listen)" in
            *":$2 (Stream)"* | *"
$2 (Stream)"*) return 0 ;;
        esac
    done
    return 1
}

# --- Unix sockets

path_of_url() { # unix:PATH[:/URL-PATH]
    url_path=${1#unix:}
    printf '%s\n' "${url_path%%:*}"
}

path_listeners() { # TABLES-DIR PATH: the socket numbers of whoever listens there
    while read -r _ _ _ unix_flags _ _ unix_socket unix_path; do
        [ "$unix_flags,$unix_path" != "00010000,$2" ] || printf '%s\n' "$unix_socket"
    done <"$1/unix"
}
