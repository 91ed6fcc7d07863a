
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
        elif [ -n "$(release_record "$prune_release")" ] && ! is_used "$prune_release"; then
            say "removing the old release $prune_release"
            (remove_release "$prune_release") || continue
            unclaim "release $prune_release"
        fi
    done
    prune_environments
}

# A process of the environment may be one of any release that has it. If the current one has it, too, it is taken for
# that; who has its release in its command line or environment is told from it.
is_used() { # RELEASE
    ! is_in_use "$1" || return 0
    used_environment=$(environment_of "$1")
    [ -n "$used_environment" ] && [ "$used_environment" != "$(environment_of "$prune_current")" ] &&
        has_users "$ROOT/envs/$used_environment"
}

prune_environments() {
    for prune_environment in $(owned environment | sed 's/ .*//'); do
        ! is_needed "$prune_environment" && ! has_users "$ROOT/envs/$prune_environment" || continue
        [ ! -e "$ROOT/envs/$prune_environment" ] || say "removing the environment $prune_environment, which no release has any more"
        (remove_environment "$prune_environment") || continue
        unclaim "environment $prune_environment"
    done
}

is_needed() { # ID: some release has it
    for needing_release in "$ROOT"/releases/*; do
        [ "$(environment_of "${needing_release##*/}")" != "$1" ] || return 0
    done
    return 1
}
