
# --- preflight: sockets -----------------------------------------------------------------------------------

check_sockets() {
    [ ! -d "$BUNDLE/units" ] || for bundle_socket in "$BUNDLE"/units/*.socket; do
        [ ! -f "$bundle_socket" ] || check_socket "$bundle_socket"
    done
}

check_socket() { # FILE
    socket_unit=${1##*/}
    if [ -n "$BARE" ]; then
        problem "${socket_unit%.socket}.service needs a socket from systemd" \
            "Omit --no-systemd; or build the bundle without services.${socket_unit%.socket}.socket."
        return 0
    fi
    socket_group=$(sed -n 's|^ExecStartPost=+/bin/chown -h [^:]*:\([^ ]*\) .*|\1|p' "$1")
    [ -z "$socket_group" ] || [ "$socket_group" = "$NAME" ] || is_own_user "$socket_group" ||
        has_entry group "$socket_group" ||
        problem "there is no group '$socket_group', which $socket_unit needs" \
            "Install the package that creates it, or create it: groupadd -r $socket_group."
    socket_address=$(listens_at "$1")
    check_socket_of_others && [ "$SYSTEMD" = yes ] || return 0
    case $socket_address in
        /*) socket_found=$(path_listeners /proc/net "$socket_address") ;;
        *)
            socket_address=${socket_address##*:}
            case " $PORTS_CHECKED " in
                *" $socket_address "*) return 0 ;;
            esac
            socket_found=$(listeners /proc/net "$socket_address")
            ;;
    esac
    for socket_number in $socket_found; do
        is_our_socket "$socket_number" "$socket_address" || {
            problem "$(listens_at "$1") of $socket_unit is already in use$(named "$socket_number")" \
                "Stop that program, or choose another address in bundle.toml."
            return 0
        }
    done
}

listens_at() { # FILE
    [ ! -f "$1" ] || sed -n 's/^ListenStream=//p' "$1"
}

# Another bundle's address is taken, whether it is open just now or not. Status 1: one is.
check_socket_of_others() {
    for other in $(other_records); do
        other_root=$IMAGE$(owned_in "$other" root | tail -n 1)
        other_release=$(readlink "$other_root/current" 2>/dev/null) || continue
        for other_socket in "$other_root/$other_release"/units/*.socket; do
            [ -f "$other_socket" ] || continue
            other_address=$(listens_at "$other_socket")
            case $socket_address,$other_address in
                /*) [ "$socket_address" = "$other_address" ] || continue ;;
                *) [ "${socket_address##*:}" = "${other_address##*:}" ] || continue ;;
            esac
            problem "$socket_address of $socket_unit is also the address of ${other_socket##*/}, which belongs to the bundle '${other##*/}'" \
                "Choose another address in bundle.toml."
            return 1
        done
    done
}

# Settings change where the health check asks, and not where the socket is.
check_moved() { # UNIT URL, expanded in URL_PORT
    case $2 in
        *'${'*) ;;
        *) return 0 ;;
    esac
    moved_socket=${1%.service}.socket
    moved_address=$(listens_at "$BUNDLE/units/$moved_socket")
    case $moved_address in
        '' | /* | "$URL_PORT" | *":$URL_PORT") return 0 ;;
    esac
    [ "$SYSTEMD" = yes ] || return 0
    case $(property "$moved_socket" Listen) in
        *":$URL_PORT (Stream)"*) ;; # by a drop-in
        *) warn "the settings make the health check of $1 connect to port $URL_PORT, but $moved_socket listens on $moved_address" \
            "Remove the port from $ETC/$NAME.env, or change the socket: systemctl edit $moved_socket" ;;
    esac
}
