
# --- health gate -----------------------------------------------------------------------------------------

HEALTH_TIMEOUT=
QUIET_SECONDS=3 # how long a service without a health check must stay up

take_health_timeout() { # SECONDS, of the command line
    case $1 in
        '' | *[!0-9]* | ??????*) misuse "--health-timeout needs whole seconds, not '$1'" ;;
    esac
    HEALTH_TIMEOUT=$1
}

seconds() { # since boot: the clock of the day may be set meanwhile
    read -r uptime_now _ </proc/uptime
    printf '%s\n' "${uptime_now%%.*}"
}

nap() {
    sleep 0.5 2>/dev/null || sleep 1
}

limited() { # SECONDS COMMAND...
    if have timeout; then
        timeout "$@"
    else
        shift
        "$@"
    fi
}

watch_service() { # UNIT
    case "$WATCHED " in
        *" $1 "*) ;;
        *) return 0 ;;
    esac
    gate_patience=${HEALTH_TIMEOUT:-$service_timeout}
    [ -n "$service_health" ] || gate_patience=${HEALTH_TIMEOUT:-30}
    gate_deadline=$(($(seconds) + service_start + gate_patience))
    look_at "$1"
    gate_restarts=$look_restarts
    gate_pid=
    gate_since=
    gate_good=0
    gate_more=
    gate_why="it is not up yet"
    forget_workers "$1"
    while ! is_well "$1" "$service_health"; do
        case $look_state in
            failed* | inactive* | *,auto-restart*) unhealthy "$1" "$service_health" "it exited" ;; # or waits to be started anew
        esac
        [ "$look_restarts" = "$gate_restarts" ] || unhealthy "$1" "$service_health" "it exited and was restarted"
        if [ "$(seconds)" -ge "$gate_deadline" ]; then
            ! workers_loop ||
                unhealthy "$1" "$service_health" "its workers keep exiting (all of them were replaced $gate_replaced times)"
            [ -z "$gate_all_but_workers" ] || break
            # one good answer is worth one more question
            case $gate_good$gate_more in
                1) gate_more=yes ;;
                *) unhealthy "$1" "$service_health" "$gate_why" ;;
            esac
        fi
        nap
    done
    look_at "$1"
    [ "$look_restarts" = "$gate_restarts" ] || unhealthy "$1" "$service_health" "it exited and was restarted"
    if [ -n "$service_health" ] || tells_itself "$1"; then
        say "$1 is healthy"
    else
        say "$1 is up; it has no health check"
    fi
}

# Whether systemd calls a service active only when the service has told so itself.
tells_itself() { # UNIT
    [ "$(property "$1" Type)" = notify ]
}

# Asks systemd once for all that a look wants to know: sets look_state ("active,running"), look_pid, look_restarts and
# look_group.
look_at() { # UNIT
    look_state=
    look_pid=
    look_restarts=
    look_group=
    while IFS='=' read -r look_key look_value <&6; do
        case $look_key in
            ActiveState) look_state=$look_value$look_state ;;
            SubState) look_state=$look_state,$look_value ;;
            MainPID) look_pid=$look_value ;;
            NRestarts) look_restarts=$look_value ;;
            ControlGroup) look_group=$look_value ;;
        esac
    done 6<<FOUND
$(control show -p ActiveState -p SubState -p MainPID -p NRestarts -p ControlGroup "$1" 2>/dev/null || :)
FOUND
}

# One look. Two good answers with a pause between them make a service well, or some seconds without a change where
# there is no health check; and workers that last, if it has some.
is_well() { # UNIT HEALTH-UNIT
    gate_all_but_workers=
    look_at "$1"
    case $look_state in
        active,*) ;;
        *) return 1 ;;
    esac
    if [ "$look_pid" != "$gate_pid" ]; then
        gate_pid=$look_pid
        gate_since=$(seconds)
        gate_good=0
        forget_workers "$1"
    fi
    if ! runs_our_code "$gate_pid" "$look_group"; then
        gate_why="its process is not from this release"
        return 1
    fi
    look_at_workers
    if [ -n "$2" ] && ! owns_listener "$1" "$2" "$service_url"; then
        gate_good=0
        return 1
    fi
    if [ -n "$2" ] && [ "$gate_good" -lt 2 ] && ! answers_well "$2"; then
        look_at "$1" # meanwhile it may have ended
        return 1
    fi
    [ -n "$2" ] || [ "$(seconds)" -ge $((gate_since + QUIET_SECONDS)) ] || return 1
    gate_all_but_workers=yes
    workers_last
}

# The program is a file of the release; or, when it is a script, its interpreter runs in the unit's own control
# group. Beyond that the port that the health check asks must be one of ours: a stranger answers as well.
runs_our_code() { # PID GROUP: sets gate_exe
    [ "${1:-0}" != 0 ] || return 1
    gate_exe=$(readlink "/proc/$1/exe" 2>/dev/null) || :
    case $gate_exe in
        "$ROOT/releases/$RELEASE"/*) return 0 ;;
    esac
    in_group "$2" "/proc/$1/cgroup" >/dev/null
}

answers_well() { # HEALTH-UNIT
    control reset-failed "$1" >/dev/null 2>&1 || : # asking often is no fault
    probe_seconds=$((gate_deadline - $(seconds)))
    [ "$probe_seconds" -ge 1 ] || probe_seconds=1
    if limited "$probe_seconds" systemctl start "$1" 9>&- >/dev/null 2>&1; then
        gate_good=$((gate_good + 1))
    else
        gate_good=0
        gate_why="its health check failed"
    fi
    [ "$gate_good" -ge 2 ]
}

unhealthy() { # UNIT HEALTH-UNIT WHY
    UNHEALTHY=$1
    gate_found=$3
    gate_remedy=
    each_service_of "$RELEASE" find_stranger
    complain error "$1 is not healthy: $gate_found" ${gate_remedy:+"$gate_remedy"}
    journal_tail "$1"
    [ -z "$2" ] || journal_tail "$2"
    tell_failed_socket "$1"
    ! can_go_back || exit 14
    exit 15
}

# Whoever has the port while our service is down keeps it from starting, which shows as a program that exits.
find_stranger() { # UNIT
    [ "$1" = "$UNHEALTHY" ] && [ -n "$service_health" ] || return 0
    ! owns_listener "$1" "$service_health" "$service_url" || return 0
    case $gate_why in
        "somebody else "*) ;;
        *) return 0 ;;
    esac
    gate_remedy="Stop that program, then run the same command again. \
A 'socket' in bundle.toml keeps the port while the service restarts."
    case $gate_found in
        "somebody else "*) gate_found=$gate_why ;;
        *) gate_found="${gate_found%.}; $gate_why" ;;
    esac
}

journal_tail() { # UNIT
    printf '  the last lines of %s:\n' "$1" >&2 || :
    unlocked journalctl -u "$1" -n 30 --no-pager -o cat 2>/dev/null | masked | harmless tabs |
        sed 's/^/    /' >&2 || :
}
