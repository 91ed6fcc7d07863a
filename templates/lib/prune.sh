
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

is_in_use() { # RELEASE: a program, a library, an open file or a working directory of a process is there
    use_path=$(seen "$ROOT/releases/$1")
    grep -qF "$use_path/" /proc/[0-9]*/maps 2>/dev/null && return 0
    use_path=$(pattern "$use_path")
    links_in /proc/[0-9]*/exe /proc/[0-9]*/cwd /proc/[0-9]*/fd | grep -q -e " -> $use_path\$" -e " -> $use_path/"
}
