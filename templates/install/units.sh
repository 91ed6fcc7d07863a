
# --- units -----------------------------------------------------------------------------------------------

UNIT_DIR=
UNIT_PATH=

control() { # ARGUMENT...: systemctl, which may start helpers that outlive us
    unlocked systemctl --no-pager --no-ask-password "$@"
}

property() { # UNIT PROPERTY
    control show -p "$2" --value "$1" 2>/dev/null || :
}

enablement() { # UNIT
    enabled_word=$(control is-enabled "$1" 2>/dev/null) || :
    printf '%s\n' "${enabled_word:-unknown}"
}

# Where ours are already; else /usr/local, which leaves /etc to the admin's mask and edit; else /etc.
choose_unit_dir() {
    UNIT_PATH=$(control show -p UnitPath --value 2>/dev/null) || :
    [ -n "$UNIT_PATH" ] || UNIT_PATH="/etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system \
/usr/lib/systemd/system /lib/systemd/system"
    UNIT_DIR=$(owned unit | sed -n '1s|/[^/]*$||p')
    [ -z "$UNIT_DIR" ] || return 0
    UNIT_DIR=/etc/systemd/system
    case " $UNIT_PATH " in
        *" /usr/local/lib/systemd/system "*)
            [ ! -w "$(nearest /usr/local/lib/systemd/system)" ] || UNIT_DIR=/usr/local/lib/systemd/system
            ;;
    esac
}

# Makes the installed units those of a release: units that it does not have are stopped and disabled before
# their files go, for a link into nothing would stay.
install_units() { # RELEASE
    for old_unit in $(owned unit); do
        [ -f "$ROOT/releases/$1/units/${old_unit##*/}" ] || remove_unit "$old_unit"
    done
    make_dir "$UNIT_DIR"
    for new_unit in "$ROOT/releases/$1"/units/*.*; do
        is_unit "$new_unit" || continue
        claim "unit $UNIT_DIR/${new_unit##*/}"
        cmp -s "$new_unit" "$UNIT_DIR/${new_unit##*/}" || put "$UNIT_DIR/${new_unit##*/}" 0644 <"$new_unit"
    done
}

is_unit() { # FILE
    case $1 in
        *.service | *.timer | *.socket | *.path | *.target | *.slice | *.mount) [ -f "$1" ] ;;
        *) return 1 ;;
    esac
}

remove_unit() { # PATH
    if [ -f "$1" ]; then
        control stop "${1##*/}" >/dev/null 2>&1 || :
        control disable "${1##*/}" >/dev/null 2>&1 || :
        rm -f "$1" || die 12 "cannot remove $1"
    fi
    unclaim "unit $1"
}

units_are_installed() {
    units_differ=
    each_unit compare_unit
    [ -z "$units_differ" ]
}

compare_unit() { # FILE
    cmp -s "$ROOT/releases/$RELEASE/units/$1" "$UNIT_DIR/$1" || units_differ=yes
}
