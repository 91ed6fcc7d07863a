#!/bin/sh
# Restarts a service that has stopped answering, and starts one again that systemd has given up:
#     watch SERVICE BUNDLE probe|command|none FAILURES RESTARTS GRACE yes|no [DEPENDANT...]
# Started as root by a timer that runs and stops with the service, and by systemd when the service has failed for good.
# It has SERVICE-health.service ask, counts the bad answers in a row, and after FAILURES of them restarts the service and
# the DEPENDANTS that go down with it; RESTARTS times an hour at most, and never in the first GRACE seconds of the
# service; with "none" nobody asks. With "yes" a service that has failed is started again, after pauses that grow from 15
# seconds to five minutes. Whoever stops, disables or masks a service knows why: then it stays as it is.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
unset SYSTEMD_PAGER SYSTEMCTL_FORCE_BUS

[ "$#" -ge 7 ] || {
    echo 'usage: watch SERVICE BUNDLE probe|command|none FAILURES RESTARTS GRACE yes|no [DEPENDANT...]' >&2
    exit 2
}
case $1 in # worker@3 is an instance, which worker-health@3 asks
    *@*) name=${1%%@*} at=@${1#*@} ;;
    *) name=$1 at= ;;
esac
service=$1.service
health=$name-health$at.service
record=/var/lib/conda-bundler/$2/transaction
asks=$3
failures=$4
budget=$5
grace=$6
again=$7
case $asks in
    none) timer=$name-watch$at.timer ;;
    *) timer=$name-health$at.timer ;;
esac
room=/run/conda-bundler
state=$room/$1.watch # "bad COUNT SINCE", and "restart SECONDS" for each restart of the last hour
tries=$room/$1.tries # how often it was started again since it was last up
longest=300          # seconds between two of these starts
lasting=60           # seconds after which a service that nobody asks counts as up
shift 7

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
    [ "$(property "$service" ActiveState)" != failed ] || come_back "$@"
    now=$(seconds)
    since=$(started)
    [ "${since:-0}" != 0 ] || exit 0
    if [ "$asks" = none ]; then
        [ "$now" -lt $((since / 1000000 + lasting)) ] || rm -f "$tries"
        exit 0
    fi
    bad=0
    [ ! -f "$state" ] || read -r _ bad bad_since <"$state"
    [ "${bad_since:-}" = "$since" ] || bad=0 # counted on an earlier start
    systemctl reset-failed "$health" >/dev/null 2>&1
    if systemctl start "$health" >/dev/null 2>&1; then
        rm -f "$tries"
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

# A service that has failed. What it needs may be late: an address, a database, a disk.
come_back() { # DEPENDANT...
    may_come_back "$service" "$timer" || exit 0
    count=0
    [ ! -f "$tries" ] || read -r count <"$tries"
    case $count in
        '' | *[!0-9]* | ????*) count=0 ;;
    esac
    ! was_up || count=0
    pause=15 doubled=0
    while [ "$doubled" -lt "$count" ] && [ "$pause" -lt "$longest" ]; do
        pause=$((pause * 2)) doubled=$((doubled + 1))
    done
    [ "$pause" -le "$longest" ] || pause=$longest
    failed=$(property "$service" InactiveEnterTimestampMonotonic)
    left=$((pause - $(seconds) + ${failed:-0} / 1000000))
    [ "$left" -le "$pause" ] || left=$pause
    [ "$left" -le 0 ] || sleep "$left"
    # Much may have happened meanwhile.
    ! installing || exit 0
    [ "$(property "$service" InactiveEnterTimestampMonotonic)" = "$failed" ] || exit 0
    may_come_back "$service" "$timer" || exit 0
    [ -d "$room" ] || mkdir -m 0700 "$room" || exit 1
    printf '%s\n' $((count + 1)) >"$tries.new" && mv -f "$tries.new" "$tries" || exit 1
    say 4 "$service has failed; it is started again after $pause s (try $((count + 1)))"
    for dependant in "$@"; do
        shift
        ! went_down "$dependant" || set -- "$@" "$dependant.service"
    done
    systemctl reset-failed "$service" >/dev/null 2>&1 # it would not be started while its start limit is reached
    systemctl --no-block start "$service" "$@" || {
        say 3 "systemctl start $service failed"
        exit 1
    }
    exit 0
}

# Its timer runs from its start until somebody stops it, whatever becomes of it in between: a program that does not
# end well when it is stopped has failed as well. How it may end for good is its unit's to say.
may_come_back() { # UNIT TIMER
    [ "$again" = yes ] && [ "$(property "$1" ActiveState)" = failed ] && wanted "$1" "$2" || return 1
    case $(property "$1" Restart) in
        always | on-failure) ;;
        *) return 1 ;;
    esac
    [ "$(property "$1" Result)" = exit-code ] || return 0
    case " $(property "$1" RestartPreventExitStatus) " in
        *" $(property "$1" ExecMainStatus) "*) return 1 ;;
    esac
}

wanted() { # UNIT TIMER
    [ "$(property "$2" ActiveState)" = active ] && [ "$(property "$1" LoadState)" = loaded ] || return 1
    case $(property "$1" UnitFileState) in
        disabled | masked*) return 1 ;;
    esac
}

# Whether its last run lasted; of a service that is asked a good answer counts.
was_up() {
    [ "$asks" = none ] || return 1
    up_from=$(property "$service" ActiveEnterTimestampMonotonic)
    up_to=$(property "$service" ActiveExitTimestampMonotonic)
    [ "$((${up_to:-0} - ${up_from:-0}))" -ge "${lasting}000000" ]
}

# It was not started, or was stopped, because what it requires was not there.
went_down() { # SERVICE
    [ "$(property "$1.service" ActiveState)" = inactive ] || return 1
    its_at=
    case $1 in
        *@*) its_at=@${1#*@} ;;
    esac
    for its_timer in "${1%%@*}-health$its_at.timer" "${1%%@*}-watch$its_at.timer"; do
        ! wanted "$1.service" "$its_timer" || return 0
    done
    return 1
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
