
# --- one file --------------------------------------------------------------------------------------------
# A .run has unpacked all but the payload, which is read from where it lies in that file.

RUN=        # the file
RUN_OFFSET= # of the payload in it, bytes
RUN_LENGTH=

take_run() { # FILE OFFSET LENGTH
    RUN=$1
    RUN_OFFSET=$2
    RUN_LENGTH=$3
    catch_signals # what was unpacked is ours to remove
}

with_payload() { # COMMAND...: which reads it
    if [ -n "$RUN" ]; then
        tail -c "+$((RUN_OFFSET + 1))" <"$RUN" 3>&- | head -c "$RUN_LENGTH" 3>&- | "$@"
    else
        "$@" <"$BUNDLE/$PAYLOAD"
    fi
}

drop_run() {
    [ -n "$RUN" ] || return 0
    case ${BUNDLE%/*} in
        ?*/?*".$$") rm -rf "${BUNDLE%/*}" ;; # made by this very process
    esac
}
