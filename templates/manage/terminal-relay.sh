
# --- relay -----------------------------------------------------------------------------------------------
# Root's terminal is not for a command that runs as a service's user: whoever has it open can write to it and change its
# settings whichever way it was given, read what root types next, and go on with that when the command has ended. With a
# terminal on all sides the command has one of its own: systemd-run makes it, or without systemd script(1). Else there is
# a pipe in the place of each that is one.

RELAY_DIR= # of the pipes
RELAY_IN=  # the process that reads from the terminal
RELAY_OUT= # those that write to it

on_terminals() {
    [ -t 0 ] && [ -t 1 ] && [ -t 2 ]
}

can_have_terminal() {
    on_terminals || return 1
    case $("$(path_of script)" --version 2>/dev/null) in
        *util-linux*) ;;
        *) return 1 ;;
    esac
}

# script(1) takes this process over, so that a signal reaches it; the command's status is its own.
exec_in_terminal() { # WORD...: of a shell that runs us again
    relay_text="exec env -i MANAGE_RUN=yes MANAGE_TERMINAL='$(printf '%s' "${TERM:-dumb}" | tr -cd 'A-Za-z0-9.+_-')'"
    for relay_word in "$@"; do
        become_quoted "$relay_word"
        relay_text="$relay_text $become_word"
    done
    exec env -i PATH="$PATH" TERM="${TERM:-dumb}" "$(path_of script)" -qec "$relay_text" /dev/null
}

open_relays() {
    [ -t 0 ] || [ -t 1 ] || [ -t 2 ] || return 0
    [ -d "$RUN_DIR" ] || mkdir -m 0700 "$RUN_DIR" 2>/dev/null || [ -d "$RUN_DIR" ] || die 12 "cannot create $RUN_DIR"
    RELAY_DIR=$(mktemp -d "$RUN_DIR/exec.XXXXXXXX") || die 12 "cannot create a directory in $RUN_DIR"
    if [ -t 0 ]; then
        open_relay in
        dd bs=4096 <&3 >"$RELAY_DIR/in" 2>/dev/null 3<&- & # of a terminal a busybox's cat makes one piece of megabytes
        RELAY_IN=$!
    fi
    if [ -t 1 ]; then
        open_relay out
        cat <"$RELAY_DIR/out" 3<&- &
        RELAY_OUT="$RELAY_OUT $!"
    fi
    if [ -t 2 ]; then
        open_relay err
        cat <"$RELAY_DIR/err" >&2 3<&- &
        RELAY_OUT="$RELAY_OUT $!"
    fi
}

open_relay() { # in|out|err
    mkfifo -m 0600 "$RELAY_DIR/$1" || die 12 "cannot create a pipe in $RELAY_DIR"
}

relayed() { # FUNCTION ARGUMENT...: it replaces this process
    if [ -n "$RELAY_DIR" ] && [ -p "$RELAY_DIR/in" ]; then
        exec <"$RELAY_DIR/in"
    else
        exec <&3
    fi
    exec 3<&-
    [ -z "$RELAY_DIR" ] || [ ! -p "$RELAY_DIR/out" ] || exec >"$RELAY_DIR/out"
    [ -z "$RELAY_DIR" ] || [ ! -p "$RELAY_DIR/err" ] || exec 2>"$RELAY_DIR/err"
    "$@"
}

# What the command has said is all shown. Without systemd it may have left something behind that goes on writing: that is
# waited for no longer than two seconds.
close_relays() {
    [ -n "$RELAY_DIR" ] || return 0
    if [ -n "$RELAY_IN" ]; then # a busybox's own cat has our trap of other signals
        kill -KILL "$RELAY_IN" 2>/dev/null || :
        wait "$RELAY_IN" 2>/dev/null || :
    fi
    relay_watch=
    if [ -n "$BARE" ]; then
        # shellcheck disable=SC2086 # several
        (sleep 2 && kill -KILL $RELAY_OUT) </dev/null >/dev/null 2>&1 &
        relay_watch=$!
    fi
    # shellcheck disable=SC2086
    [ -z "$RELAY_OUT" ] || wait $RELAY_OUT 2>/dev/null || :
    [ -z "$relay_watch" ] || kill "$relay_watch" 2>/dev/null || :
    rm -f "$RELAY_DIR/in" "$RELAY_DIR/out" "$RELAY_DIR/err"
    rmdir "$RELAY_DIR" || :
    RELAY_DIR=
}
