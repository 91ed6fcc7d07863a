
# --- user ------------------------------------------------------------------------------------------------

USER_MADE=

has_entry() { # passwd|group NAME
    if [ -z "$IMAGE" ] && have getent; then
        getent "$1" "$2" >/dev/null 2>&1
    else
        [ -f "$IMAGE/etc/$1" ] && grep -q "^$2:" "$IMAGE/etc/$1"
    fi
}

install_user() {
    if ! has_entry passwd "$SERVICE_USER"; then
        # shellcheck disable=SC2034 # undo looks at it
        USER_MADE=yes
        make_user >"$WORK/user" 2>&1 || :
    fi
    has_entry passwd "$SERVICE_USER" || die 12 "cannot make the user $SERVICE_USER: $(head_of "$WORK/user")" \
        "Make it by hand, as a system user without a login, or repair systemd-sysusers or useradd."
    [ "$(id -u "$SERVICE_USER")" != 0 ] || die 10 "the user $SERVICE_USER is root" "Correct /etc/passwd."
}

make_user() {
    if have systemd-sysusers; then
        printf 'u %s - "%s service" %s\n' "$SERVICE_USER" "$NAME" "$STATE" >"$WORK/user.conf"
        unlocked systemd-sysusers "$WORK/user.conf"
    elif have useradd; then
        unlocked useradd --system --user-group --no-create-home --home-dir "$STATE" \
            --shell "$(no_shell)" --comment "$NAME service" "$SERVICE_USER"
    else
        unlocked addgroup -S "$SERVICE_USER"
        unlocked adduser -S -D -H -h "$STATE" -s "$(no_shell)" -g "$NAME service" -G "$SERVICE_USER" "$SERVICE_USER"
    fi
}

# By its path: what "command -v" finds may be a function or a builtin.
no_shell() {
    for no_shell_path in /usr/sbin/nologin /sbin/nologin /usr/bin/false /bin/false; do
        [ ! -x "$no_shell_path" ] || break
    done
    printf '%s\n' "$no_shell_path"
}

# Only for a user that this run has made and that has owned nothing yet: a number given anew would inherit. Or for
# one whose files all go.
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
