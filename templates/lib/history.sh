
# --- history ---------------------------------------------------------------------------------------------
# Lines of "TIME RELEASE ACTION". A release is bad if its last action is "failed".

add_history() { # ACTION RELEASE
    put "$ROOT/history" 0644 history_text "$@"
}

history_text() { # ACTION RELEASE
    history_time=$(date -u +%Y-%m-%dT%H:%M:%SZ) && print_file "$ROOT/history" &&
        printf '%s %s %s\n' "$history_time" "$2" "$1"
}

current_release() {
    [ -L "$ROOT/current" ] || return 0
    current_link=$(readlink "$ROOT/current") || return 0
    case $current_link in
        releases/*/* | releases/) ;;
        releases/*) printf '%s\n' "${current_link#releases/}" ;;
    esac
}

is_complete() { # RELEASE
    [ ! -L "$ROOT/releases/$1" ] && [ -d "$ROOT/releases/$1" ] && [ -f "$ROOT/releases/$1/.complete" ]
}

is_bad() { # RELEASE
    [ -f "$ROOT/history" ] || return 1
    bad_last=
    while read -r _ bad_release bad_action; do
        [ "$bad_release" != "$1" ] || bad_last=$bad_action
    done <"$ROOT/history"
    [ "$bad_last" = failed ]
}

# The releases on disk, the most recently current first; those that never were come last.
by_age() {
    {
        for age_dir in "$ROOT"/releases/*; do
            [ -d "$age_dir" ] && is_complete "${age_dir##*/}" && printf '%s\n' "${age_dir##*/}"
        done
        [ ! -f "$ROOT/history" ] || while read -r _ age_release age_action; do
            case $age_action in
                failed | rotated) ;;
                *) ! is_complete "$age_release" || printf '%s\n' "$age_release" ;;
            esac
        done <"$ROOT/history"
    } | last_first
}

last_first() { # of lines on stdin: each once, where it comes last, in reverse
    last_all=
    while read -r last_line; do
        last_new="$last_line
"
        for last_old in $last_all; do
            [ "$last_old" = "$last_line" ] || last_new="$last_new$last_old
"
        done
        last_all=$last_new
    done
    printf '%s' "$last_all"
}

# The previously current release; never one whose last start failed.
previous_release() {
    previous_to=$(current_release)
    for previous in $(by_age); do
        if [ "$previous" != "$previous_to" ] && was_current "$previous" && ! is_bad "$previous"; then
            printf '%s\n' "$previous"
            return 0
        fi
    done
}

was_current() { # RELEASE
    [ -f "$ROOT/history" ] && grep " $1 " "$ROOT/history" | grep -qv ' failed$'
}
