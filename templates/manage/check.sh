
# --- verify ----------------------------------------------------------------------------------------------

verify() {
    RELEASE=${OPERAND:-$(current_release)}
    if [ -z "$RELEASE" ] || ! is_complete "$RELEASE"; then
        die 10 "there is no whole release $RELEASE in $ROOT" "See: manage releases; or install the bundle again."
    fi
    list_is_ours "$RELEASE" || die 11 "the list of the files of $RELEASE was changed or is missing" \
        "Nothing can be compared with it: install the bundle again."
    if is_intact "$RELEASE"; then
        say "every file is what was installed"
        return 0
    fi
    list_tree "$ROOT/releases/$RELEASE" tree_lines
    tell_differences
    die 11 "the files of $RELEASE are not what was installed" "Install the bundle again: that repairs it."
}

# A line for each path: extra, missing, mode (or owner), changed. Its two lists have lines that the other one has not.
tell_differences() {
    then=$ROOT/releases/$RELEASE/list
    sort "$WORK/list" "$then" "$then" | uniq -u | kinds_and_paths >"$WORK/only-now"
    sort "$then" "$WORK/list" "$WORK/list" | uniq -u | kinds_and_paths >"$WORK/only-then"
    in_first_alone "$WORK/only-now" "$WORK/only-then" | sed -n 's|^[lm] \./|extra |p'
    in_first_alone "$WORK/only-then" "$WORK/only-now" | sed -n 's|^[lm] \./|missing |p'
    grep -xFf "$WORK/only-then" "$WORK/only-now" | sed 's|^m \./|mode |; s|^[dl] \./|changed |'
}

kinds_and_paths() { # of lines of a list: "d" of a digest, "l" of a link, "m" of a mode
    sed -e 's/^\\\{0,1\}[0-9a-f]\{64\}  /d /' -e t -e 's/^l[^ ]* [^ ]* [^ ]* \(.*\) -> .*$/l \1/' -e t \
        -e 's/^[^ ]* [^ ]* [^ ]* /m /' | sort -u
}

in_first_alone() { # FILE OTHER
    sort "$1" "$2" "$2" | uniq -u
}
