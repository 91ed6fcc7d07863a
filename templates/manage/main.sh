
# --- main ------------------------------------------------------------------------------------------------

main() {
    parse_arguments "$@"
    [ "$(id -u)" = 0 ] || die 10 "this must run as root" "Run it with sudo, or as root."
    needs input || exec </dev/null
    find_root
    ! needs lock || hold_lock
    shift "$(($# - COMMAND_WORDS))"
    "$COMMAND_FUNCTION" "$@"
    end_well
}

# Commands that only read take no lock and leave nothing behind.
hold_lock() {
    catch_signals : : # nothing is staged, and nothing was unpacked
    take_lock
}

find_root() {
    set_places
    choose_account ""
    PLACE=$(owned root | tail -n 1)
    [ -n "$PLACE" ] || needs installed || PLACE=$(left_root)
    if [ -z "$PLACE" ] && { needs installed || [ ! -d "$RECORD" ]; }; then
        die 10 "$NAME is not installed on this machine" "Install it: sh install.sh, in its bundle."
    fi
    ROOT=$IMAGE$PLACE
    [ ! -L "$ROOT" ] || die 10 "$ROOT is a symbolic link" "Put the real directory back there."
    set_bare
    choose_unit_dir
}

need_release() {
    RELEASE=$(current_release)
    if [ -z "$RELEASE" ] || ! is_complete "$RELEASE"; then
        die 10 "there is no complete current release in $ROOT" "Install the bundle again."
    fi
}
