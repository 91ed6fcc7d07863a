
# --- odd settings ----------------------------------------------------------------------------------------
# Lines of an EnvironmentFile that systemd ignores, or reads differently from a shell (systemd.exec(5)). The messages are
# fixed sentences, since a value may be a password.

each_odd_setting() { # FILE FUNCTION: calls it with LINE SENTENCE for each
    odd_sink=$2
    odd_line=0
    odd_open= # the quote that a line before has left open
    odd_begin=
    odd_joined=
    odd_cr=
    odd_end=yes
    while [ -n "$odd_end" ]; do
        IFS= read -r odd_text || odd_end= # the last line may have no end
        odd_line=$((odd_line + 1))
        odd_setting
    done <"$1"
    [ -z "$odd_open" ] || "$odd_sink" "$odd_begin" "the quote is not closed; all that follows is part of the value"
    [ -z "$(LC_ALL=C tr -dc '\000' <"$1" | od -An -N1 -tx1)" ] ||
        "$odd_sink" 1 "there is a NUL byte in the file; systemd ignores all of it"
    for odd_line in $(not_utf8 "$1"); do
        "$odd_sink" "$odd_line" "it is not UTF-8; systemd ignores the variable"
    done
}

not_utf8() { # FILE: the numbers of such lines: those that hold more than ASCII and whole sequences
    odd_more=$(printf '[\200-\277]')
    LC_ALL=C sed -n "s/$(printf '[\302-\337]')$odd_more//g;s/$(printf '[\340-\357]')$odd_more$odd_more//g
        s/$(printf '[\360-\364]')$odd_more$odd_more$odd_more//g;/$(printf '[\200-\377]')/=" "$1"
}

odd_setting() {
    if [ "$odd_line" = 1 ]; then
        case $odd_text in
            "$(printf '\357\273\277')"*)
                "$odd_sink" 1 "the file begins with a byte order mark, which systemd reads as part of the first name"
                odd_text=${odd_text#???}
                ;;
        esac
    fi
    case $odd_text in
        *"$ENV_RETURN")
            odd_text=${odd_text%?}
            [ -n "$odd_cr" ] || "$odd_sink" "$odd_line" "it ends with CR LF; systemd drops the CR, a shell does not"
            odd_cr=yes
            ;;
    esac
    if [ -n "$odd_open" ]; then
        odd_quoted "$odd_text"
        return 0
    fi
    if [ -n "$odd_joined" ]; then # the value of the line before goes on
        odd_joined=
        odd_unquoted "$odd_text"
        return 0
    fi
    while :; do
        case $odd_text in
            [" $ENV_TAB"]*) odd_text=${odd_text#?} ;;
            *) break ;;
        esac
    done
    case $odd_text in
        '') ;;
        '#'* | ';'*)
            case $odd_text in
                *\\) "$odd_sink" "$odd_line" "a comment that ends with a backslash includes the next line" ;;
            esac
            ;;
        *=*) odd_assignment "${odd_text%%=*}" "${odd_text#*=}" ;;
        *) "$odd_sink" "$odd_line" "it is not of the form NAME=value; systemd ignores it" ;;
    esac
}

odd_assignment() { # NAME VALUE
    odd_blank=
    odd_name=$1
    odd_value=$2
    case $odd_name in
        *[" $ENV_TAB"]) odd_blank=yes ;;
    esac
    odd_name=$(trimmed "$odd_name")
    case $odd_value in
        [" $ENV_TAB"]*) odd_blank=yes ;;
    esac
    while :; do
        case $odd_value in
            [" $ENV_TAB"]*) odd_value=${odd_value#?} ;;
            *) break ;;
        esac
    done
    case $odd_name in
        export[" $ENV_TAB"]*) "$odd_sink" "$odd_line" "systemd ignores a line with export; write NAME=value alone" ;;
        '' | [0-9]* | *[!A-Za-z0-9_]*)
            "$odd_sink" "$odd_line" "the text before the = is not a variable name; systemd ignores the line"
            ;;
        *)
            [ -z "$odd_blank" ] ||
                "$odd_sink" "$odd_line" "there are spaces around the =; systemd drops them, a shell does not"
            ;;
    esac
    case $odd_value in
        '"'* | "'"*)
            odd_open=${odd_value%"${odd_value#?}"}
            odd_begin=$odd_line
            odd_quoted "${odd_value#?}"
            ;;
        *) odd_unquoted "$odd_value" ;;
    esac
}

odd_quoted() { # TEXT: after the quote, which may be closed in it
    odd_part=$1
    if [ "$odd_open" = '"' ]; then
        odd_part=$(printf '%s\n' "$odd_part" | sed 's/\\.//g')
        odd_dollar "${odd_part%%\"*}"
    fi
    case $odd_part in
        *"$odd_open"*)
            odd_part=${odd_part#*"$odd_open"}
            odd_open=
            odd_behind "$odd_part"
            ;;
    esac
}

odd_behind() { # TEXT: after a quote that was closed
    case $1 in
        [" $ENV_TAB"]*[!" $ENV_TAB"]*)
            "$odd_sink" "$odd_line" "the text after the closing quote is part of the value, even a # or another NAME=value"
            ;;
        '"'* | "'"*)
            odd_open=${1%"${1#?}"}
            odd_begin=$odd_line
            odd_quoted "${1#?}"
            ;;
    esac
}

odd_unquoted() { # TEXT
    odd_part=$(printf '%s\n' "$1" | sed 's/\\\\//g')
    case $odd_part in
        *';' | *';'*[" $ENV_TAB;"][A-Za-z_]*=* | *'&&'*=*)
            "$odd_sink" "$odd_line" "the ; or && and the text after it are part of the value; write one NAME=value per line"
            ;;
        "$(printf '\342\200\234')"* | "$(printf '\342\200\230')"* | "$(printf '\342\200\236')"*)
            "$odd_sink" "$odd_line" "typographic quotes are part of the value; write \" or '"
            ;;
        *[" $ENV_TAB"]'#'*)
            "$odd_sink" "$odd_line" "the # does not begin a comment; it and the text after it are part of the value"
            ;;
    esac
    case $odd_part in
        *\\)
            odd_joined=yes
            "$odd_sink" "$odd_line" "the backslash at the end continues the value on the next line"
            ;;
    esac
    odd_dollar "$(printf '%s\n' "$odd_part" | sed 's/\\.//g')"
}

odd_dollar() { # TEXT
    case $1 in
        *'$'[A-Za-z_\{\(\'\"]* | *'`'*) "$odd_sink" "$odd_line" "systemd expands no \$ and no \`: they stay as they are" ;;
    esac
}
