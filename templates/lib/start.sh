
# --- start -----------------------------------------------------------------------------------------------
# An existing unit keeps the administrator's state: enabled or not, running or not. A new one is enabled and started.
# Units without an [Install] section, such as health checks, are started by other units.

START=yes
ENABLE=yes
WATCHED= # the services that this run has started: the gate looks at these

# Units are enabled and disabled before it, so that they need no reload of their own, which takes a second on a server with
# many units.
load_units() {
    control daemon-reload || die 12 "systemctl daemon-reload failed" "See: journalctl -b -u init.scope"
}

enable_units() {
    [ "$SYSTEMD" = no ] || each_unit_of "$RELEASE" enable_unit
}

# An enabled instance starts with its target, which is not enabled with --no-enable.
may_enable() { # UNIT
    case $ENABLE,$1 in
        yes,* | no,*@*.service) has_install "$1" ;;
        *) return 1 ;;
    esac
}

enable_unit() { # UNIT
    may_enable "$1" && ! is_socket_of_disabled "$1" || return 0
    enable_wanted=$(state_before enabled "$1")
    enable_with=
    case ${enable_wanted:-enabled},$(enablement "$1") in
        enabled,disabled) enable_with=enable ;;
        enabled,enabled) ! install_differs "$1" || enable_with=reenable ;;
    esac
    [ -n "$enable_with" ] || return 0
    control --no-reload "$enable_with" "$1" >/dev/null 2>&1 ||
        die 12 "systemctl $enable_with $1 failed" "Try it by hand to see why."
}

has_install() { # UNIT
    grep -q '^\[Install\]' "$ROOT/releases/$RELEASE/units/$(file_of "$1")"
}

install_section() { # FILE
    [ ! -f "$1" ] || sed -n '/^\[Install\]/,/^\[[^I]/p' "$1"
}

install_differs() { # UNIT: from the release before
    differs_file=$(file_of "$1")
    [ -n "$FROM" ] && [ -f "$ROOT/releases/$FROM/units/$differs_file" ] || return 1
    [ "$(install_section "$ROOT/releases/$FROM/units/$differs_file")" != \
        "$(install_section "$ROOT/releases/$RELEASE/units/$differs_file")" ]
}

start_units() {
    [ "$SYSTEMD" = no ] || [ "$START" = no ] || each_unit_of "$RELEASE" start_unit
}

start_unit() { # UNIT
    has_install "$1" || return 0
    if is_socket "$1"; then
        start_socket "$1"
        return 0
    fi
    if [ "$(property "$1" LoadState)" = masked ]; then
        say "$1 is masked and stays so"
        return 0
    fi
    case $(state_before active "$1") in
        '') is_target "$1" || say "starting $1" ;;
        active | activating | reloading | failed) is_target "$1" || say "restarting $1" ;;
        *)
            is_held "$1" || {
                say "$1 was stopped and stays so"
                return 0
            }
            is_target "$1" || say "starting $1"
            ;;
    esac
    restart_unit "$1"
}

restart_unit() { # UNIT
    if is_target "$1"; then # what it starts is started one by one
        control --job-mode=ignore-dependencies start "$1" || die 12 "systemctl start $1 failed" "Try it by hand to see why."
        return 0
    fi
    WATCHED="$WATCHED $1"
    restart_with=$(restarted_with "$1")
    restart_mode=
    [ -n "$restart_with" ] || restart_mode=$(restart_mode)
    # systemd would leave out the service's own socket as well
    [ -z "$restart_mode" ] || start_own_socket "$1"
    # a start limit that was hit would refuse even a repaired unit
    control reset-failed ${restart_with:+"$restart_with"} "$1" >/dev/null 2>&1 || :
    control ${restart_mode:+"$restart_mode"} restart ${restart_with:+"$restart_with"} "$1" 2>"$WORK/start" ||
        unhealthy "$1" "" "it did not start: $(head_of "$WORK/start")"
}

# A unit that the administrator has stopped must not be started because another unit wants it.
restart_mode() {
    ! sed '/ static /d; / masked/d' "$WORK/states" 2>/dev/null | grep -q ' inactive$' ||
        printf '%s\n' --job-mode=ignore-requirements
}

# In a rollback. A service that was unhealthy before may be so again: this is reported, but does not fail the rollback,
# unless the service was not even stopped. A program that exits at once may do so before or after it counts as started.
restart_unit_again() { # UNIT
    WATCHED="$WATCHED $1"
    (restart_unit "$1") && return 0
    case $(property "$1" ActiveState) in
        failed | inactive | activating) ;;
        *) return 1 ;;
    esac
}

is_target() { # UNIT
    case $1 in
        *.target) ;;
        *) return 1 ;;
    esac
}

stop_and_disable() { # UNIT
    has_install "$1" || return 0
    control stop "$1" >/dev/null 2>&1 || :
    control disable "$1" >/dev/null 2>&1 || :
    control reset-failed "$1" >/dev/null 2>&1 || :
}
