
# --- prune -----------------------------------------------------------------------------------------------
# The running release and the one before it stay, the newest ones, and what a living process uses.

KEEP=3

prune() {
    prune_current=$(current_release)
    prune_previous=$(previous_release)
    prune_kept=0
    for prune_release in $(by_age); do
        case $prune_release in
            "$prune_current" | "$prune_previous")
                prune_kept=$((prune_kept + 1))
                continue
                ;;
        esac
        if [ "$prune_kept" -lt "$KEEP" ]; then
            prune_kept=$((prune_kept + 1))
        elif [ -n "$(release_record "$prune_release")" ] && ! is_in_use "$prune_release"; then
            say "removing the old release $prune_release"
            (remove_release "$prune_release") || continue
            unclaim "release $prune_release"
        fi
    done
}

