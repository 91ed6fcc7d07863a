
# --- an existing user ------------------------------------------------------------------------------------
# --user NAME: services run as an existing user. It is not ours: the record has "account NAME GROUP" instead of
# "user NAME", and the user is never created, changed or removed. A bundle's units name the bundle's own user; they are
# adapted when the release is staged.

SERVICE_GROUP=$SERVICE_USER
IS_ACCOUNT= # yes: SERVICE_USER is one

# Called when the record can be read, which takes precedence.
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

# Its primary group, by name if units can contain that name.
account_group() {
    account_gid=$(entry_field 4 "$(entry_of passwd "$SERVICE_USER")")
    account_named=$(entry_field 1 "$(entry_of group "${account_gid:-none}")")
    case $account_named in
        '' | [!A-Za-z_]* | *[!A-Za-z0-9_.-]*) printf '%s\n' "$account_gid" ;;
        *) printf '%s\n' "$account_named" ;;
    esac
}
