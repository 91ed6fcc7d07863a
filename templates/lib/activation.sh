
# --- activation ------------------------------------------------------------------------------------------
# The variables that "conda activate" would set are determined once and stored in config/activation.env, which every unit
# reads. The build provides those that it knows; here the environment's activation scripts (config/activation.list: "sh
# PATH" or "bash PATH", in order) add more. They run as an unused user (nobody.sh), each in a separate shell, with only the
# variables set so far, an empty home, and a time limit.
#
# Environments are stored as "NAME=VALUE" lines in which \001 represents a line break.

ACTIVATION_SECONDS=20
ACTIVATION_BLOCKS=4096 # that a script may write to one file, of 512 bytes or 1 KiB
ACTIVATION_LINK=

activate() { # DIR: the stage, or the release itself
    [ -s "$1/config/activation.list" ] || return 0
    if [ -n "$IMAGE" ]; then
        say "its activation scripts run at the image's first boot"
        return 0
    fi
    say "running its activation scripts"
    if ! prepare_nobody "" ""; then
        warn "its activation scripts are not run: $NOBODY_WHY" "Services lack the variables that they would set."
        return 0
    fi
    NOBODY_BLOCKS=$ACTIVATION_BLOCKS
    mkdir "$WORK/activation" || die 12 "cannot create $WORK/activation"
    place_activation "$1"
    plain_environment >"$WORK/activation/plain"
    {
        cat "$WORK/activation/plain"
        read_environment "$1/config/activation.env" print_marked
    } >"$WORK/activation/built"
    sed "s|$(pattern "$ACTIVATION_FINAL")/|$ACTIVATION_PLACE/|g" "$WORK/activation/built" >"$WORK/activation/now"
    while read -r activation_kind activation_script <&6; do
        run_activation "$activation_kind" "$activation_script"
    done 6<"$1/config/activation.list"
    drop_activation
    write_activation "$1"
    rm -rf /run/conda-bundler/work/activation
}

# Scripts contain the release's final path, and may check for files there. So it is a link to the stage meanwhile, unless
# the release exists, may be running, and is only repaired.
place_activation() { # DIR
    ACTIVATION_FINAL=$ROOT/releases/$RELEASE
    ACTIVATION_PLACE=$1
    [ "$1" != "$ACTIVATION_FINAL" ] && ! is_complete "$RELEASE" || return 0
    remove_release "$RELEASE"
    ACTIVATION_LINK=$ACTIVATION_FINAL
    ln -s "${1##*/}" "$ACTIVATION_LINK" || die 12 "cannot create $ACTIVATION_LINK"
    ACTIVATION_PLACE=$ACTIVATION_FINAL
}

# Including those of killed runs.
drop_activation() {
    dismiss_nobody
    for activation_link in "$ROOT"/releases/*; do
        [ -L "$activation_link" ] || continue
        case $(readlink "$activation_link") in
            .*.partial) rm -f "$activation_link" ;;
        esac
    done
}

# The variables that the unit sets, as far as scripts may use them. HOME differs: the service can write to its own.
plain_environment() {
    printf '%s\n' "HOME=$NOBODY_HOME" LANG=C.UTF-8 "LOGNAME=$SERVICE_USER" \
        "PATH=$ACTIVATION_PLACE/env/bin:$PATH" PYTHONNOUSERSITE=1 "USER=$SERVICE_USER"
}

print_marked() { # NAME VALUE
    printf '%s=%s' "$1" "$2" | tr '\n' '\001'
    printf '\n'
}

run_activation() { # KIND PATH
    activation_shell=$(command -v bash) || activation_shell=$ACTIVATION_PLACE/env/bin/bash
    if [ ! -x "$activation_shell" ]; then
        activation_shell=/bin/sh
        if [ "$1" = bash ]; then
            warn "$2 is not run: it requires bash, which is missing" "Services lack the variables that it would set; install bash."
            return 0
        fi
    fi
    activation_status=0
    start_activation "$ACTIVATION_PLACE/$2" >"$WORK/activation/said" 2>&1 3>"$WORK/activation/environ" ||
        activation_status=$?
    activation_why="it ended with status $activation_status"
    [ "$activation_status" -ne 137 ] || activation_why="it did not finish within $ACTIVATION_SECONDS seconds, or was killed"
    activation_said=$(head_of "$WORK/activation/said")
    activation_why="$activation_why${activation_said:+: $activation_said}"
    if ! take_activation; then
        warn "$2: $activation_why" "Services get none of its variables."
    elif [ "$activation_status" -ne 0 ]; then
        warn "$2: $activation_why" "Services get the variables that it had set by then."
    fi
}

# The environment is returned on descriptor 3, by a process that the script's shell starts at its end. All output goes to
# files with a size limit, so a remaining process cannot delay us.
start_activation() { # SCRIPT
    # shellcheck disable=SC2016 # for that shell
    set -- "$activation_shell" -c \
        'trap '\''"$2" /proc/self/environ >&3'\'' EXIT; . "$1"' activation "$1" "$(command -v cat)"
    while IFS= read -r activation_line <&5; do
        unmark "$activation_line"
        set -- "$unmarked" "$@"
    done 5<"$WORK/activation/now"
    ask_nobody "$ACTIVATION_SECONDS" env -i "$@"
}

# Variables that shells set for themselves do not count.
take_activation() {
    [ "$(tail -c 1 "$WORK/activation/environ" | od -An -tx1 | tr -d ' \n')" = 00 ] || return 1
    tr '\000\n\001' '\n\001\002' <"$WORK/activation/environ" >"$WORK/activation/left" &&
        sed -e '/^[A-Za-z_][A-Za-z0-9_]*=/!d' -e '/^PWD=/d' -e '/^OLDPWD=/d' -e '/^SHLVL=/d' -e '/^_=/d' \
            "$WORK/activation/left" >"$WORK/activation/fit" &&
        mv -f "$WORK/activation/fit" "$WORK/activation/now"
}

unmark() { # TEXT: sets unmarked
    unmarked=
    unmark_rest=$1
    while :; do
        case $unmark_rest in
            *"$ACTIVATION_MARK"*) ;;
            *) break ;;
        esac
        unmarked=$unmarked${unmark_rest%%"$ACTIVATION_MARK"*}$ENV_NEWLINE
        unmark_rest=${unmark_rest#*"$ACTIVATION_MARK"}
    done
    unmarked=$unmarked$unmark_rest
}

ACTIVATION_MARK=$(printf '\001')

# Writes the file that units read, quoted as in systemd.exec(5), without variables that were set before any script.
write_activation() { # DIR
    # no pattern at all is no match; an empty line would be a match of every line
    grep -vxF -f "$WORK/activation/plain" "$WORK/activation/now" >"$WORK/activation/set" || [ $? -eq 1 ] ||
        die 12 "cannot read $WORK/activation"
    sed 's/=.*//' "$WORK/activation/now" >"$WORK/activation/names"
    for activation_name in HOME LANG LOGNAME PATH USER; do
        grep -qxF "$activation_name" "$WORK/activation/names" ||
            warn "activation unsets $activation_name; services get it nevertheless"
    done
    for activation_name in $(unfit_variables <"$WORK/activation/set"); do
        warn "activation sets $activation_name to a value that no unit can hold; services do not get it"
        sed "/^$activation_name=/d" "$WORK/activation/set" >"$WORK/activation/fit"
        mv -f "$WORK/activation/fit" "$WORK/activation/set"
    done
    sed -e "s|$(pattern "$NOBODY_HOME")|$STATE|g" -e "s|$(pattern "$ACTIVATION_PLACE")/|$(seen "$ACTIVATION_FINAL")/|g" \
        -e "s|$(pattern "$1")/|$(seen "$ACTIVATION_FINAL")/|g" \
        -e 's/[\\"$`]/\\&/g' -e 's/=/="/' -e 's/$/"/' "$WORK/activation/set" >"$WORK/activation/quoted"
    put "$1/config/activation.env" 0644 activation_text
}

activation_text() {
    printf '# What activation sets, found out on this machine\n' && tr '\001' '\n' <"$WORK/activation/quoted"
}

# systemd requires UTF-8 without control characters other than tab and line break; with any other value no service would
# start. Prints the names of variables with such values.
unfit_variables() {
    utf_next=$(printf '[\200-\277]')
    sed -e "s/$(printf '[\302-\337]')$utf_next//g" \
        -e "s/$(printf '\340[\240-\277]')$utf_next//g" \
        -e "s/$(printf '[\341-\354\356\357]')$utf_next$utf_next//g" \
        -e "s/$(printf '\355[\200-\237]')$utf_next//g" \
        -e "s/$(printf '\360[\220-\277]')$utf_next$utf_next//g" \
        -e "s/$(printf '[\361-\363]')$utf_next$utf_next$utf_next//g" \
        -e "s/$(printf '\364[\200-\217]')$utf_next$utf_next//g" |
        sed -n "s/=.*$(printf '[\002-\010\013-\037\177-\377]').*//p"
}
