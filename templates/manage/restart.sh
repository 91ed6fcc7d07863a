
# --- reload, restart -------------------------------------------------------------------------------------
# For all running services, or the given one. Services that the administrator has stopped stay stopped, unless they are
# given: SERVICE, or SERVICE@2 for one of several instances. Then each must become healthy, as after an install.

MEANT=  # the service that was named
CHOSEN= # "UNIT UNIT ": what that is
RELOADED=

choose_services() {
    MEANT=$OPERAND
    refuse_unfinished
    need_release
    each_service_of "$RELEASE" choose_service
    if [ -z "$CHOSEN" ]; then
        [ -n "$OPERAND" ] || die 10 "$NAME has only jobs, which timers start" "See: $ROOT/manage status"
        exec_known=
        each_service_of "$RELEASE" know_service
        die 2 "$NAME has no service '$OPERAND'" "It has:$exec_known"
    fi
}

choose_service() { # UNIT
    case $OPERAND in
        '') ! is_job "$ROOT/releases/$RELEASE/units" "$1" || return 0 ;; # it reads all anew when it is time
        "${1%.service}" | "${1%@*}") ;;
        *) return 0 ;;
    esac
    CHOSEN="$CHOSEN$1 "
}

restart_services() {
    [ -z "$BARE" ] || die 10 "without systemd, manage does not know which services run" \
        "Restart it by what started $PLACE/bin/run-*."
    choose_services
    remember_states >"$WORK/states"
    for chosen in $CHOSEN; do
        ! is_job "$ROOT/releases/$RELEASE/units" "$chosen" ||
            die 2 "${chosen%.service} is a job, which its timer starts" "To run it now: systemctl start $chosen"
        may_restart "$chosen" || continue
        say "restarting $chosen"
        restart_unit "$chosen"
    done
    each_service_of "$RELEASE" watch_service
}

may_restart() { # UNIT
    [ "$(property "$1" LoadState)" != masked ] || {
        say "$1 is masked and stays so"
        return 1
    }
    [ "$MEANT" != "${1%.service}" ] || return 0
    is_running "$1"
}

is_running() { # UNIT
    case $(property "$1" ActiveState) in
        active | activating | reloading | failed) ;;
        *)
            say "$1 was stopped and stays so"
            return 1
            ;;
    esac
}

# Without systemd, it signals a process and records nothing.
reload_command() {
    if [ -n "$BARE" ]; then
        reload_bare
    else
        hold_lock
        reload_services
    fi
}

reload_services() {
    choose_services
    for chosen in $CHOSEN; do
        reload_unit "$chosen"
    done
    [ -n "$RELOADED" ] || nothing_reloaded
    each_service_of "$RELEASE" watch_service
}

nothing_reloaded() {
    die 10 "nothing was reloaded" "See: $ROOT/manage status"
}

cannot_reload() { # UNIT
    cannot_name=${1%.service}
    case $cannot_name in
        "$MEANT" | *@1) ;;
        *@*) return 0 ;; # said of the first
    esac
    [ "$cannot_name" = "$MEANT" ] || cannot_name=${cannot_name%@*}
    warn "$cannot_name cannot reload: bundle.toml defines no reload for it" \
        "Restart it: $ROOT/manage restart $cannot_name"
}

reload_unit() { # UNIT
    if [ "$(property "$1" CanReload)" != yes ]; then
        cannot_reload "$1"
        return 0
    fi
    is_running "$1" || return 0
    [ "$(property "$1" ActiveState)" = active ] || unhealthy "$1" "" "it is not up, and cannot reload"
    say "reloading $1"
    WATCHED="$WATCHED $1"
    RELOADED=yes
    control reload "$1" 2>"$WORK/start" || unhealthy "$1" "" "it did not reload: $(head_of "$WORK/start")"
}

# --- without systemd

# Called before this process becomes the service: records it for reload.
note_process() {
    [ -d "$RUN_DIR" ] || mkdir -m 0700 "$RUN_DIR" 2>/dev/null || [ -d "$RUN_DIR" ] || return 0
    printf '%s %s\n' "$$" "$(started_at "$$")" 2>/dev/null >"$RUN_DIR/$OPERAND.pid" || :
}

reload_bare() {
    [ -n "${MANAGE_RUN-}" ] || exec env -i MANAGE_RUN=yes /bin/sh "$0" reload ${OPERAND:+"$OPERAND"}
    choose_services
    for chosen in $CHOSEN; do
        reload_process "${chosen%.service}"
    done
    [ -n "$RELOADED" ] || nothing_reloaded
}

reload_process() { # SERVICE
    OPERAND=$1 # whose unit is read
    load_launcher
    if [ -z "$RELOAD_LINE" ]; then
        cannot_reload "$1.service"
        return 0
    fi
    reload_pid=
    [ ! -f "$RUN_DIR/$1.pid" ] || read -r reload_pid reload_since <"$RUN_DIR/$1.pid" || :
    if [ -z "$reload_pid" ] || [ "$(started_at "$reload_pid")" != "$reload_since" ]; then
        say "$1 is not running, or was not started by $PLACE/bin/run-$1"
        return 0
    fi
    say "reloading $1"
    RELOADED=yes
    (
        trap - EXIT
        prepare_service
        run_variable MAINPID "$reload_pid"
        reload_service
    ) || die 12 "$1 did not reload: the command ended with status $?" "$RELOAD_LINE"
}
