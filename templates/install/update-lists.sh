
# --- an update's lists -----------------------------------------------------------------------------------
# An update brings of share/digests and share/links only the lines of the segments that are in it, as share/digests.part
# and share/links.part. With those of the releases whose files were linked they are the lists that the whole bundle has.

compose_lists() {
    [ -n "$UPDATE" ] || return 0
    compose_left=' '
    each_segment note_left_out
    : >"$WORK/digests"
    : >"$WORK/links"
    compose_file=0
    compose_link=0
    while read -r compose_id compose_files compose_links _ <&8; do
        compose_run
    done 8<"$STAGE/share/contents"
    put_list digests
    put_list links
}

note_left_out() {
    [ "$segment_offset" != - ] || compose_left="$compose_left$segment_id "
}

compose_run() {
    case $compose_left in
        *" $compose_id "*)
            # shellcheck disable=SC2046 # words
            set -- $(printf '%s' "$REUSED" | sed -n "s/^$compose_id //p")
            add_list_lines "$ROOT/releases/$1/share/digests" "$2" "$3" digests
            add_list_lines "$ROOT/releases/$1/share/links" "$4" "$5" links
            ;;
        *)
            add_list_lines "$STAGE/share/digests.part" $((compose_file + 1)) $((compose_file + compose_files)) digests
            add_list_lines "$STAGE/share/links.part" $((compose_link + 1)) $((compose_link + compose_links)) links
            compose_file=$((compose_file + compose_files))
            compose_link=$((compose_link + compose_links))
            ;;
    esac
}

add_list_lines() { # FILE FIRST LAST LIST
    [ "$2" -gt "$3" ] || sed -n "$2,${3}p;${3}q" "$1" >>"$WORK/$4" || die 12 "cannot read $1"
}

# With the age of what was unpacked, which is how fresh-tree.sh knows what was made on this machine.
put_list() { # LIST
    put "$STAGE/share/$1" 0644 <"$WORK/$1"
    if ! touch -r "$STAGE/share/contents" "$STAGE/share/$1" || ! rm -f "$STAGE/share/$1.part" "$WORK/$1"; then
        die 12 "cannot write $STAGE/share/$1"
    fi
}
