
# --- exec ------------------------------------------------------------------------------------------------
# Runs a command as the service would. systemd creates a transient unit with the settings of the service's unit, including
# drop-ins: user, environment, credentials, directories, limits and sandbox. Without systemd, it is run like the service by
# bin/run-SERVICE. Secrets are read from the unit's files and are never on a command line. The command gets no access to
# root's terminal (terminal-relay.sh).

EXEC_CHILD=

exec_command() { # COMMAND ARGUMENT...
    # Without the caller's environment, as in bin/run-SERVICE; systemd does not pass it on anyway.
    if [ -n "$BARE" ] && [ -z "${MANAGE_RUN-}" ]; then
        ! can_have_terminal || exec_in_terminal /bin/sh "$0" exec "$OPERAND" -- "$@"
        exec env -i MANAGE_RUN=yes /bin/sh "$0" exec "$OPERAND" -- "$@"
    fi
    need_release
    exec_known=
    each_service_of "$RELEASE" know_service
    case "$exec_known " in
        *" $OPERAND "*) ;;
        *" $OPERAND@1 "*) OPERAND=$OPERAND@1 ;;
        *) die 2 "$NAME has no service '$OPERAND'" "It has:$exec_known" ;;
    esac
    refuse_unfinished
    run_unit=$ROOT/releases/$RELEASE/units/$(file_of "$OPERAND.service")
    exec_program=$(program_of "$1") || exit "$?"
    shift
    set -- "$exec_program" "$@"
    if sed -n 's/^ExecStart=/ /p' "$run_unit" | grep -qF " /bin/sh $PLACE/releases/$RELEASE/share/beam "; then
        set -- /bin/sh "$PLACE/releases/$RELEASE/share/beam" --beside "$@" # its directory may be made before it
    fi
    if [ -n "$BARE" ]; then
        exec_bare "$@"
    else
        exec_by_systemd "$@"
    fi
}

know_service() { # UNIT
    exec_known="$exec_known ${1%.service}"
}

program_of() { # WORD: where a service's command would be looked up
    case $1 in
        /*) set -- "$1" "$1" ;;
        *) set -- "$1" "$PLACE/releases/$RELEASE/env/bin/$1" "$PLACE/releases/$RELEASE/app/$1" ;;
    esac
    exec_word=$1
    shift
    for exec_path in "$@"; do
        if [ -f "$exec_path" ] && [ -x "$exec_path" ]; then
            printf '%s\n' "$exec_path"
            return 0
        fi
    done
    die 2 "no program '$exec_word' in the release's env/bin or app" \
        "Use one that is there, or an absolute path such as /bin/sh."
}

# --- with systemd

exec_by_systemd() { # WORD...
    have systemd-run || die 10 "systemd-run is missing" "Install the whole of systemd."
    exec_unit=$NAME-exec-$$.service
    # All properties that this systemd supports; it ignores any others in units, too.
    exec_knows=$(control show --all "$OPERAND.service") || die 10 "systemctl show $OPERAND.service failed"
    exec_text=$(control cat "$OPERAND.service" 2>/dev/null) || exec_text=$(cat "$run_unit") # masked, say
    exec_left=$#
    set -- "$@" --property=RuntimeDirectoryPreserve=yes "--property=JoinsNamespaceOf=$OPERAND.service"
    while IFS= read -r exec_line <&6; do
        ! is_for_command "${exec_line%%=*}" || set -- "$@" "--property=$exec_line"
    done 6<<LINES
$(printf '%s\n' "$exec_text" | service_lines)
LINES
    set -- "$@" --
    while [ "$exec_left" -gt 0 ]; do # the words of the command go behind the options
        double_dollars "$1"
        set -- "$@" "$exec_word"
        shift
        exec_left=$((exec_left - 1))
    done
    exec_child run_transient "$@"
}

run_transient() { # PROPERTY... -- WORD...
    SYSTEMD_TINT_BACKGROUND=0 SYSTEMD_ADJUST_TERMINAL_TITLE=0 exec systemd-run --quiet --collect --wait --pty --pipe \
        --no-ask-password --unit="$exec_unit" --description="$NAME (exec $OPERAND)" "$@"
}

# The [Service] lines of a unit and its drop-ins as KEY=VALUE for a transient unit, where "%" is literal.
service_lines() {
    service_mark=$(printf '\001')
    sed -e ':more' -e '/\\$/{' -e N -e 's/\\\n/ /' -e 'b more' -e '}' |
        sed -n -e 's/^[[:blank:]]*//' -e '/^[#;]/d' -e '/^\[Service\]/,/^\[[^S]/{' \
            -e 's/^\([A-Za-z]\{1,\}\)[[:blank:]]*=[[:blank:]]*/\1=/' \
            -e "s/%%/$service_mark/g" -e "s/%n/$OPERAND.service/g" -e "s/%N/$OPERAND/g" \
            -e "s/%p/${OPERAND%%@*}/g" -e "s/%[iI]/$(number_of "$OPERAND.service")/g" \
            -e "s|%d|/run/credentials/$exec_unit|g" -e 's|%t|/run|g' -e 's|%S|/var/lib|g' -e 's|%C|/var/cache|g' \
            -e 's|%L|/var/log|g' -e 's|%E|/etc|g' -e 's|%h|/root|g' -e 's|%T|/tmp|g' -e 's|%V|/var/tmp|g' \
            -e "s|%H|$(uname -n)|g" -e "s/$service_mark/%/g" \
            -e "s|/run/credentials/$OPERAND\.service/|/run/credentials/$exec_unit/|g" -e '/^[A-Za-z]*=/p' -e '}'
}

# Without those for the service's own start, stop and logging. SetCredential= would show a value in ps.
is_for_command() { # KEY
    case $1 in
        Type | ExitType | Exec* | Restart* | Start* | Timeout* | Watchdog* | Runtime*Sec | RuntimeDirectoryPreserve | \
            RemainAfterExit | GuessMainPID | PIDFile | BusName | NotifyAccess | Sockets | FileDescriptor* | OpenFile | \
            USB* | NonBlocking | Standard* | TTY* | Syslog* | SuccessExitStatus | Kill* | SendSIG* | FinalKillSignal | \
            ReloadSignal | SetCredential* | PermissionsStartOnly | RootDirectoryStartOnly) return 1 ;;
    esac
    case $ENV_NEWLINE$exec_knows in
        *"$ENV_NEWLINE$1="* | *"$ENV_NEWLINE${1}s="* | *"$ENV_NEWLINE${1}PerSecUSec="*) return 0 ;;
    esac
    return 1
}

# systemd would put a variable's value where a word has a dollar.
double_dollars() { # WORD: sets exec_word
    exec_word=$1
    case $1 in
        *'$'*)
            exec_word=$(printf '%s.' "$1" | sed 's/\$/$$/g')
            exec_word=${exec_word%.}
            ;;
    esac
}

# --- without

exec_bare() { # WORD...
    load_launcher
    prepare_service
    if [ -n "${MANAGE_TERMINAL-}" ]; then
        run_variable TERM "$MANAGE_TERMINAL"
        trap - EXIT
        become "$@"
    fi
    ! have setsid || BECOME_FIRST=setsid # what it leaves behind is to be found
    exec_child become "$@"
}

# --- both

# The command gets our input and output, unless they are a terminal; we exit with its status; a signal to us ends it.
exec_child() { # FUNCTION ARGUMENT...
    EXEC_SIGNAL=
    trap 'end_child 129' HUP
    trap 'end_child 130' INT
    trap 'end_child 143' TERM
    exec 3<&0
    if [ -n "$BARE" ] || ! on_terminals; then # systemd-run brings a terminal where there are three
        open_relays
    fi
    relayed "$@" &
    EXEC_CHILD=$!
    exec 3<&- </dev/null
    exec_status=0
    wait "$EXEC_CHILD" || exec_status=$?
    while [ -n "$EXEC_SIGNAL" ] && kill -0 "$EXEC_CHILD" 2>/dev/null; do
        wait "$EXEC_CHILD" || :
    done
    close_relays
    trap - EXIT
    exit "${EXEC_SIGNAL:-$exec_status}"
}

end_child() { # STATUS
    EXEC_SIGNAL=$1
    [ -n "$EXEC_CHILD" ] || exit "$1"
    if [ -n "$BARE" ] || ! control stop --no-block "$exec_unit" 2>/dev/null; then
        kill -s TERM -- "-$EXEC_CHILD" 2>/dev/null || kill "$EXEC_CHILD" 2>/dev/null || : # all of its session
    fi
}
