
# --- become ----------------------------------------------------------------------------------------------
# Root switches to the service's user in /, without any variable that a loader or a shell reads: a service's LD_PRELOAD or
# LD_LIBRARY_PATH would make the program that switches users run the service's code as root. So variables are passed with
# different names. The user's own shell does the rest: it creates the directories inside the service's, enters one, renames
# the variables and runs the command. Values are never on a command line.

BECOME_FIRST= # a program, with its options, that is to start the one that becomes the user
BECOME_MAKES= # directories, with blanks between
BECOME_PLACE= # the working directory; empty: /
BECOME_UMASK=0022

become() { # WORD...
    set -f
    become_script=$(become_steps)
    set -- /bin/sh -c "$become_script" sh "$@"
    if have setpriv && setpriv --reuid 0 --clear-groups true 2>/dev/null; then
        set -- "$(command -v setpriv)" --reuid="$run_user" --regid="$run_group" --init-groups -- "$@"
    elif chroot --userspec=0:0 / true 2>/dev/null; then
        set -- "$(command -v chroot)" --userspec="$run_user:$run_group" / "$@"
    else
        die 10 "no program to run commands as $run_user" "Install util-linux (setpriv) or coreutils (chroot)."
    fi
    if [ -n "$BECOME_FIRST" ]; then
        become_options=${BECOME_FIRST#"${BECOME_FIRST%% *}"}
        # shellcheck disable=SC2086 # words
        set -- "$(command -v "${BECOME_FIRST%% *}")" $become_options "$@"
    fi
    become_count=0
    for become_name in $RUN_NAMES; do
        become_count=$((become_count + 1))
        eval "CONDA_BUNDLER_VALUE_$become_count=\"\$VARIABLE_$become_name\""
        eval "export CONDA_BUNDLER_VALUE_$become_count"
    done
    cd /
    exec "$@"
}

# For the user's shell: no value is in it, only names.
become_steps() {
    printf 'umask %s\n' "$BECOME_UMASK"
    printf 'fail() { printf "manage: error: cannot %%s\\n" "$*" >&2; exit 12; }\n'
    for become_dir in $BECOME_MAKES; do
        become_quoted "$become_dir"
        printf 'mkdir -p %s || fail make %s\n' "$become_word" "$become_word"
    done
    become_quoted "${BECOME_PLACE:-/}"
    printf 'cd %s || fail enter the working directory %s\n' "$become_word" "$become_word"
    printf 'unset -f fail; unset PATH LC_ALL PWD OLDPWD SHLVL MANAGE_RUN MANAGE_TERMINAL\n'
    become_count=0
    become_spent=
    for become_name in $RUN_NAMES; do
        become_count=$((become_count + 1))
        become_spent="$become_spent CONDA_BUNDLER_VALUE_$become_count"
        # shellcheck disable=SC2016 # for that shell
        printf 'export %s="$CONDA_BUNDLER_VALUE_%s"\n' "$become_name" "$become_count"
    done
    printf 'unset%s\nexec "$@"\n' "${become_spent:- x}"
}

become_quoted() { # TEXT: sets become_word
    become_word=$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g; s/^/'/; s/\$/'/")
}
