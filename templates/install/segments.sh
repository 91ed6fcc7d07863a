
# --- segments --------------------------------------------------------------------------------------------
# The payload consists of segments, about one for each package. What one of them unpacks to may be in a release that is
# there: its list share/contents says so, by the same ID. Such a segment is not unpacked, but linked (reuse.sh). The
# bundle's list of them has "OFFSET LENGTH SHA256 ID FILES KIB NAME" a line, in the payload's order: where in the payload
# it lies, its digest, and what it unpacks to. One with the ID - is always unpacked; one without an offset is not in the
# payload, which is an update's.

SEGMENTS=    # the lines, once they are verified
REUSED=      # "ID RELEASE FIRST LAST FIRST-LINK LAST-LINK" a line: those that are not unpacked, and whose files are linked
REUSED_KIB=0 # what these take
REUSED_FILES=0
SPARED_KIB=0 # of that, what is not needed again on the disk: copies are
SPARED_FILES=0

verify_segments() { # SHA256
    SEGMENTS=$(read_file segments)
    set -- "$1" "$(printf '%s\n' "$SEGMENTS" | sha256sum)"
    [ "${2%% *}" = "$1" ] || damaged segments
}

each_segment() { # FUNCTION: it finds the fields in these variables
    [ -n "$SEGMENTS" ] || return 0
    while read -r segment_offset segment_length segment_sha256 segment_id segment_files segment_kib segment_name <&8; do
        "$1"
    done 8<<LINES
$SEGMENTS
LINES
}

is_reused() { # ID
    case $REUSED in
        *"$1 "*) [ "$1" != - ] ;;
        *) return 1 ;;
    esac
}

# How much is needed is known only when it is known what need not be unpacked.
may_reuse() {
    [ -z "$UPDATE" ] || return 0
    for may_release in "$ROOT"/releases/*/share/contents; do
        [ ! -f "$may_release" ] || return 0
    done
    return 1
}

# What is not needed twice, and whether all of an update's content is here.
fit_segments() {
    may_reuse || return 0
    REUSED_KIB=0
    REUSED_FILES=0
    segment_missing=
    each_segment count_segment
    [ -z "$segment_missing" ] || die 10 \
        "this update needs $segment_missing as it is in $UPDATE, and no release in $ROOT has it intact" "Install the full bundle."
    if ! makes_copies; then
        SPARED_KIB=$REUSED_KIB
        SPARED_FILES=$REUSED_FILES
    fi
    check_space
    [ "$PROBLEMS" -eq 0 ] || exit 10
}

count_segment() {
    if is_reused "$segment_id"; then
        REUSED_FILES=$((REUSED_FILES + segment_files))
        REUSED_KIB=$((REUSED_KIB + segment_kib))
    elif [ "$segment_offset" = - ]; then
        segment_missing=${segment_missing:-$segment_name}
    fi
}

# --- what of the payload is read: for each part a file of "SHA256 OFFSET LENGTH" lines

list_ranges() { # [SHA256 OFFSET LENGTH]... of the parts
    while [ $# -gt 0 ]; do
        range_begin=$2
        range_end=$3
        [ "$3" = all ] || range_end=$(($2 + $3))
        range_lines=
        range_skips=
        each_segment add_range
        [ -n "$range_skips" ] || range_lines="$1 $2 $3"
        printf %s "${range_lines:+$range_lines$ENV_NEWLINE}" >"$WORK/ranges.$2"
        shift 3
    done
}

add_range() {
    [ "$segment_offset" != - ] && [ "$segment_offset" -ge "$range_begin" ] || return 0
    [ "$range_end" = all ] || [ "$segment_offset" -lt "$range_end" ] || return 0
    if is_reused "$segment_id"; then
        range_skips=yes
    elif [ "$segment_length" -gt 0 ]; then # an empty one lies where the next one does
        range_lines="$range_lines${range_lines:+$ENV_NEWLINE}$segment_sha256 $segment_offset $segment_length"
    fi
}

each_range() { # PART-OFFSET FUNCTION: calls it with SHA256 OFFSET LENGTH
    while read -r range_sha256 range_offset range_length <&7; do
        "$2" "$range_sha256" "$range_offset" "$range_length"
    done 7<"$WORK/ranges.$1"
}
