
# --- run -------------------------------------------------------------------------------------------------
# What bin/run-SERVICE runs where there is no systemd: the unit's environment, user, directories and command, as
# systemd.exec(5) and systemd.service(5) have them. What confines a service is systemd's alone.

RUN_NAMES=
RUN_OWN= # the service's own directories

run_service() {
    # Nothing of the caller's environment; nothing of ours stays either.
    [ -n "${MANAGE_RUN-}" ] || exec env -i MANAGE_RUN=yes /bin/sh "$0" run "$OPERAND"
    RELEASE=$(current_release)
    run_unit=$ROOT/releases/$RELEASE/units/$(file_of "$OPERAND.service")
    prepare_run
    run_before
    note_process
    command_words "$(directive ExecStart)"
    become
}

# All but the words of the command.
prepare_run() {
    [ -f "$run_unit" ] || die 10 "there is no service $OPERAND" "See: $ROOT/bin"
    run_user=$(directive User)
    run_group=$(directive Group)
    id -u "$run_user" >/dev/null 2>&1 || die 10 "there is no user '$run_user'" "Install the bundle again."
    run_variable LANG C.UTF-8
    run_variable PATH "$PATH"
    run_user_variables
    run_directories
    run_environment
    run_credentials
    run_working_directory
}

directive() { # KEY: of [Service]; the last one counts, and an empty one takes back those before it
    sed -n "/^\[Service\]/,/^\[[^S]/s/^$1=//p" "$run_unit" | as_instance "$OPERAND.service" | tail -n 1
}

directives() { # KEY
    sed -n "/^\[Service\]/,/^\[[^S]/s/^$1=//p" "$run_unit" | as_instance "$OPERAND.service"
}

# The variable VARIABLE_x holds x until all is read: a name such as IFS must not meet this script.
run_variable() { # NAME VALUE
    case $1 in
        '' | [0-9]* | *[!A-Za-z0-9_]*) return 0 ;;
    esac
    case " $RUN_NAMES " in
        *" $1 "*) ;;
        *) RUN_NAMES="$RUN_NAMES $1" ;;
    esac
    eval "VARIABLE_$1=\$2"
}

run_user_variables() {
    run_entry=$(getent passwd "$run_user" 2>/dev/null || grep "^$run_user:" /etc/passwd)
    run_rest=${run_entry#*:*:*:*:*:}
    run_variable HOME "${run_rest%%:*}"
    run_variable LOGNAME "$run_user"
    run_variable USER "$run_user"
    case ${run_rest#*:} in
        */nologin | */false | */true) ;; # as systemd has it: none is better than one that is none
        *) run_variable SHELL "${run_rest#*:}" ;;
    esac
}

# Root makes what is to be in a directory of root's, where nobody can put a link in its place. What is inside a
# directory that is the service's its user makes, later.
run_directories() {
    for run_kind in STATE:/var/lib:State CACHE:/var/cache:Cache LOGS:/var/log:Logs RUNTIME:/run:Runtime; do
        run_dirs=
        run_base=${run_kind#*:}
        run_words=$(directive "${run_kind##*:}Directory")
        for run_dir in $run_words; do
            run_dirs="$run_dirs${run_dirs:+:}${run_base%%:*}/$run_dir"
            # shellcheck disable=SC2086 # words
            if is_inside "$run_dir" $run_words; then
                BECOME_MAKES="$BECOME_MAKES ${run_base%%:*}/$run_dir"
            else
                run_directory "${run_base%%:*}/$run_dir"
                RUN_OWN="$RUN_OWN ${run_base%%:*}/$run_dir"
            fi
        done
        [ -z "$run_dirs" ] || run_variable "${run_kind%%:*}_DIRECTORY" "$run_dirs"
    done
}

is_inside() { # PATH DIR...
    inside_path=$1
    shift
    for inside_dir in "$@"; do
        case $inside_path in
            "$inside_dir"/?*) return 0 ;;
        esac
    done
    return 1
}

# Several services may start at the same moment, and another one be the first.
make_once() { # DIR
    [ -d "$1" ] || mkdir -m 0755 "$1" 2>/dev/null || [ -d "$1" ] || die 12 "cannot make $1"
}

run_directory() { # DIR
    mkdir -p "${1%/*}" || die 12 "cannot make ${1%/*}"
    run_above=${1%/*}
    while [ -n "$run_above" ]; do
        [ -n "$(find "$run_above/." -prune -user 0)" ] ||
            die 10 "$run_above is not root's: $1 cannot be made in it" "Correct who owns it."
        run_above=${run_above%/*}
    done
    [ ! -L "$1" ] || die 10 "$1 is a symbolic link" "Put a real directory there."
    make_once "$1"
    # prepared by the operator, or just now; systemd gives it, too
    [ -z "$(find "$1" -prune -user 0)" ] || chown -h "$run_user:$run_group" "$1" ||
        die 12 "cannot give $1 to $run_user"
}

run_working_directory() {
    BECOME_UMASK=$(directive UMask | grep . || echo 0022)
    run_work=$(directive WorkingDirectory)
    BECOME_PLACE=${run_work#-}
    # shellcheck disable=SC2086 # words
    ! is_inside "$BECOME_PLACE" $RUN_OWN || BECOME_MAKES="$BECOME_MAKES $BECOME_PLACE"
}

# Environment=, then the files, then what is taken away: systemd's order, wherever the lines stand.
run_environment() {
    run_lines=$(directives Environment)
    while IFS= read -r run_line <&6; do
        split_words "$run_line" assign
    done 6<<LINES
$run_lines
LINES
    run_files=$(directives EnvironmentFile)
    while IFS= read -r run_file <&6; do
        case $run_file in
            '') ;;
            -*) [ ! -f "${run_file#-}" ] || read_environment "${run_file#-}" run_variable ;;
            *)
                [ -f "$run_file" ] || die 10 "$run_file is missing" "Install the bundle again."
                read_environment "$run_file" run_variable
                ;;
        esac
    done 6<<LINES
$run_files
LINES
    for run_name in $(directives UnsetEnvironment); do
        RUN_NAMES=$(printf '%s\n' "$RUN_NAMES " | sed "s/ $run_name / /; s/ \$//")
    done
}

# In memory, for the user's group to read: in a directory of root's nobody can lay a link.
run_credentials() {
    run_lines=$(directives LoadCredential)
    [ -n "$run_lines" ] || return 0
    run_credentials=/run/credentials/$OPERAND.service
    for run_dir in /run/credentials "$run_credentials"; do
        make_once "$run_dir"
    done
    for run_line in $run_lines; do
        [ -f "${run_line#*:}" ] || die 10 "${run_line#*:} is missing" "Install the bundle again."
        put "$run_credentials/${run_line%%:*}" 0400 <"${run_line#*:}"
        run_credential=$run_credentials/${run_line%%:*}
        if [ -n "$IS_ACCOUNT" ]; then # others may be in its group
            chown "$run_user" "$run_credential" || die 12 "cannot give $run_credential to $run_user"
            continue
        fi
        if ! chgrp "$run_group" "$run_credential" || ! chmod 0440 "$run_credential"; then
            die 12 "cannot give $run_credential to $run_group"
        fi
    done
    run_variable CREDENTIALS_DIRECTORY "$run_credentials"
}

assign() { # NAME=VALUE, % doubled
    run_variable "${1%%=*}" "$(undoubled "${1#*=}" %)"
}

undoubled() { # TEXT CHARACTER
    printf '%s\n' "$1" | sed "s/[$2][$2]/$2/g"
}

# Words as systemd has them: blanks between, quotes around, backslashes before.
split_words() { # TEXT FUNCTION: calls it with each word
    split_rest=$1
    split_word=
    split_any=
    split_quote=
    while [ -n "$split_rest" ]; do
        split_tail=${split_rest#?}
        split_char=${split_rest%"$split_tail"}
        split_rest=$split_tail
        case $split_quote,$split_char in
            *,\\) split_escape ;;
            ,' ' | ,"$ENV_TAB")
                [ -z "$split_any" ] || "$2" "$split_word"
                split_word=
                split_any=
                continue
                ;;
            ,\' | ,\") split_quote=$split_char ;;
            "','" | '","') split_quote= ;;
            *) split_word=$split_word$split_char ;;
        esac
        split_any=yes
    done
    [ -z "$split_any" ] || "$2" "$split_word"
}

split_escape() {
    split_tail=${split_rest#?}
    split_char=${split_rest%"$split_tail"}
    split_rest=$split_tail
    case $split_char in
        n) split_char=$ENV_NEWLINE ;;
        t) split_char=$ENV_TAB ;;
        s) split_char=' ' ;;
    esac
    split_word=$split_word$split_char
}

# The words of the command, each as shell text in RUN_ARGUMENTS: ${NAME} is a variable's value, $NAME its words,
# $$ a dollar, %% a percent sign.
command_words() { # TEXT
    RUN_ARGUMENTS=
    split_words "${1#-}" command_word
}

command_word() { # WORD
    case $1 in
        '$'[A-Za-z_]*)
            case ${1#?} in
                *[!A-Za-z0-9_]*) ;;
                *)
                    RUN_ARGUMENTS="$RUN_ARGUMENTS \${VARIABLE_${1#?}-}"
                    return 0
                    ;;
            esac
            ;;
    esac
    word_rest=$1
    word_text=
    while [ -n "$word_rest" ]; do
        case $word_rest in
            '$$'*) word_part='$' word_rest=${word_rest#??} ;;
            '%%'*) word_part=% word_rest=${word_rest#??} ;;
            '${'*'}'*)
                word_name=${word_rest#??}
                word_name=${word_name%%\}*}
                word_rest=${word_rest#*\}}
                word_part=
                case " $RUN_NAMES " in
                    *" $word_name "*) eval "word_part=\$VARIABLE_$word_name" ;;
                esac
                ;;
            *)
                word_tail=${word_rest#?}
                word_part=${word_rest%"$word_tail"}
                word_rest=$word_tail
                ;;
        esac
        word_text=$word_text$word_part
    done
    run_word "$word_text"
}

run_words() { # WORD...: as they are
    RUN_ARGUMENTS=
    for run_one in "$@"; do
        run_word "$run_one"
    done
}

run_word() { # WORD
    RUN_COUNT=$((${RUN_COUNT:-0} + 1))
    eval "ARGUMENT_$RUN_COUNT=\$1"
    RUN_ARGUMENTS="$RUN_ARGUMENTS \"\$ARGUMENT_$RUN_COUNT\""
}

