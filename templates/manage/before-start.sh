
# --- before a service starts, without systemd --------------------------------------------------------------
# before_start, the unit's ExecStartPre=: one after the other, as the service's user, each for as long as systemd would
# let it run. The service starts only if all of them end well.

BEFORE_PID=

run_before() {
    before_lines=$(directives ExecStartPre)
    [ -n "$before_lines" ] || return 0
    before_limit=$(start_seconds)
    trap 'stop_before 129' HUP
    trap 'stop_before 130' INT
    trap 'stop_before 143' TERM
    while IFS= read -r before_line <&6; do
        [ -z "$before_line" ] || run_one_before "$before_line"
    done 6<<LINES
$before_lines
LINES
    trap - HUP INT TERM
}

run_one_before() { # LINE: of ExecStartPre=
    before_text=$1
    before_may_fail=
    while :; do
        case $before_text in
            -*) before_may_fail=yes ;;
            [+!:@\|]* | *' ; '*)
                warn "without systemd this is not run before $OPERAND: $1" "Run it by hand, or put it into before_start."
                return 0
                ;;
            *) break ;;
        esac
        before_text=${before_text#?}
    done
    before_status=0
    before_since=$(seconds)
    (
        limit_first "$before_limit"
        command_words "$before_text"
        become
    ) 6<&- &
    BEFORE_PID=$!
    wait "$BEFORE_PID" || before_status=$?
    BEFORE_PID=
    [ "$before_status" != 0 ] && [ -z "$before_may_fail" ] || return 0
    if [ -n "$before_limit" ] && [ $(($(seconds) - before_since)) -ge "$before_limit" ]; then
        complain error "$OPERAND is not started: $before_text did not end within $before_limit s"
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

# TimeoutStartSec=, as systemd.time(7) has spans; systemd's own 90 seconds if it is not said, and none for a job.
start_seconds() {
    span_text=$(directive TimeoutStartSec)
    case $span_text in
        '')
            [ "$(directive Type)" = oneshot ] || echo 90
            return 0
            ;;
        infinity | 0) return 0 ;;
    esac
    span_sum=0
    for span_word in $(printf '%s\n' "$span_text" | sed 's/\([0-9]\) *\([a-z]\{1,\}\)/\1\2 /g'); do
        span_number=${span_word%%[!0-9]*}
        case ${span_word#"$span_number"} in
            '' | s | sec | second | seconds) span_unit=1 ;;
            m | min | minute | minutes) span_unit=60 ;;
            h | hr | hour | hours) span_unit=3600 ;;
            d | day | days) span_unit=86400 ;;
            *) span_number= ;;
        esac
        case $span_number in
            '' | ???????*)
                echo 90
                return 0
                ;;
        esac
        span_sum=$((span_sum + span_number * span_unit))
    done
    printf '%s\n' "$span_sum"
}
