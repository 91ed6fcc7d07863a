
# --- an existing user ------------------------------------------------------------------------------------
# --user NAME: services run as a user that the machine has. It is not ours: the record has "account NAME GROUP" in the
# place of "user NAME", and it is neither made nor changed nor removed. The units of a bundle name a user of the bundle's
# own; those of a release are fitted to this one while it is staged.

ACCOUNT= # what --user says
SERVICE_GROUP=$SERVICE_USER
IS_ACCOUNT= # yes: SERVICE_USER is one

take_user() { # NAME
    case $1 in
        '' | [!A-Za-z_]* | *[!A-Za-z0-9_.-]* | ????????????????????????????????*)
            misuse "--user needs the name of a user, of at most 31 letters, digits, _ . and -, not '$1'"
            ;;
    esac
    ACCOUNT=$1
}

# Once the record can be read. What it says holds.
choose_account() {
    account_recorded=$(owned account | tail -n 1)
    if [ -n "$account_recorded" ]; then
        IS_ACCOUNT=yes
        SERVICE_USER=${account_recorded% *}
        SERVICE_GROUP=${account_recorded##* }
    elif [ -n "$ACCOUNT" ] && ! owns "user $SERVICE_USER"; then
        IS_ACCOUNT=yes
        SERVICE_USER=$ACCOUNT
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

fit_units_to_account() { # DIR
    [ -n "$IS_ACCOUNT" ] || return 0
    for account_unit in "$1"/*.service "$1"/*.socket; do
        grep -qs -e "^User=$NAME\$" -e "^ExecStartPost=+/bin/chown -h $NAME:" "$account_unit" || continue
        put "$account_unit" 0644 sed \
            -e "s/^User=$NAME\$/User=$SERVICE_USER/" -e "s/^Group=$NAME\$/Group=$SERVICE_GROUP/" \
            -e "s|^\\(ExecStartPost=+/bin/chown -h \\)$NAME:$NAME |\\1$SERVICE_USER:$SERVICE_GROUP |" \
            -e "s|^\\(ExecStartPost=+/bin/chown -h \\)$NAME:|\\1$SERVICE_USER:|" \
            -e 's/^\[Unit\]$/&\nAfter=nss-user-lookup.target/' "$account_unit"
    done
}

# --- preflight

check_account() {
    if [ -n "$ACCOUNT" ] && [ "$ACCOUNT" != "$SERVICE_USER" ]; then
        problem "services of $NAME run as $SERVICE_USER on this machine, and their state is that user's" \
            "Leave --user out; or begin anew: manage uninstall --purge."
        return 0
    fi
    [ -n "$IS_ACCOUNT" ] || return 0
    account_entry=$(entry_of passwd "$SERVICE_USER")
    account_uid=$(entry_field 3 "$account_entry")
    account_gid=$(entry_field 4 "$account_entry")
    case $account_uid in
        '')
            problem "there is no user '$SERVICE_USER'${IMAGE:+ in the image}" \
                "Make it first; or leave --user out, and a user of the bundle's own is made."
            return 0
            ;;
        0)
            problem "the user '$SERVICE_USER' is root" "No service runs as root: name another user."
            return 0
            ;;
        65534 | 65535)
            problem "the user '$SERVICE_USER' is nobody's: what has no owner is shown as its" "Name another user."
            return 0
            ;;
    esac
    [ "$account_gid" != 0 ] ||
        problem "the group of the user '$SERVICE_USER' is root's" "Give it another one: usermod -g GROUP $SERVICE_USER"
    check_account_of_others
    [ -z "$SERVICE_UID" ] || [ "$SERVICE_UID" = "$account_uid" ] ||
        warn "the bundle is made for a user with the uid $SERVICE_UID; '$SERVICE_USER' has $account_uid"
}

# Each could read what the other one keeps.
check_account_of_others() {
    for other in $(other_records); do
        other_users=$(sed -n -e 's/^user //p' -e 's/^account \([^ ]*\) .*/\1/p' "$other/owned")
        for other_user in $other_users; do
            [ "$(entry_field 3 "$(entry_of passwd "$other_user")")" = "$account_uid" ] || continue
            problem "the user '$SERVICE_USER' (uid $account_uid) is that of the bundle '${other##*/}'" \
                "Each bundle needs a user of its own: its state and its secrets are that user's."
            return 0
        done
    done
}

# --- uid, the bundle's or a service's

check_uid() {
    [ -n "$SERVICE_UID" ] && [ -z "$IS_ACCOUNT" ] || return 0
    uid_now=$(entry_field 3 "$(entry_of passwd "$SERVICE_USER")")
    if [ -n "$uid_now" ]; then
        [ "$uid_now" = "$SERVICE_UID" ] || ! owns_user ||
            problem "the user $SERVICE_USER and its state have the uid $uid_now here, and this bundle is made for $SERVICE_UID" \
                "Build with uid = $uid_now. Or stop its services, run usermod -u $SERVICE_UID $SERVICE_USER and \
groupmod -g $SERVICE_UID $SERVICE_USER, and install again: systemd gives it its directories anew."
        return 0
    fi
    for uid_base in passwd group; do
        uid_holder=$(entry_field 1 "$(entry_of "$uid_base" "$SERVICE_UID")")
        case $uid_base,$uid_holder in
            *, | group,"$SERVICE_USER") ;;
            *) problem "the number $SERVICE_UID, which is to be that of $SERVICE_USER, is taken in /etc/$uid_base by '$uid_holder'" \
                "Give that entry another number, or build with another uid." ;;
        esac
    done
    for uid_ranges in "$IMAGE/etc/subuid" "$IMAGE/etc/subgid"; do
        ! in_ranges "$SERVICE_UID" "$uid_ranges" ||
            problem "the number $SERVICE_UID, which is to be that of $SERVICE_USER, is in a range of $uid_ranges, which containers use" \
                "Move that range, or build with another uid."
    done
}
