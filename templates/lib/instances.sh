
# --- instances -------------------------------------------------------------------------------------------
# A service with instances is a template, worker@.service, with instances worker@1.service and so on, and a target,
# worker.target, that starts and stops the enabled ones. Their number is in the templates. The record has
# "instance UNIT" for each. We start and stop the target without its dependencies, since it would start an instance that
# the administrator has stopped, and restart one that we have just restarted.

file_of() { # UNIT: the name of its file
    case $1 in
        *@*.*) printf '%s@.%s\n' "${1%%@*}" "${1##*.}" ;;
        *) printf '%s\n' "$1" ;;
    esac
}

number_of() { # UNIT: that of an instance; else nothing
    case $1 in
        *@*.*)
            number_rest=${1#*@}
            printf '%s\n' "${number_rest%%.*}"
            ;;
    esac
}

INSTANCE_MARK=$(printf '\001')

# The text of a unit's file on stdin as systemd reads it for this unit.
as_instance() { # UNIT
    case $1 in
        *@*.*) sed -e "s/%%/$INSTANCE_MARK/g" -e "s/%i/$(number_of "$1")/g" -e "s/$INSTANCE_MARK/%%/g" ;;
        *) cat ;;
    esac
}

each_made_of() { # UNITS-DIR FILE FUNCTION: calls it with the name of each unit that runs of a file
    case $2 in
        *@.*) ;;
        *)
            "$3" "$2"
            return 0
            ;;
    esac
    made_count=$(sed -n 's/^X-Instances=//p' "$1/$2")
    made_numbers=
    while [ "${made_count:-0}" -ge 1 ]; do
        made_numbers="$made_count $made_numbers"
        made_count=$((made_count - 1))
    done
    for made_number in $made_numbers; do
        "$3" "${2%%@*}@$made_number.${2##*.}"
    done
}

print_instance() { # UNIT
    case $1 in
        *@*) printf '%s\n' "$1" ;;
    esac
}

claim_instances() { # RELEASE
    claim_units=$(each_unit_of "$1" print_instance)
    set --
    for claim_unit in $claim_units; do
        set -- "$@" "instance $claim_unit"
    done
    [ $# -eq 0 ] || claim "$@"
}

drop_instances() { # RELEASE: those that it does not have
    drop_kept=$(each_unit_of "$1" print_instance)
    for drop_instance in $(owned instance); do
        case "
$drop_kept
" in
            *"
$drop_instance
"*) ;;
            *) drop_unit "$UNIT_DIR/$drop_instance" ;;
        esac
    done
}

remove_instance() { # UNIT
    say "removing $1"
    let_go "$1" "$UNIT_DIR/$(file_of "$1")"
    unclaim "instance $1"
}

# The state, "ENABLED ACTIVE", of a new instance or target: that of the existing instances, or of the former single
# service; nothing if there was none.
kin_before() { # UNIT LINE: what is known of the unit itself
    kin_stem=${1%.*}
    kin_stem=$(pattern "${kin_stem%%@*}")
    kin_kind=${1##*.}
    [ "$kin_kind" != target ] || kin_kind=service
    kin_enabled=
    kin_active=
    while read -r kin_word kin_state <&6; do
        case $kin_word in
            enabled*) kin_enabled=enabled ;;
            disabled | masked*) kin_enabled=${kin_enabled:-disabled} ;;
            *) continue ;;
        esac
        case $kin_state in
            active | activating | reloading | failed) kin_active=active ;;
            *) kin_active=${kin_active:-inactive} ;;
        esac
    done 6<<LINES
$(sed -n -e "s/^unit $kin_stem\\.$kin_kind //p" -e "s/^unit $kin_stem@[0-9]*\\.$kin_kind //p" "$WORK/states")
LINES
    [ -n "$kin_enabled" ] || {
        printf '%s\n' "$2"
        return 0
    }
    case $2 in
        '' | enabled\ *) ;;
        *) kin_enabled=${2% *} ;;
    esac
    case ${2#* } in
        '' | active | activating | reloading | failed) ;;
        *) kin_active=${2#* } ;;
    esac
    printf '%s %s\n' "$kin_enabled" "$kin_active"
}

has_kin() { # UNIT: whether it is an instance or a target, or was there as one
    case $1 in
        *@*.* | *.target) return 0 ;;
    esac
    grep -q "^unit $(pattern "${1%.*}")@[0-9]" "$WORK/states"
}

