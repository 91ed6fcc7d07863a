
# --- releases without launchers ---------------------------------------------------------------------------
# conda-bundler 0.1 had no launchers, so the unit is parsed instead. Only load_launcher uses this.

read_unit() {
    run_unit=$ROOT/releases/$RELEASE/units/$(file_of "$OPERAND.service")
    [ -f "$run_unit" ] || die 10 "there is no service $OPERAND" "See: $ROOT/bin"
    RELOAD_LINE=$(directive ExecReload)
    prepare_service() { prepare_by_unit; }
    before_service() { run_before_by_unit; }
    start_service() { become_by_unit ExecStart; }
    reload_service() { become_by_unit ExecReload; }
}

prepare_by_unit() {
    run_as "$(directive User)" "$(directive Group)" "$(directive UMask | grep . || echo 0022)"
    run_directories STATE /var/lib "$(directive StateDirectory)"
    run_directories CACHE /var/cache "$(directive CacheDirectory)"
    run_directories LOGS /var/log "$(directive LogsDirectory)"
    run_directories RUNTIME /run "$(directive RuntimeDirectory)"
    # Environment=, then the files, then UnsetEnvironment=: systemd's order, wherever the lines are.
    each_directive Environment assign_words
    each_directive EnvironmentFile run_file_by_unit
    for unit_name in $(directives UnsetEnvironment); do
        run_without "$unit_name"
    done
    for unit_line in $(directives LoadCredential); do
        run_credential "${unit_line%%:*}" "${unit_line#*:}"
    done
    unit_line=$(directive WorkingDirectory)
    run_in "${unit_line#-}"
}

each_directive() { # KEY FUNCTION: calls it with each value
    unit_lines=$(directives "$1")
    while IFS= read -r unit_line <&6; do
        [ -z "$unit_line" ] || "$2" "$unit_line"
    done 6<<LINES
$unit_lines
LINES
}

assign_words() { # TEXT
    split_words "$1" assign
}

run_file_by_unit() { # [-]PATH
    case $1 in
        -*) run_file "${1#-}" optional ;;
        *) run_file "$1" ;;
    esac
}

become_by_unit() { # KEY
    command_words "$(directive "$1")"
    set -f
    eval "set -- $RUN_ARGUMENTS"
    become "$@"
}

run_before_by_unit() {
    unit_limit=$(start_seconds)
    each_directive ExecStartPre run_one_before
}

run_one_before() { # LINE: of ExecStartPre=
    unit_text=$1
    unit_may_fail=
    while :; do
        case $unit_text in
            -*) unit_may_fail=yes ;;
            [+!:@\|]* | *' ; '*)
                cannot_run_before_start "$1"
                return 0
                ;;
            *) break ;;
        esac
        unit_text=${unit_text#?}
    done
    command_words "$unit_text"
    set -f
    eval "set -- $RUN_ARGUMENTS"
    set +f
    run_before_start "$unit_limit" "$unit_may_fail" "$unit_text" "$@"
}

# TimeoutStartSec= in the format of systemd.time(7); by default systemd's 90 seconds, and none for a job.
start_seconds() {
    span_text=$(directive TimeoutStartSec)
    case $span_text in
        '')
            [ "$(directive Type)" = oneshot ] || echo 90
            return 0
            ;;
        infinity | 0) return 0 ;;
    esac
    span_sum=0
    for span_word in $(printf '%s\n' "$span_text" | sed 's/\([0-9]\) *\([a-z]\{1,\}\)/\1\2 /g'); do
        span_number=${span_word%%[!0-9]*}
        case ${span_word#"$span_number"} in
            '' | s | sec | second | seconds) span_unit=1 ;;
            m | min | minute | minutes) span_unit=60 ;;
            h | hr | hour | hours) span_unit=3600 ;;
            d | day | days) span_unit=86400 ;;
            *) span_number= ;;
        esac
        case $span_number in
            '' | ???????*)
                echo 90
                return 0
                ;;
        esac
        span_sum=$((span_sum + span_number * span_unit))
    done
    printf '%s\n' "$span_sum"
}

directive() { # KEY: of [Service]; the last one counts, and an empty one takes back those before it
    sed -n "/^\[Service\]/,/^\[[^S]/s/^$1=//p" "$run_unit" | as_instance "$OPERAND.service" | tail -n 1
}

directives() { # KEY
    sed -n "/^\[Service\]/,/^\[[^S]/s/^$1=//p" "$run_unit" | as_instance "$OPERAND.service"
}

assign() { # NAME=VALUE, % doubled
    run_variable "${1%%=*}" "$(undoubled "${1#*=}" %)"
}

undoubled() { # TEXT CHARACTER
    printf '%s\n' "$1" | sed "s/[$2][$2]/$2/g"
}

# Words as systemd splits them, with quotes and backslashes.
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

run_word() { # WORD
    RUN_COUNT=$((${RUN_COUNT:-0} + 1))
    eval "ARGUMENT_$RUN_COUNT=\$1"
    RUN_ARGUMENTS="$RUN_ARGUMENTS \"\$ARGUMENT_$RUN_COUNT\""
}
