
# --- --user, and [bundle] uid -----------------------------------------------------------------------------

ACCOUNT= # what --user says

take_user() { # NAME
    case $1 in
        '' | [!A-Za-z_]* | *[!A-Za-z0-9_.-]* | ????????????????????????????????*)
            misuse "--user needs the name of a user, of at most 31 letters, digits, _ . and -, not '$1'"
            ;;
    esac
    ACCOUNT=$1
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

check_account() {
    if [ -n "$ACCOUNT" ] && [ "$ACCOUNT" != "$SERVICE_USER" ]; then
        problem "services of $NAME already run as $SERVICE_USER on this machine, the owner of their state" \
            "Omit --user; or start over: manage uninstall --purge."
        return 0
    fi
    [ -n "$IS_ACCOUNT" ] || return 0
    account_entry=$(entry_of passwd "$SERVICE_USER")
    account_uid=$(entry_field 3 "$account_entry")
    account_gid=$(entry_field 4 "$account_entry")
    case $account_uid in
        '')
            problem "there is no user '$SERVICE_USER'${IMAGE:+ in the image}" \
                "Create it first; or omit --user, and a user is created for the bundle."
            return 0
            ;;
        0)
            problem "the user '$SERVICE_USER' is root" "Services must not run as root: choose another user."
            return 0
            ;;
        65534 | 65535)
            problem "the user '$SERVICE_USER' is the system's nobody, shown as the owner of files that have none" "Choose another user."
            return 0
            ;;
    esac
    [ "$account_gid" != 0 ] ||
        problem "the primary group of the user '$SERVICE_USER' is root" "Give it another one: usermod -g GROUP $SERVICE_USER"
    check_account_of_others
    [ -z "$SERVICE_UID" ] || [ "$SERVICE_UID" = "$account_uid" ] ||
        warn "the bundle was built for a user with the uid $SERVICE_UID; '$SERVICE_USER' has $account_uid"
}

# Each could read what the other one keeps.
check_account_of_others() {
    for other in $(other_records); do
        other_users=$(owned_in "$other" user && owned_in "$other" account | sed 's/ .*//')
        for other_user in $other_users; do
            [ "$(entry_field 3 "$(entry_of passwd "$other_user")")" = "$account_uid" ] || continue
            problem "the user '$SERVICE_USER' (uid $account_uid) already belongs to the bundle '${other##*/}'" \
                "Each bundle needs a user of its own, which owns its state and secrets."
            return 0
        done
    done
}

check_uid() {
    [ -n "$SERVICE_UID" ] && [ -z "$IS_ACCOUNT" ] || return 0
    uid_now=$(entry_field 3 "$(entry_of passwd "$SERVICE_USER")")
    if [ -n "$uid_now" ]; then
        [ "$uid_now" = "$SERVICE_UID" ] || ! owns_user ||
            problem "the user $SERVICE_USER and its state have the uid $uid_now on this machine, but this bundle was built for $SERVICE_UID" \
                "Build with uid = $uid_now. Or stop its services, run usermod -u $SERVICE_UID $SERVICE_USER and \
groupmod -g $SERVICE_UID $SERVICE_USER, and install again: systemd then changes the owner of its directories."
        return 0
    fi
    for uid_base in passwd group; do
        uid_holder=$(entry_field 1 "$(entry_of "$uid_base" "$SERVICE_UID")")
        case $uid_base,$uid_holder in
            *, | group,"$SERVICE_USER") ;;
            *) problem "the number $SERVICE_UID for $SERVICE_USER is already used in /etc/$uid_base by '$uid_holder'" \
                "Give that entry another number, or build with another uid." ;;
        esac
    done
    for uid_ranges in "$IMAGE/etc/subuid" "$IMAGE/etc/subgid"; do
        ! in_ranges "$SERVICE_UID" "$uid_ranges" ||
            problem "the number $SERVICE_UID for $SERVICE_USER is in a range of $uid_ranges, which containers use" \
                "Move that range, or build with another uid."
    done
}
