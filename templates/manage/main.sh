
# --- main ------------------------------------------------------------------------------------------------

main() {
    parse_arguments "$@"
    [ "$(id -u)" = 0 ] || die 10 "this must run as root" "Run it with sudo, or as root."
    case $COMMAND in
        uninstall | exec) ;;
        *) exec </dev/null ;;
    esac
    find_root
    case $COMMAND in
        status) status ;;
        run) run_service ;;
        exec)
            shift "$(($# - COMMAND_WORDS))"
            exec_command "$@"
            ;;
        releases) releases ;;
        reload)
            if [ -n "$BARE" ]; then reload_bare; else change; fi
            ;;
        *) change ;;
    esac
    end_well
}

# What is asked for alone needs no lock and leaves nothing; what changes something holds the installer's lock.
change() {
    catch_signals : : # nothing is staged, and nothing was unpacked
    take_lock
    case $COMMAND in
        rollback) rollback ;;
        verify) verify ;;
        rotate-secret) rotate_secret ;;
        reload) reload_services ;;
        restart) restart_services ;;
        uninstall) uninstall ;;
        first-boot) first_boot ;;
        recover)
            AT_BOOT=yes
            recover
            ;;
    esac
}

find_root() {
    set_places
    choose_account ""
    PLACE=$(owned root | tail -n 1)
    [ -n "$PLACE" ] || [ "$COMMAND" != uninstall ] || PLACE=$(left_root)
    if [ -z "$PLACE" ] && { [ "$COMMAND" != uninstall ] || [ ! -d "$RECORD" ]; }; then
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
        die 10 "there is no whole current release in $ROOT" "Install the bundle again."
    fi
}
