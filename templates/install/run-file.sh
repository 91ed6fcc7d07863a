
# --- one file --------------------------------------------------------------------------------------------
# A .run has unpacked all but the payloads, which are read from where they lie in that file.

RUN=       # the file
RUN_PLACES= # "NAME OFFSET LENGTH" of each payload in it, bytes

take_run() { # FILE [NAME OFFSET LENGTH]...
    RUN=$1
    shift
    RUN_PLACES="$* "
    catch_signals undo drop_run # what was unpacked is ours to remove
}

with_payload() { # COMMAND...: which reads it
    with_payload_part 0 all "$@"
}

with_payload_part() { # OFFSET LENGTH COMMAND...: which reads so many bytes of it, or "all"
    part_file=$BUNDLE/$PAYLOAD part_offset=$1 part_length=$2
    shift 2
    if [ -n "$RUN" ]; then
        run_place=${RUN_PLACES#*"$PAYLOAD "}
        part_file=$RUN part_offset=$((${run_place%% *} + part_offset))
        run_place=${run_place#* }
        [ "$part_length" != all ] || part_length=${run_place%% *}
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
