
# --- start -----------------------------------------------------------------------------------------------
# A service that was there before is left as the admin had it: enabled or not, running or not. A new one is
# enabled and started.

WATCHED= # the services that this run has started: the gate looks at these

load_units() {
    control daemon-reload || die 12 "systemctl daemon-reload failed" "See: journalctl -b -u init.scope"
}

enable_services() {
    [ "$ENABLE" = no ] || each_service enable_service
}

enable_service() { # UNIT
    [ -z "$(state_before enabled "$1")" ] && [ "$(enablement "$1")" = disabled ] || return 0
    control enable "$1" >/dev/null 2>&1 || die 12 "systemctl enable $1 failed" "Try it by hand to see why."
}

start_services() {
    [ "$START" = no ] || each_service start_service
}

start_service() { # UNIT
    if [ "$(property "$1" LoadState)" = masked ]; then
        say "$1 is masked and stays so"
        return 0
    fi
    case $(state_before active "$1") in
        '') say "starting $1" ;;
        active | activating | reloading | failed) say "restarting $1" ;;
        *)
            say "$1 was stopped and stays so"
            return 0
            ;;
    esac
    WATCHED="$WATCHED $1"
    control reset-failed "$1" >/dev/null 2>&1 || : # a start limit that was hit would refuse even a repaired unit
    control restart "$1" 2>"$WORK/start" || unhealthy "$1" "" "it does not start: $(head_of "$WORK/start")"
}

stop_and_disable() { # UNIT
    control stop "$1" >/dev/null 2>&1 || :
    control disable "$1" >/dev/null 2>&1 || :
    control reset-failed "$1" >/dev/null 2>&1 || :
}
