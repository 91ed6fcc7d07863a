
# --- users of single services ----------------------------------------------------------------------------
# A service may have a user of its own, NAME-SERVICE, with directories of its own (services.x.own_user). Our record has
# "user NAME-SERVICE" for each that there ever was: it stays, with what is its own, until the bundle is purged.
#
# each_own_user calls a function with USER UID for each: in install.sh those of the bundle, in manage those of the record.

recorded_users() {
    owned user | sed -n "/^$(pattern "$NAME")-[a-z0-9-]*\$/p"
}

# What is done for the bundle's user is done for another one in the same way.
as_user() { # USER UID FUNCTION [ARGUMENT...]
    as_kept_user=$SERVICE_USER as_kept_uid=$SERVICE_UID as_kept_state=$STATE as_kept_account=$IS_ACCOUNT
    SERVICE_USER=$1 SERVICE_UID=$2 STATE=/var/lib/$1 IS_ACCOUNT=''
    shift 2
    "$@"
    SERVICE_USER=$as_kept_user SERVICE_UID=$as_kept_uid STATE=$as_kept_state IS_ACCOUNT=$as_kept_account
}

# That function, for the bundle's user and each of the services'.
for_users() { # FUNCTION
    for_users_function=$1
    "$1"
    each_own_user for_own_user
}

for_own_user() { # USER UID
    as_user "$1" "$2" "$for_users_function"
}

our_users() { # a name a line
    printf '%s\n' "$SERVICE_USER"
    {
        recorded_users
        each_own_user print_user
    } | sort -u
}

print_user() { # USER
    printf '%s\n' "$1"
}

is_own_user() { # USER
    case " $(each_own_user print_user | tr '\n' ' ') " in
        *" $1 "*) ;;
        *) return 1 ;;
    esac
}

# Whether it belongs to a user that services of ours run as.
is_of_ours() { # PATH
    for ours_user in $(our_users); do
        [ -z "$(find "$1" -prune -user "$ours_user" 2>/dev/null)" ] || return 0
    done
    return 1
}

add_own_directories() { # USER
    DIRECTORIES="$DIRECTORIES $IMAGE/var/lib/$1 $IMAGE/var/cache/$1 $IMAGE/var/log/$1"
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
            warn "$told_service runs as $1 from now on, with its state in /var/lib/$1; what it has written to $STATE stays there" \
                "Stop it, move what is its own to /var/lib/$1, and start it: systemd gives it to $1."
    done
}

# --- preflight

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
