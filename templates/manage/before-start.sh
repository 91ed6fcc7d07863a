
# --- before a service starts, without systemd --------------------------------------------------------------
# before_start, the unit's ExecStartPre=: one after the other, as the service's user, each with systemd's timeout. The
# service starts only if all of them succeed.

BEFORE_PID=

catch_stop() {
    trap 'stop_before 129' HUP
    trap 'stop_before 130' INT
    trap 'stop_before 143' TERM
}

cannot_run_before_start() { # LINE
    warn "without systemd this is not run before $OPERAND: $1" "Run it by hand, or put it into before_start."
}

run_before_start() { # SECONDS MAY-FAIL LINE WORD...: no seconds are no limit
    before_limit=$1
    before_may_fail=$2
    before_text=$3
    shift 3
    before_status=0
    before_since=$(seconds)
    (
        limit_first "$before_limit"
        become "$@"
    ) 6<&- &
    BEFORE_PID=$!
    wait "$BEFORE_PID" || before_status=$?
    BEFORE_PID=
    [ "$before_status" != 0 ] && [ -z "$before_may_fail" ] || return 0
    if [ -n "$before_limit" ] && [ $(($(seconds) - before_since)) -ge "$before_limit" ]; then
        complain error "$OPERAND is not started: $before_text did not finish within $before_limit s"
    else
        complain error "$OPERAND is not started: $before_text failed (status $before_status)"
    fi
    exit "$before_status"
}

stop_before() { # STATUS
    trap '' HUP INT TERM
    [ -z "$BEFORE_PID" ] || kill -TERM "$BEFORE_PID" 2>/dev/null || :
    [ -z "$BEFORE_PID" ] || wait "$BEFORE_PID" 2>/dev/null || :
    exit "$1"
}

limit_first() { # SECONDS, or nothing
    [ -n "$1" ] && have timeout || return 0
    if timeout -k 1 5 true 2>/dev/null; then
        BECOME_FIRST="timeout -k 10 $1"
    else # an older busybox's
        BECOME_FIRST="timeout -s KILL $1"
    fi
}
