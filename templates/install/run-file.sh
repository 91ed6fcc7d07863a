
# --- one file --------------------------------------------------------------------------------------------
# A .run has unpacked all but the payload, which is read from where it lies in that file.

RUN=        # the file
RUN_OFFSET= # of the payload in it, bytes
RUN_LENGTH=

take_run() { # FILE OFFSET LENGTH
    RUN=$1
    RUN_OFFSET=$2
    RUN_LENGTH=$3
    catch_signals undo drop_run # what was unpacked is ours to remove
}

with_payload() { # COMMAND...: which reads it
    with_payload_part 0 all "$@"
}

with_payload_part() { # OFFSET LENGTH COMMAND...: which reads so many bytes of it, or "all"
    part_file=$BUNDLE/$PAYLOAD part_offset=$1 part_length=$2
    shift 2
    if [ -n "$RUN" ]; then
        part_file=$RUN part_offset=$((RUN_OFFSET + part_offset))
        [ "$part_length" != all ] || part_length=$RUN_LENGTH
    fi
    if [ "$part_length" = all ]; then
        "$@" <"$part_file"
        return
    fi
    {
        dd bs=1 skip="$part_offset" count=0 2>/dev/null 3>&- # moves on in the file, for all that have it open from here
        head -c "$part_length" 3>&- | "$@"
    } <"$part_file"
}

drop_run() {
    [ -n "$RUN" ] || return 0
    case ${BUNDLE%/*} in
        ?*/?*".$$".????????) rm -rf "${BUNDLE%/*}" ;; # made by this very process
    esac
}
