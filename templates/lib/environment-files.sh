
# --- environment files -----------------------------------------------------------------------------------
# Reads a file like systemd (systemd.exec(5), EnvironmentFile=): quotes, escapes, values over several lines, comments.
# The states are those of systemd's parser (src/basic/env-file.c).

read_environment() { # FILE FUNCTION: calls it with NAME VALUE, in the file's order
    env_sink=$2
    env_state=before
    env_key=
    env_end=$ENV_NEWLINE
    while [ -n "$env_end" ]; do
        IFS= read -r env_line || env_end= # the last line may have no end
        env_rest=$env_line$env_end
        while [ -n "$env_rest" ]; do
            env_tail=${env_rest#?}
            env_char=${env_rest%"$env_tail"}
            env_rest=$env_tail
            "env_$env_state"
        done
    done <"$1"
    case $env_state in
        before | key | comment) ;;
        *) env_push ;;
    esac
}

env_push() {
    env_key=$(trimmed "$env_key")
    case $env_key in
        '' | [0-9]* | *[!A-Za-z0-9_]*) ;; # systemd passes over what is no name
        *) "$env_sink" "$env_key" "$env_value" ;;
    esac
    env_state=before
}

trimmed() { # TEXT: without blanks at its end
    trim_text=$1
    while :; do
        case $trim_text in
            *[" $ENV_TAB$ENV_RETURN"]) trim_text=${trim_text%?} ;;
            *) break ;;
        esac
    done
    printf '%s' "$trim_text"
}

ENV_TAB=$(printf '\t')
ENV_RETURN=$(printf '\r')
ENV_NEWLINE='
'

env_before() {
    case $env_char in
        '#' | ';') env_state=comment ;;
        ' ' | "$ENV_TAB" | "$ENV_RETURN" | "$ENV_NEWLINE") ;;
        *)
            env_state=key
            env_key=$env_char
            ;;
    esac
}

env_key() {
    case $env_char in
        "$ENV_NEWLINE" | "$ENV_RETURN") env_state=before ;;
        =)
            env_state=value_start
            env_value=
            ;;
        *) env_key=$env_key$env_char ;;
    esac
}

env_value_start() {
    case $env_char in
        "$ENV_NEWLINE" | "$ENV_RETURN") env_push ;;
        "'") env_state=single ;;
        '"') env_state=double ;;
        \\) env_state=escape ;;
        ' ' | "$ENV_TAB") ;;
        *)
            env_state=value
            env_value=$env_value$env_char
            env_blank=
            ;;
    esac
}

env_value() {
    case $env_char in
        "$ENV_NEWLINE" | "$ENV_RETURN")
            env_push
            ;;
        \\)
            env_value=$env_value$env_blank
            env_blank=
            env_state=escape
            ;;
        ' ' | "$ENV_TAB") env_blank=$env_blank$env_char ;; # at the end of the line they do not count
        *)
            env_value=$env_value$env_blank$env_char
            env_blank=
            ;;
    esac
}

env_escape() {
    env_state=value
    env_blank=
    [ "$env_char" = "$ENV_NEWLINE" ] || env_value=$env_value$env_char
}

env_single() {
    case $env_char in
        "'") env_state=value_start ;;
        *) env_value=$env_value$env_char ;;
    esac
}

env_double() {
    case $env_char in
        '"') env_state=value_start ;;
        \\) env_state=double_escape ;;
        *) env_value=$env_value$env_char ;;
    esac
}

env_double_escape() {
    env_state=double
    case $env_char in
        '"' | \\ | '`' | '$') env_value=$env_value$env_char ;;
        "$ENV_NEWLINE") ;;
        *) env_value=$env_value\\$env_char ;;
    esac
}

# A backslash at a comment's end carried it on to the next line before systemd 254; since then it does not.
env_comment() {
    case $env_char in
        "$ENV_NEWLINE" | "$ENV_RETURN") env_state=before ;;
    esac
}
