
# --- releases --------------------------------------------------------------------------------------------
# The releases on disk, the most recently current first; as text or as one JSON document. Releases share identical files by
# hard links: shared files remain on disk when a release is removed.

RELEASES_JSON=

releases() {
    releases_current=$(current_release)
    releases_previous=$(previous_release)
    for releases_one in $(by_age); do
        measure_release "$releases_one"
        releases_state=$(state_of "$releases_one")
        releases_bad=
        ! is_bad "$releases_one" || releases_bad=bad
        if [ -n "$JSON" ]; then
            add_release_json "$releases_one"
        else
            print_release "$releases_one"
        fi
    done
    releases_total=$(kib_of "$ROOT/releases")
    if [ -n "$JSON" ]; then
        print_releases_json
    else
        printf 'total\t%s\n' "$(in_mib "$releases_total")"
    fi
}

state_of() { # RELEASE: current, previous or kept
    case $1 in
        "$releases_current") echo current ;;
        "$releases_previous") echo previous ;;
        *) echo kept ;;
    esac
}

measure_release() { # RELEASE: sets releases_own and releases_shared, in KiB, and releases_since
    releases_own=$(kib_of "$ROOT/releases/$1")
    releases_shared=$(shared_kib_of "$ROOT/releases/$1")
    releases_own=$((releases_own - releases_shared))
    releases_since=$(date -u -r "$ROOT/releases/$1/.complete" +%Y-%m-%dT%H:%M:%SZ) ||
        die 12 "cannot read $ROOT/releases/$1"
}

kib_of() { # DIR: on the disk; a file with several names in it counts once
    kib_line=$(du -sk "$1") || die 12 "cannot read $1"
    printf '%s\n' "${kib_line%%[!0-9]*}"
}

shared_kib_of() { # DIR: of what has names elsewhere as well
    shared_lines=$(find "$1" ! -type d -links +1 -exec du -sk {} +) || die 12 "cannot read $1"
    printf '%s\n' "$shared_lines" | sed 's/[^0-9].*//' | sum_up
}

sum_up() { # of the numbers on stdin, one a line
    sum=0
    while read -r sum_number; do
        sum=$((sum + ${sum_number:-0}))
    done
    printf '%s\n' "$sum"
}

in_mib() { # KIB
    printf '%s MiB\n' $((($1 + 1023) / 1024))
}

print_release() { # RELEASE
    [ "$releases_state" != kept ] || releases_state=
    [ -z "$releases_bad" ] || releases_state="${releases_state:+$releases_state, }bad"
    printf '%s\t%s, shared %s\t%s\t%s\n' "$1" "$(in_mib "$releases_own")" "$(in_mib "$releases_shared")" \
        "$releases_since" "$releases_state"
}

add_release_json() { # RELEASE
    RELEASES_JSON="$RELEASES_JSON${RELEASES_JSON:+,}
    {\"release\": \"$1\", \"version\": \"${1%-*}\", \"build_id\": \"${1##*-}\", \"state\": \"$releases_state\", \"bad\": $(true_or_false "$releases_bad"), \"installed\": \"$releases_since\", \"own_kib\": $releases_own, \"shared_kib\": $releases_shared}"
}

print_releases_json() {
    cat <<TEXT
{
  "name": "$NAME",
  "root": "$ROOT",
  "total_kib": $releases_total,
  "releases": [$RELEASES_JSON
  ]
}
TEXT
}
