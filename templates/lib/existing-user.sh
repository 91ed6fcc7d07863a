
# --- an existing user ------------------------------------------------------------------------------------
# --user NAME: services run as a user that the machine has. It is not ours: the record has "account NAME GROUP" in the
# place of "user NAME", and it is neither made nor changed nor removed. The units of a bundle name a user of the bundle's
# own; those of a release are fitted to this one while it is staged.

SERVICE_GROUP=$SERVICE_USER
IS_ACCOUNT= # yes: SERVICE_USER is one

# Once the record can be read. What it says holds.
choose_account() { # NAME: what --user says; empty: nothing
    account_recorded=$(owned account | tail -n 1)
    if [ -n "$account_recorded" ]; then
        IS_ACCOUNT=yes
        SERVICE_USER=${account_recorded% *}
        SERVICE_GROUP=${account_recorded##* }
    elif [ -n "$1" ] && ! owns "user $SERVICE_USER"; then
        IS_ACCOUNT=yes
        SERVICE_USER=$1
        SERVICE_GROUP=$(account_group)
    fi
}

user_line() { # of the record
    if [ -n "$IS_ACCOUNT" ]; then
        printf 'account %s %s\n' "$SERVICE_USER" "$SERVICE_GROUP"
    else
        printf 'user %s\n' "$SERVICE_USER"
    fi
}

owns_user() {
    owns "$(user_line)"
}

entry_of() { # passwd|group NAME or NUMBER: its line
    if [ -z "$IMAGE" ] && have getent; then
        getent "$1" "$2" 2>/dev/null || :
    else
        entry_pattern=$(pattern "$2")
        sed -n -e "/^$entry_pattern:/p" -e "/^[^:]*:[^:]*:$entry_pattern:/p" "$IMAGE/etc/$1" 2>/dev/null | sed -n 1p
    fi
}

entry_field() { # NUMBER LINE
    printf '%s\n' "$2" | cut -d: -f"$1"
}

# Its own, by name if that is a plain word for units.
account_group() {
    account_gid=$(entry_field 4 "$(entry_of passwd "$SERVICE_USER")")
    account_named=$(entry_field 1 "$(entry_of group "${account_gid:-none}")")
    case $account_named in
        '' | [!A-Za-z_]* | *[!A-Za-z0-9_.-]*) printf '%s\n' "$account_gid" ;;
        *) printf '%s\n' "$account_named" ;;
    esac
}
