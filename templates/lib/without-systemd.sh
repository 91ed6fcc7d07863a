
# --- without systemd -------------------------------------------------------------------------------------
# --no-systemd: another init system starts bin/run-SERVICE, which sets the unit's environment and becomes its user.

BARE=

set_bare() {
    ! owns "bare $NAME" || BARE=yes
    [ -n "$BARE" ] || return 0
    SYSTEMD=no
    START=no
    ENABLE=no
}

install_launchers() {
    [ -n "$BARE" ] || return 0
    claim "bare $NAME"
    make_dir "$ROOT/bin"
    bare_units=$(each_unit_of "$RELEASE" print_word)
    for launcher in "$ROOT"/bin/run-*; do
        case " $bare_units" in
            *" ${launcher##*/run-}.service "*) ;;
            *) rm -f "$launcher" ;;
        esac
    done
    each_service_of "$RELEASE" install_launcher
    for bare_hook in $HOOKS; do
        ! has_hook "$RELEASE" "$bare_hook" || install_launcher "$(hook_unit "$bare_hook")"
    done
}

install_launcher() { # UNIT
    put "$ROOT/bin/run-${1%.service}" 0755 launcher_text "$1"
}

launcher_text() { # UNIT
    printf '#!/bin/sh\n# Runs %s of the current release, as its unit would. Made by conda-bundler.\n' "$1"
    printf 'exec /bin/sh %s/manage run %s\n' "$PLACE" "${1%.service}"
}

