#!/bin/sh
# Restarts a service that has stopped answering:  watch SERVICE BUNDLE probe|command FAILURES RESTARTS GRACE [DEPENDANT...]
# Started by SERVICE-health.timer, as root. It has SERVICE-health.service ask, counts the bad answers in a row, and
# after FAILURES of them restarts the service and the DEPENDANTS that go down with it; RESTARTS times an hour at most,
# and never in the first GRACE seconds of the service. What is not running stays so: whoever has stopped it knows why.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
unset SYSTEMD_PAGER SYSTEMCTL_FORCE_BUS

[ "$#" -ge 6 ] || {
    echo 'usage: watch SERVICE BUNDLE probe|command FAILURES RESTARTS GRACE [DEPENDANT...]' >&2
    exit 2
}
service=$1.service
health=$1-health.service
record=/var/lib/conda-bundler/$2/transaction
asks=$3
failures=$4
budget=$5
grace=$6
room=/run/conda-bundler
state=$room/$1.watch # "bad COUNT SINCE", and "restart SECONDS" for each restart of the last hour
shift 6

say() { # LEVEL SENTENCE: 3 error, 4 warning, 5 notice
    printf '<%s>%s\n' "$1" "$2"
}

property() { # UNIT PROPERTY
    systemctl --no-pager show -p "$2" --value "$1" 2>/dev/null
}

seconds() { # since boot
    read -r uptime _ </proc/uptime
    printf '%s\n' "${uptime%%.*}"
}

# install.sh and manage restart services themselves, and judge them. Their scratch directory is there as long as they
# run; one that was killed has left it behind, but not the lock.
installing() {
    [ ! -e "$record" ] || return 0
    [ -d "$room/work" ] || return 1
    if command -v flock >/dev/null 2>&1; then
        ! flock -n "$room/lock" true
    else
        owner=
        read -r owner _ 2>/dev/null <"$room/lock.d/owner" || return 1
        [ -n "$owner" ] && [ -d "/proc/$owner" ]
    fi
}

remember() { # BAD SINCE
    [ -d "$room" ] || mkdir -m 0700 "$room" || exit 1
    {
        printf 'bad %s %s\n' "$1" "$2"
        recent_restarts
    } >"$state.new" && mv -f "$state.new" "$state"
}

recent_restarts() {
    [ ! -f "$state" ] || while read -r word at _; do
        [ "$word" != restart ] || [ "$at" -le $((now - 3600)) ] || printf 'restart %s\n' "$at"
    done <"$state"
}

# Whether the answer was a bad one. A check that could not be made at all says nothing about the service: systemd's own
# statuses (from 200 on), and those with which the probe says that it was called wrongly or has nothing to ask with.
is_bad() {
    case $(property "$health" Result) in
        timeout | signal | core-dump | oom-kill | watchdog) return 0 ;;
        exit-code) ;;
        *) return 1 ;;
    esac
    status=$(property "$health" ExecMainStatus)
    [ "${status:-255}" -lt 200 ] || return 1
    [ "$asks" = command ] || [ "$status" = 1 ]
}

started() { # microseconds since boot, 0 if it is not up
    if [ "$(property "$service" ActiveState)" = active ]; then
        property "$service" ActiveEnterTimestampMonotonic
    else
        echo 0
    fi
}

main() {
    ! installing || exit 0
    now=$(seconds)
    since=$(started)
    [ "${since:-0}" != 0 ] || exit 0
    bad=0
    [ ! -f "$state" ] || read -r _ bad bad_since <"$state"
    [ "${bad_since:-}" = "$since" ] || bad=0 # counted on an earlier start
    systemctl reset-failed "$health" >/dev/null 2>&1
    if systemctl start "$health" >/dev/null 2>&1; then
        [ "$bad" = 0 ] || {
            say 5 "$service answers again"
            remember 0 "$since"
        }
        exit 0
    fi
    if ! is_bad; then
        say 4 "$service cannot be asked; see: journalctl -u $health"
        exit 1
    fi
    [ "$now" -ge $((since / 1000000 + grace)) ] || exit 0
    ! installing || exit 0
    bad=$((bad + 1))
    remember "$bad" "$since"
    [ "$bad" -ge "$failures" ] || {
        say 4 "$service has given no good answer ($bad of $failures)"
        exit 0
    }
    restart "$@"
}

restart() { # DEPENDANT...
    spent=$(recent_restarts | grep -c .)
    if [ "$spent" -ge "$budget" ]; then
        say 3 "$service has given no good answer $bad times in a row; it was restarted $spent times within an hour and is left alone"
        exit 1
    fi
    [ "$(started)" = "$since" ] || exit 0 # stopped or restarted while it was asked
    say 4 "$service has given no good answer $bad times in a row; it is restarted"
    printf 'restart %s\n' "$now" >>"$state"
    for dependant in "$@"; do
        shift
        set -- "$@" "$dependant.service"
    done
    # Without ignore-requirements what it wants would be started as well, stopped by the admin or not.
    systemctl --no-block --job-mode=ignore-requirements try-restart "$service" "$@" || {
        say 3 "systemctl try-restart $service failed"
        exit 1
    }
}

main "$@"
