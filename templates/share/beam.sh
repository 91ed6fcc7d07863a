#!/bin/sh
# Starts a program on the BEAM:           beam PROGRAM [ARGUMENT...]
# another one beside it, for its admin:   beam --beside PROGRAM [ARGUMENT...]
# Stops it, as ExecStop=:                 beam --stop
#
# Its cookie reaches the virtual machine in ~/.erlang.cookie, which nobody else can read, and never on a command line,
# which ps shows to everybody: the start script of a Mix release is run without the --cookie that it would pass on.
#
#   RELEASE_COOKIE_FILE, or else RELEASE_COOKIE   the cookie; with neither, the one in ~/.erlang.cookie
#   RELEASE_DISTRIBUTION                          name or sname: ERL_DIST_LISTEN and ERL_DIST_PORT become flags
#   ERL_DIST_LISTEN, ERL_DIST_PORT                the only IPv4 address and port it listens on; there is no epmd
#   RELEASE_NODE                                  its name; with none after an "@", ERL_DIST_LISTEN is its host
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
    [ -n "$RELEASE_COOKIE" ] || fail "the kernel's random source returned nothing"
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
    case ${ERL_DIST_LISTEN:=127.0.0.1} in
        *[!0-9.]* | *..* | .* | *. | *.*.*.*.*) fail "ERL_DIST_LISTEN is not an IPv4 address: $ERL_DIST_LISTEN" ;;
        *.*.*.*) ;;
        *) fail "ERL_DIST_LISTEN is not an IPv4 address: $ERL_DIST_LISTEN" ;;
    esac
    complete_name
    [ -n "${ERL_DIST_PORT-}" ] || return 0
    case $ERL_DIST_PORT in
        *[!0-9]*) fail "ERL_DIST_PORT is not a port: $ERL_DIST_PORT" ;;
    esac
    address=$(printf '%s' "$ERL_DIST_LISTEN" | tr . ,)
    flags="-start_epmd false -erl_epmd_port $ERL_DIST_PORT -kernel inet_dist_use_interface {$address}"
    case $1 in
        rpc | remote | stop | restart | pid) flags="$flags -dist_listen false" ;; # they only call; the port is taken
    esac
    ERL_AFLAGS="$flags${ERL_AFLAGS:+ $ERL_AFLAGS}"
    export ERL_AFLAGS
}

complete_name() {
    case $RELEASE_DISTRIBUTION,${RELEASE_NODE-} in
        sname,* | name, | name,*@*) return 0 ;;
    esac
    [ "$ERL_DIST_LISTEN" != 0.0.0.0 ] ||
        fail "RELEASE_NODE needs the address at which others reach it, such as $RELEASE_NODE@10.0.0.5: it listens on every address"
    export RELEASE_NODE="$RELEASE_NODE@$ERL_DIST_LISTEN"
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
                fail "$1 would pass a cookie on its command line, where ps shows it: to allow that, set delivery = 'environment' for RELEASE_COOKIE in bundle.toml"
            exec "$@"
            ;;
    esac
    exec /bin/sh -c "$script" "$@"
}

# Who is stopped cannot be looked up in /proc from the unit's other processes: each has a user namespace of its own.
leave_stamp() {
    [ -n "${RUNTIME_DIRECTORY-}" ] || return 0
    printf '%s %s\n' "$$" "$(started_at "$$")" >"${RUNTIME_DIRECTORY%%:*}/.started" || :
}

started_at() { # PID: in hundredths of a second since boot, proc(5)
    read -r process_stat 2>/dev/null <"/proc/$1/stat" || return 0
    # shellcheck disable=SC2086 # to be split: fields 3 and on, after the name in parentheses
    set -- ${process_stat##*) }
    shift 19
    printf '%s\n' "$1"
}

# A virtual machine that boots loses the signal that systemd sends, and would be waited for and killed. A young one is
# told until it has heard it; any other hears systemd's own, and hears it once.
stop() { # PID
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        is_young "$1" && kill -TERM "$1" 2>/dev/null || return 0
        for _ in 1 2 3; do
            sleep 1
            kill -0 "$1" 2>/dev/null || return 0
        done
    done
}

is_young() { # PID: at most a minute older than we are
    stamp_pid=
    read -r stamp_pid stamp_time 2>/dev/null <"${RUNTIME_DIRECTORY%%:*}/.started" || return 1
    own_time=$(started_at "$$")
    [ "$stamp_pid" = "$1" ] && [ -n "$stamp_time" ] && [ -n "$own_time" ] && [ $((own_time - stamp_time)) -le 6000 ]
}

[ $# -ge 1 ] || fail "usage: beam PROGRAM [ARGUMENT...]"
case $1 in
    --stop)
        [ -z "${MAINPID-}" ] || [ -z "${RUNTIME_DIRECTORY-}" ] || stop "$MAINPID"
        exit 0
        ;;
    --beside) shift ;;
    *) leave_stamp ;;
esac
take_cookie
take_address "${2-}"
unset cookie cookie_new address flags process_stat
if is_script "$1"; then
    run_script "$@"
fi
exec "$@"
