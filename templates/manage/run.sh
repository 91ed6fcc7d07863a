
# --- run --------------------------------------------------------------------------------------------------
# Run by bin/run-SERVICE on servers without systemd. The release's launcher, launch/SERVICE, was generated from the
# service's unit by the build; it calls these functions, which do what systemd.exec(5) and systemd.service(5) describe:
#     prepare_service   user, environment, directories
#     before_service    the commands that run before it
#     start_service     the service itself, which replaces this process
#     reload_service    the command that makes it reload its settings; RELOAD_LINE is empty if there is none
# Only systemd can sandbox a service.

RUN_NAMES=
RUN_OWN= # the service's own directories
RELOAD_LINE=

run_service() {
    # Without the caller's environment, and without our own variables.
    [ -n "${MANAGE_RUN-}" ] || exec env -i MANAGE_RUN=yes /bin/sh "$0" run "$OPERAND"
    RELEASE=$(current_release)
    load_launcher
    prepare_service
    catch_stop
    before_service
    trap - HUP INT TERM
    note_process
    start_service
}

load_launcher() { # of OPERAND
    launcher=$ROOT/releases/$RELEASE/launch/$OPERAND
    if [ -f "$launcher" ]; then
        # shellcheck disable=SC1090 # templates/launch/launcher.sh.j2
        . "$launcher"
    else
        read_unit
    fi
}

# --- what launchers call

run_as() { # USER GROUP UMASK
    [ "$1" != "$NAME" ] || set -- "$SERVICE_USER" "$SERVICE_GROUP" "$3" # which may be one that the machine had before
    run_user=$1
    run_group=$2
    BECOME_UMASK=$3
    id -u "$run_user" >/dev/null 2>&1 || die 10 "the user '$run_user' does not exist" "Install the bundle again."
    run_variable LANG C.UTF-8
    run_variable PATH "$PATH"
    run_user_variables
}

# Variable x is kept in VARIABLE_x until all are read, since a name such as IFS must not affect this script.
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

run_without() { # NAME: a variable that is taken away
    RUN_NAMES=$(printf '%s\n' "$RUN_NAMES " | sed "s/ $1 / /; s/ \$//")
    unset "VARIABLE_$1"
}

run_file() { # PATH [optional]: of variables
    if [ -f "$1" ]; then
        read_environment "$1" run_variable
    elif [ $# -lt 2 ]; then
        die 10 "$1 is missing" "Install the bundle again."
    fi
}

# Root creates directories only inside root's directories, where nobody can replace them with a link. Those inside the
# service's own directories are created later, by its user.
run_directories() { # VARIABLE ABOVE NAMES [MODE]
    run_dirs=
    for run_dir in $3; do
        run_dirs="$run_dirs${run_dirs:+:}$2/$run_dir"
        # shellcheck disable=SC2086 # words
        if is_inside "$run_dir" $3; then
            BECOME_MAKES="$BECOME_MAKES $2/$run_dir"
        else
            run_directory "$2/$run_dir" "${4-}"
            RUN_OWN="$RUN_OWN $2/$run_dir"
        fi
    done
    [ -z "$run_dirs" ] || run_variable "$1_DIRECTORY" "$run_dirs"
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

# Several services may start at the same time, and another one may be faster.
make_once() { # DIR [MODE]
    [ -d "$1" ] || mkdir -m "${2:-0755}" "$1" 2>/dev/null || [ -d "$1" ] || die 12 "cannot create $1"
}

run_directory() { # DIR [MODE]
    mkdir -p "${1%/*}" || die 12 "cannot create ${1%/*}"
    run_above=${1%/*}
    while [ -n "$run_above" ]; do
        [ -n "$(find "$run_above/." -prune -user 0)" ] ||
            die 10 "$run_above is not owned by root: $1 cannot be created in it" "Correct its owner."
        run_above=${run_above%/*}
    done
    [ ! -L "$1" ] || die 10 "$1 is a symbolic link" "Put a real directory there."
    make_once "$1" "${2:-0755}"
    # before it is the service's: root changes no mode of what is
    [ -z "${2-}" ] || [ -z "$(find "$1" -prune -user 0)" ] || chmod "$2" "$1" || die 12 "cannot change the mode of $1"
    # prepared by the operator, or just now; systemd gives it, too
    [ -z "$(find "$1" -prune -user 0)" ] || chown -h "$run_user:$run_group" "$1" ||
        die 12 "cannot change the owner of $1 to $run_user"
}

# In memory, readable by the user's group, in a directory of root's, where nobody can place a link.
run_credential() { # NAME PATH
    run_credentials=/run/credentials/$OPERAND.service
    for run_dir in /run/credentials "$run_credentials"; do
        make_once "$run_dir"
    done
    run_variable CREDENTIALS_DIRECTORY "$run_credentials"
    [ -f "$2" ] || die 10 "$2 is missing" "Install the bundle again."
    run_credential=$run_credentials/$1
    put "$run_credential" 0400 <"$2"
    if [ -n "$IS_ACCOUNT" ]; then # others may be in its group
        chown "$run_user" "$run_credential" || die 12 "cannot change the owner of $run_credential to $run_user"
    elif ! chgrp "$run_group" "$run_credential" || ! chmod 0440 "$run_credential"; then
        die 12 "cannot change the group of $run_credential to $run_group"
    fi
}

run_in() { # DIR
    BECOME_PLACE=$1
    # shellcheck disable=SC2086 # words
    ! is_inside "$BECOME_PLACE" $RUN_OWN || BECOME_MAKES="$BECOME_MAKES $BECOME_PLACE"
}
