
# --- unpacked --------------------------------------------------------------------------------------------
# Is what tar has made what the build has packed, and `conda-bundler verify` has seen? The digest of the payload says
# what tar was given, not how it has read it. So what is there is listed and compared by the list's digest: each path with
# its kind and mode and what a link points to, the sizes of all files, the digest of the list of their digests.

check_unpacked() {
    unpacked_lines >"$WORK/lines" || die 12 "cannot read $STAGE"
    sort "$WORK/lines" >"$WORK/list" || die 12 "cannot sort the list of the files of $STAGE"
    unpacked_digest=$(digest_of "$WORK/list") || die 12 "cannot read $WORK/list"
    [ "$unpacked_digest" != "$UNPACKED_SHA256" ] || return 0
    unpacked_odd=$(first_odd_file)
    die 11 "the files unpacked from $PAYLOAD are not those that were built${unpacked_odd:+: $unpacked_odd}" \
        "Use GNU tar or busybox tar; if you did, the bundle was not built correctly."
}

# The owner is looked at elsewhere, and the group is the directory's above where that says so (setgid).
unpacked_lines() {
    find_unusual "$STAGE" && tree_modes "$STAGE" >"$WORK/modes" &&
        sed 's/^\([^ ]*\) [^ ]* [^ ]* /\1 /' "$WORK/modes" && file_sizes || return 1
    [ ! -f "$STAGE/share/digests" ] || digest_of "$STAGE/share/digests"
}

file_sizes() {
    if find "$STAGE" -prune -printf '' 2>/dev/null; then
        find "$STAGE" -type f -printf '%s\n'
    else
        find "$STAGE" -type f -exec stat -c %s {} +
    fi
}

first_odd_file() { # that is there and not in the payload's list of digests, or the other way round
    {
        echo ./share/digests
        sed 's/^.\{66\}//' "$STAGE/share/digests"
        sed -n 's/^-[^ ]* [^ ]* [^ ]* //p' "$WORK/modes"
    } 2>/dev/null | sort | uniq -u | sed -n 1p | tr -cd '\040-\176'
}
