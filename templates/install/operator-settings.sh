
# --- config ----------------------------------------------------------------------------------------------
# The operator's file is made once and never touched again. The defaults stay in the release; they stand here
# commented out, to be seen.

CONFIG_MADE=

install_config() {
    make_dir "$ETC"
    [ ! -f "$ETC/$NAME.env" ] || return 0
    if [ -n "$SETTINGS" ]; then
        put "$ETC/$NAME.env" 0640 cat "$SETTINGS"
    else
        put "$ETC/$NAME.env" 0640 config_text
    fi
    CONFIG_MADE=yes
}

config_text() {
    cat <<TEXT && sed -e '/^#/d' -e '/^$/d' -e 's/^/#/' "$ROOT/releases/$RELEASE/config/$NAME.env"
# Settings of $NAME. Every default is below, commented out: take the # away and change the value.
# Then: systemctl restart$(each_service list_word)
# An upgrade leaves this file alone. Secrets are in secrets.env.

TEXT
}

list_word() { # UNIT
    ! is_job "$ROOT/releases/$RELEASE/units" "$1" || return 0 # it reads its settings when it is time
    case $1 in
        *@1.service) printf ' %s.target' "${1%%@*}" ;;
        *@*) ;;
        *) printf ' %s' "$1" ;;
    esac
}

undo_config() {
    [ -z "$CONFIG_MADE" ] || rm -f "$ETC/$NAME.env"
}
