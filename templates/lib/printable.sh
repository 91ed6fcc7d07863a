
# --- harmless --------------------------------------------------------------------------------------------
# Output of services, names of packages and files must not control the terminal. Control characters are escaped as in the
# list of a release's files, \0033; in a line that is not UTF-8, so is everything that is not ASCII. This includes the
# control characters U+0080 to U+009F, and those that change the direction of text.

HARMLESS=

harmless() { # [tabs]: stdin to stdout; tabs may stay
    [ -n "$HARMLESS" ] || HARMLESS=$(harmless_program)
    if [ "${1-}" = tabs ]; then
        tr -d '\000' | sed -e "$(printf '%s\n' "$HARMLESS" | sed '/\\\\0011/d')"
    else
        tr -d '\000' | sed -e "$HARMLESS"
    fi
}

harmless_program() { # for sed
    harmless_low=
    harmless_high=
    for octal_1 in 0 1 2 3; do
        for octal_2 in 0 1 2 3 4 5 6 7; do
            for octal_3 in 0 1 2 3 4 5 6 7; do
                octal=$octal_1$octal_2$octal_3
                case $octal in
                    000 | 012) ;;
                    0[0-3]? | 177) harmless_low="${harmless_low}s/\\$octal/\\\\\\\\0$octal/g\\n" ;;
                    [23]??) harmless_high="${harmless_high}s/\\$octal/\\\\\\\\0$octal/g\\n" ;;
                esac
            done
        done
    done
    # shellcheck disable=SC2059 # the bytes are the format
    printf "${harmless_low}h\\n"
    # left alone: what is UTF-8, but for U+0080 to U+009F, and U+200E, U+200F, U+2028 to U+202E and U+2066 to U+2069
    printf 's/\342\200[\216\217\250-\256]/\377/g\ns/\342\201[\246-\251]/\377/g\n'
    printf 's/\302[\240-\277]/ /g\ns/[\303-\337][\200-\277]/ /g\n'
    printf 's/\340[\240-\277][\200-\277]/ /g\ns/[\341-\357][\200-\277][\200-\277]/ /g\n'
    printf 's/[\360-\364][\200-\277][\200-\277][\200-\277]/ /g\n'
    # shellcheck disable=SC2059
    printf "/[\\200-\\377]/!{\\ng\\nb\\n}\\ng\\n$harmless_high"
}
