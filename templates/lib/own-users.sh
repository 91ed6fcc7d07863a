
# --- users of single services ----------------------------------------------------------------------------
# A service may have its own user, NAME-SERVICE, with its own directories (services.x.own_user). Our record has
# "user NAME-SERVICE" for each that ever existed: it is kept, with its files, until the bundle is purged.
#
# OWN_USERS has NAME:UID for each: in install.sh those of the bundle, in manage those of the record.

each_own_user() { # FUNCTION: calls it with USER UID
    for each_user in $OWN_USERS; do
        "$1" "${each_user%%:*}" "${each_user#*:}"
    done
}

recorded_users() {
    owned user | sed -n "/^$(pattern "$NAME")-[a-z0-9-]*\$/p"
}

# Calls a function for the bundle's user with a different user.
as_user() { # USER UID FUNCTION [ARGUMENT...]
    as_kept_user=$SERVICE_USER as_kept_uid=$SERVICE_UID as_kept_state=$STATE as_kept_account=$IS_ACCOUNT
    SERVICE_USER=$1 SERVICE_UID=$2 STATE=/var/lib/$1 IS_ACCOUNT=''
    shift 2
    "$@"
    SERVICE_USER=$as_kept_user SERVICE_UID=$as_kept_uid STATE=$as_kept_state IS_ACCOUNT=$as_kept_account
}

# Calls a function for the bundle's user and for each service's own user.
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
