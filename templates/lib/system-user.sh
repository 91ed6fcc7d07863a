
# --- user ------------------------------------------------------------------------------------------------

USERS_MADE= # by this run

has_entry() { # passwd|group NAME
    if [ -z "$IMAGE" ] && have getent; then
        getent "$1" "$2" >/dev/null 2>&1
    else
        [ -f "$IMAGE/etc/$1" ] && grep -q "^$(pattern "$2"):" "$IMAGE/etc/$1"
    fi
}

install_user() {
    user_made=
    [ -z "$IS_ACCOUNT" ] || has_entry passwd "$SERVICE_USER" ||
        die 10 "the user $SERVICE_USER, which runs $NAME, does not exist" "Create it again, with the uid of $STATE."
    if ! has_entry passwd "$SERVICE_USER"; then
        USERS_MADE="$USERS_MADE $SERVICE_USER"
        user_made=yes
        make_user >"$WORK/user" 2>&1 || :
    fi
    has_entry passwd "$SERVICE_USER" || die 12 "cannot create the user $SERVICE_USER: $(head_of "$WORK/user")" \
        "Create it by hand, as a system user without a login, or repair systemd-sysusers or useradd."
    [ -z "$SERVICE_UID" ] || [ -n "$IS_ACCOUNT" ] || [ -z "$user_made" ] ||
        [ "$(id -u "$SERVICE_USER"):$(id -g "$SERVICE_USER")" = "$SERVICE_UID:$SERVICE_UID" ] ||
        die 12 "the user $SERVICE_USER did not get the uid $SERVICE_UID: $(head_of "$WORK/user")" \
            "Create it by hand, with its group; or build with another uid."
    [ "$(id -u "$SERVICE_USER")" != 0 ] || die 10 "the user $SERVICE_USER is root" "Correct /etc/passwd."
}

make_user() {
    if have systemd-sysusers; then
        sysusers_line >"$WORK/user.conf"
        unlocked systemd-sysusers "$WORK/user.conf"
    elif have useradd && [ -n "$SERVICE_UID" ]; then
        unlocked groupadd --system --gid "$SERVICE_UID" "$SERVICE_USER"
        unlocked useradd --system --uid "$SERVICE_UID" --gid "$SERVICE_USER" --no-create-home --home-dir "$STATE" \
            --shell "$(no_shell)" --comment "$NAME service" "$SERVICE_USER"
    elif have useradd; then
        unlocked useradd --system --user-group --no-create-home --home-dir "$STATE" \
            --shell "$(no_shell)" --comment "$NAME service" "$SERVICE_USER"
    else
        unlocked addgroup -S ${SERVICE_UID:+-g "$SERVICE_UID"} "$SERVICE_USER"
        unlocked adduser -S -D ${SERVICE_UID:+-u "$SERVICE_UID"} -H -h "$STATE" -s "$(no_shell)" -g "$NAME service" -G "$SERVICE_USER" "$SERVICE_USER"
    fi
}

sysusers_line() {
    printf 'u %s %s "%s service" %s\n' "$SERVICE_USER" "${SERVICE_UID:--}" "$NAME" "$STATE"
}

# By its path: "command -v" may find a function or a built-in.
no_shell() {
    for no_shell_path in /usr/sbin/nologin /sbin/nologin /usr/bin/false /bin/false; do
        [ ! -x "$no_shell_path" ] || break
    done
    printf '%s\n' "$no_shell_path"
}

# Only for a user that this run has created and that owns nothing yet, since a new user with its uid would inherit its
# files; or for one whose files are all removed.
remove_user() {
    if has_entry passwd "$SERVICE_USER"; then
        if have userdel; then
            unlocked userdel "$SERVICE_USER" >/dev/null 2>&1 || :
        else
            unlocked deluser "$SERVICE_USER" >/dev/null 2>&1 || :
        fi
    fi
    has_entry passwd "$SERVICE_USER" || ! has_entry group "$SERVICE_USER" ||
        unlocked groupdel "$SERVICE_USER" >/dev/null 2>&1 || unlocked delgroup "$SERVICE_USER" >/dev/null 2>&1 || :
}
