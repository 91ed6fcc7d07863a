
# --- the list of a release that was just unpacked ---------------------------------------------------------

# The same for a release that was unpacked just now, whose digest was the right one: share/digests says what the files
# were, all of one age, and only what was made or changed on this machine, and is younger, has to be read. A clock that
# is behind that age cannot tell. Nor does a list count that has not each of the files once.
fresh_tree_lines() { # DIR
    : >"$WORK/now"
    if [ ! -s "$1/share/digests" ] || [ -z "$(find "$WORK/now" -newer "$1/share/digests")" ]; then
        tree_lines "$1"
        return
    fi
    find_unusual "$1" && tree_digests "$1" -newer "$1/share/digests" >"$WORK/young" &&
        (cd "$1" && sha256sum ./share/digests) >>"$WORK/young" &&
        sort -k 2 "$1/share/digests" "$WORK/young" >"$WORK/both" &&
        # "digest  path": the paths that are in one of the two alone, of which the old ones count
        uniq -u -s 65 "$WORK/both" >"$WORK/alone" &&
        sort -u "$WORK/young" "$WORK/alone" >"$WORK/digests" &&
        tree_modes "$1" >"$WORK/modes" || return 1
    : >"$WORK/both" # which is in memory
    : >"$WORK/alone"
    if [ -n "$(unpaired_files)" ]; then
        tree_lines "$1"
    else
        cat "$WORK/modes" "$WORK/digests"
    fi
}

unpaired_files() { # the first that has not one line of each kind
    {
        sed 's/^.\{66\}//' "$WORK/digests"
        sed -n 's/^-[^ ]* [^ ]* [^ ]* //p' "$WORK/modes"
    } | sort | uniq -u | sed -n 1p
}
