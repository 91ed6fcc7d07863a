
# --- write ------------------------------------------------------------------------------------------------

flush() { # PATH: this file or directory to the disk
    sync "$1" 2>/dev/null || sync
}

# Writes the output of COMMAND to FILE atomically, with its mode, and flushes it to disk. It uses a temporary name first, and
# follows no links. It does not read from a pipeline, whose left side could fail unnoticed; a COMMAND that is a function
# joins its steps with &&, since set -e is off in it. Fails without a message.
write_whole() { # FILE MODE COMMAND...
    write_file=$1
    write_mode=$2
    write_new=${1%/*}/.${1##*/}.new
    shift 2
    if rm -f "$write_new" &&
        (
            set -C # never into a file that is there already
            umask 077
            "$@" >"$write_new"
        ) && chmod "$write_mode" "$write_new" && flush "$write_new" && mv -fT "$write_new" "$write_file"; then
        flush "${write_file%/*}"
        return
    fi
    rm -f "$write_new" # what is left there would keep its directory from being removed again
    return 1
}
