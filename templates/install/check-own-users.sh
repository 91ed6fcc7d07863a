
# --- preflight: users of single services -----------------------------------------------------------------

is_own_user() { # USER
    case " $(each_own_user print_user | tr '\n' ' ') " in
        *" $1 "*) ;;
        *) return 1 ;;
    esac
}

claim_own_user() { # USER
    claim "user $1"
}

have_all_users() {
    lacking_user=
    for_users note_lacking_user
    [ -z "$lacking_user" ]
}

note_lacking_user() {
    has_entry passwd "$SERVICE_USER" || lacking_user=$SERVICE_USER
}

# Nothing of the state that it has shared goes with it: which of it is its own nobody knows but people.
tell_own_state() { # USER
    told_service=${1#"$NAME"-}
    for told_unit in "$ROOT/current/units/$told_service.service" "$ROOT/current/units/$told_service@.service"; do
        [ ! -f "$told_unit" ] || grep -qx "User=$1" "$told_unit" ||
            warn "$told_service now runs as $1, with its state in /var/lib/$1; its earlier files stay in $STATE" \
                "Stop it, move its files to /var/lib/$1, and start it: systemd makes $1 their owner."
    done
}

check_own_user() {
    check_uid
    ! owns_user || return 0
    for own_base in passwd group; do
        ! has_entry "$own_base" "$SERVICE_USER" ||
            problem "there is a $own_base entry '$SERVICE_USER' that $(whose "user $SERVICE_USER"), and a service is to run as $SERVICE_USER" \
                "Remove that entry, or give the bundle or the service another name."
    done
}

check_own_users() {
    for_users_function=check_own_user
    each_own_user for_own_user
}
