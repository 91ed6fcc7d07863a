#!/bin/sh
# Starts a program on the BEAM: beam PROGRAM [ARGUMENT...]
#
# Its cookie reaches the virtual machine in ~/.erlang.cookie, which nobody else can read, and never on a command line,
# which ps shows to everybody: the start script of a Mix release is run without the --cookie that it would pass on.
#
#   RELEASE_COOKIE_FILE, or else RELEASE_COOKIE   the cookie; with neither, the one in ~/.erlang.cookie
#   RELEASE_DISTRIBUTION                          name or sname: ERL_DIST_LISTEN and ERL_DIST_PORT become flags
#   ERL_DIST_LISTEN, ERL_DIST_PORT                the only IPv4 address and port it listens on; there is no epmd
set -eu
umask 077

fail() { # SENTENCE
    printf 'beam: %s\n' "$1" >&2
    exit 78 # EX_CONFIG
}

take_cookie() {
    cookie=
    if [ -n "${RELEASE_COOKIE_FILE-}" ]; then
        IFS= read -r cookie <"$RELEASE_COOKIE_FILE" || [ -n "$cookie" ] ||
            fail "there is no cookie in $RELEASE_COOKIE_FILE"
        RELEASE_COOKIE=
    fi
    cookie=${cookie:-${RELEASE_COOKIE-}}
    [ -z "$cookie" ] || keep_cookie
    # Releases want one in their environment, and some use it: one that nobody knows and that opens nothing.
    [ -n "${RELEASE_COOKIE-}" ] || RELEASE_COOKIE=$(od -An -v -N16 -tx1 /dev/urandom | tr -d ' \n')
    [ -n "$RELEASE_COOKIE" ] || fail "the kernel's random source gave nothing"
    export RELEASE_COOKIE
}

# The virtual machine wants it to be a plain file for its owner alone.
keep_cookie() {
    [ -n "${HOME-}" ] || fail "HOME is not set"
    cookie_new=$HOME/.erlang.cookie.$$
    rm -f "$cookie_new"
    (set -C && printf '%s' "$cookie" >"$cookie_new") || fail "cannot write $cookie_new"
    chmod 0400 "$cookie_new"
    mv -f "$cookie_new" "$HOME/.erlang.cookie" || fail "cannot write $HOME/.erlang.cookie"
}

take_address() { # COMMAND
    case ${RELEASE_DISTRIBUTION-none} in
        name | sname) ;;
        *) return 0 ;;
    esac
    [ -n "${ERL_DIST_PORT-}" ] || return 0
    case $ERL_DIST_PORT in
        *[!0-9]*) fail "ERL_DIST_PORT is not a port: $ERL_DIST_PORT" ;;
    esac
    case ${ERL_DIST_LISTEN:=127.0.0.1} in
        *[!0-9.]* | *..* | .* | *. | *.*.*.*.*) fail "ERL_DIST_LISTEN is not an IPv4 address: $ERL_DIST_LISTEN" ;;
        *.*.*.*) ;;
        *) fail "ERL_DIST_LISTEN is not an IPv4 address: $ERL_DIST_LISTEN" ;;
    esac
    address=$(printf '%s' "$ERL_DIST_LISTEN" | tr . ,)
    flags="-start_epmd false -erl_epmd_port $ERL_DIST_PORT -kernel inet_dist_use_interface {$address}"
    case $1 in
        rpc | remote | stop | restart | pid) flags="$flags -dist_listen false" ;; # they only call; the port is taken
    esac
    ERL_AFLAGS="$flags${ERL_AFLAGS:+ $ERL_AFLAGS}"
    export ERL_AFLAGS
}

is_script() { # FILE
    case $(head -c 9 "$1" 2>/dev/null | tr -d '\0') in
        '#!/bin/sh' | '#! /bin/s') return 0 ;;
    esac
    return 1
}

# sh reads the text from its arguments: its $0 stays the script's path, from which it knows where it is.
run_script() { # SCRIPT ARGUMENT...
    # shellcheck disable=SC2016 # it stands there so
    script=$(sed 's/--cookie "\$RELEASE_COOKIE" *//g' "$1")
    case $script in
        *-cookie* | *-setcookie*) # in a manner of its own
            [ -z "${RELEASE_COOKIE_FILE-}" ] ||
                fail "$1 would pass a cookie on its command line; use it with the delivery 'environment'"
            exec "$@"
            ;;
    esac
    exec /bin/sh -c "$script" "$@"
}

[ $# -ge 1 ] || fail "usage: beam PROGRAM [ARGUMENT...]"
take_cookie
take_address "${2-}"
unset cookie cookie_new address flags
if is_script "$1"; then
    run_script "$@"
fi
exec "$@"
