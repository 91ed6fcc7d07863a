
# --- units -----------------------------------------------------------------------------------------------

SYSTEMD=yes # no: none is running here, or is to be used
UNIT_DIR=
UNIT_PATH=

control() { # ARGUMENT...: systemctl, which may start helpers that outlive us
    [ "$SYSTEMD" = yes ] || return 0
    # at boot, to wait for a unit that waits for us would be for ever
    unlocked systemctl --no-pager --no-ask-password ${AT_BOOT:+--no-block} "$@"
}

property() { # UNIT PROPERTY
    control show -p "$2" --value "$1" 2>/dev/null || :
}

enablement() { # UNIT
    enabled_word=$(control is-enabled "$1" 2>/dev/null) || :
    printf '%s\n' "${enabled_word:-unknown}"
}

# Where ours already are; or /usr/local, which leaves /etc for the administrator's mask and edit; or /etc.
choose_unit_dir() {
    [ -z "$BARE" ] || return 0
    UNIT_PATH=$(control show -p UnitPath --value 2>/dev/null) || :
    [ -n "$UNIT_PATH" ] || UNIT_PATH="/etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system \
/usr/lib/systemd/system /lib/systemd/system"
    UNIT_DIR=$(owned_paths unit | sed -n '1s|/[^/]*$||p')
    [ -z "$UNIT_DIR" ] || return 0
    UNIT_DIR=$IMAGE/etc/systemd/system
    case " $UNIT_PATH " in
        *" /usr/local/lib/systemd/system "*)
            ! can_hold_units /usr/local/lib/systemd/system || UNIT_DIR=$IMAGE/usr/local/lib/systemd/system
            ;;
    esac
}

can_hold_units() { # DIR, as the machine sees it
    [ -z "$IMAGE" ] || stays_inside "$1" || return 1
    [ -w "$(nearest "$IMAGE$1")" ]
}

each_unit_of() { # RELEASE FUNCTION: calls it with the name of each unit
    for release_unit in "$ROOT/releases/$1"/units/*.*; do
        ! is_unit "$release_unit" || each_made_of "${release_unit%/*}" "${release_unit##*/}" "$2"
    done
}

# Installs the units of a release. Units that it does not have are stopped and disabled before their files are removed, so
# that no dangling links remain.
install_units() { # RELEASE
    [ -n "$UNIT_DIR" ] || return 0
    drop_instances "$1"
    for old_unit in $(owned_paths unit); do
        case $old_unit in
            *-recover.service) continue ;; # it guards this very change
        esac
        [ -f "$ROOT/releases/$1/units/${old_unit##*/}" ] || drop_unit "$old_unit"
    done
    make_dir "$UNIT_DIR"
    claim_instances "$1"
    for new_unit in "$ROOT/releases/$1"/units/*.*; do
        is_unit "$new_unit" || continue
        claim "unit $UNIT_DIR/${new_unit##*/}"
        cmp -s "$new_unit" "$UNIT_DIR/${new_unit##*/}" || put "$UNIT_DIR/${new_unit##*/}" 0644 <"$new_unit"
    done
}

# The administrator's state is kept, in case a later release has the unit again. In an image, there is none yet.
drop_unit() { # PATH
    dropped_enabled=$(state_before enabled "${1##*/}")
    if [ -n "$dropped_enabled" ] && [ -z "$IMAGE" ]; then
        dropped_active=$(state_before active "${1##*/}")
        unclaim "was ${1##*/}"
        claim "was ${1##*/} $dropped_enabled $dropped_active"
    fi
    case ${1##*/} in
        *@?*.*) remove_instance "${1##*/}" ;;
        *) remove_unit "$1" ;;
    esac
}

remove_unit() { # PATH
    if [ -f "$1" ]; then
        case $1 in
            *@.*) ;; # what ran of it is gone
            *) say "removing ${1##*/}" ;;
        esac
    fi
    let_go "${1##*/}" "$1"
    rm -f "$1" || die 12 "cannot remove $1"
    unclaim "unit $1"
}

let_go() { # UNIT FILE: stopped, disabled and linked to from nowhere
    if [ -f "$2" ]; then
        is_left_by_service "$2" || stop_for_good "$1" "$(stopped_before "$2")"
        control --no-reload disable "$1" >/dev/null 2>&1 || :
        control reset-failed "$1" >/dev/null 2>&1 || :
    fi
    # systemctl does not disable what is masked
    for wants_link in "$IMAGE/etc/systemd/system"/*.wants/"$1" "$IMAGE/etc/systemd/system"/*.requires/"$1" \
        "$IMAGE/etc/systemd/system"/*.upholds/"$1" "$IMAGE/etc/systemd/system"/*".${1##*.}"; do
        [ ! -L "$wants_link" ] || [ "$(readlink "$wants_link")" != "$(seen "$2")" ] || rm -f "$wants_link" ||
            die 12 "cannot remove $wants_link"
    done
}

stop_for_good() { # UNIT UNIT-TO-STOP-WITH-IT
    [ "$SYSTEMD" = yes ] || return 0
    case $1 in
        *@.*) return 0 ;; # a template does not run
    esac
    control stop ${2:+"$2"} "$1" >/dev/null 2>&1 || :
    case $(property "$1" ActiveState) in
        '') die 12 "cannot determine whether $1 still runs" "Try it by hand to see why: systemctl status $1" ;;
        active | activating | reloading) die 12 "systemctl stop $1 failed" "Try it by hand to see why." ;;
    esac
}

