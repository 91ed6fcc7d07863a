
# --- nobody ----------------------------------------------------------------------------------------------
# Packages' code (activation scripts; the environment's Python, which compiles bytecode) runs as an unused user: a uid
# without an entry, a range of subordinate ids or a process. Root never runs a bundle's code; and a compromised service
# could access the memory of processes of its own user, and has write access to its home.
#
# If the kernel allows it, the code also has its own mount, network, IPC and PID namespaces: then it can write only to its
# output and a temporary home. A unit that sandboxes us (first-boot) sandboxes it as well.

NOBODY=         # the number
NOBODY_DIR=     # where its home is, and what it reads and writes as it sees them
NOBODY_HOME=
NOBODY_ROOMED=  # yes: it has a room of its own
NOBODY_IN=      # a directory to run in; empty: /
NOBODY_OUT=     # a directory that it may write to
NOBODY_PID=
NOBODY_WHY=
NOBODY_BLOCKS=unlimited # that it may write to one file, of 512 bytes or 1 KiB

# The part that root sets up in the namespaces. All mounts are made read-only.
NOBODY_ROOM='
    set -e
    user=$1 dir=$2 in=$3 out=$4
    shift 4
    while read -r _ where _; do
        mount -o remount,bind,ro "$(printf %b "$where")" || :
    done </proc/self/mounts >/dev/null 2>&1
    mount -t tmpfs -o mode=0755,size=32m,nosuid,nodev none "$dir"
    mkdir -m 0700 "$dir/home"
    chown "$user:$user" "$dir/home"
    if [ -n "$in" ]; then
        mkdir "$dir/in" "$dir/out"
        mount -o bind "$in" "$dir/in"
        mount -o bind "$out" "$dir/out"
        mount -o remount,bind,rw,nosuid,nodev "$dir/out"
        cd "$dir/in"
    fi
    exec "$@"
'

# Sets NOBODY_WHY and fails if there is no way.
prepare_nobody() { # IN OUT: directories; both may be empty
    NOBODY_IN=$1
    NOBODY_OUT=$2
    choose_nobody || return 1
    if ! NOBODY_DIR=$(mktemp -d /tmp/conda-bundler.XXXXXXXXXX) || ! chmod 0755 "$NOBODY_DIR"; then
        die 12 "cannot create a directory in /tmp" "Check for a full or read-only disk."
    fi
    NOBODY_HOME=$NOBODY_DIR/home
    NOBODY_ROOMED=yes
    if ! room_words run_words_now true </dev/null >/dev/null 2>&1; then
        NOBODY_ROOMED=
        if ! mkdir -m 0700 "$NOBODY_HOME" || ! chown "$NOBODY:$NOBODY" "$NOBODY_HOME"; then
            die 12 "cannot create $NOBODY_HOME"
        fi
    fi
    [ -z "$NOBODY_OUT" ] || chown "$NOBODY:$NOBODY" "$NOBODY_OUT" || die 12 "cannot change the owner of $NOBODY_OUT"
}

# All its processes have ended by then, so nothing changes any more. Also removes what killed runs have left.
dismiss_nobody() {
    end_nobody
    # in the unit that confines us root may not look into it
    [ -z "$NOBODY_DIR" ] || be_nobody /bin/rm -rf "$NOBODY_HOME" 2>/dev/null || :
    for nobody_dir in /tmp/conda-bundler.??????????; do
        if [ -d "$nobody_dir" ] && [ ! -L "$nobody_dir" ] && [ -n "$(find "$nobody_dir" -prune -user 0)" ]; then
            rm -rf "$nobody_dir" 2>/dev/null || :
        fi
    done
    NOBODY_DIR=
}

choose_nobody() {
    [ -z "$NOBODY" ] || return 0
    NOBODY_WHY="no program to run it as another user: setpriv or chroot is required"
    # the last ones for a container that has no others
    for nobody_number in 1900000001 1900000002 1900000003 1900000004 64901 64902 64903 64904; do
        NOBODY=$nobody_number
        be_nobody true </dev/null >/dev/null 2>&1 || continue
        ! is_somebody "$NOBODY" || {
            NOBODY_WHY="every uid that it could run as is already used"
            continue
        }
        return 0
    done
    NOBODY=
    return 1
}

is_somebody() { # NUMBER: as a user or as a group
    if have getent; then
        ! getent passwd "$1" >/dev/null 2>&1 && ! getent group "$1" >/dev/null 2>&1 || return 0
    fi
    ! grep -qs "^[^:]*:[^:]*:$1:" /etc/passwd /etc/group || return 0
    for somebody_file in /etc/subuid /etc/subgid; do
        ! in_ranges "$1" "$somebody_file" || return 0
    done
    grep -qs -e "^[UG]id:.*[[:blank:]]$1[[:blank:]]" -e "^[UG]id:.*[[:blank:]]$1\$" /proc/[0-9]*/status
}

in_ranges() { # NUMBER FILE: NAME:FIRST:COUNT a line
    [ -f "$2" ] || return 1
    while IFS=: read -r _ range_first range_count; do
        case $range_first,$range_count in
            [0-9]*,[0-9]*) ;;
            *) continue ;;
        esac
        case $range_first$range_count in
            *[!0-9]*) continue ;;
        esac
        [ "$1" -lt "$range_first" ] || [ "$1" -ge $((range_first + range_count)) ] || return 0
    done <"$2"
    return 1
}

be_nobody() { # COMMAND...
    nobody_words run_words_now "$@"
}

run_words_now() { # COMMAND...
    "$@"
}

nobody_words() { # FUNCTION COMMAND...: calls it with the words that run COMMAND as nobody
    nobody_then=$1
    nobody_tool=$(path_of setpriv)
    shift
    if "$nobody_tool" --reuid 0 --clear-groups true 2>/dev/null; then
        set -- "$nobody_tool" "--reuid=$NOBODY" "--regid=$NOBODY" --clear-groups --no-new-privs -- "$@"
    else
        set -- "$(path_of chroot)" "--userspec=$NOBODY:$NOBODY" --groups= / "$@"
    fi
    "$nobody_then" "$@"
}

room_words() { # FUNCTION COMMAND...: the same for a room of its own
    nobody_then=$1
    shift
    "$nobody_then" "$(path_of unshare)" --mount --net --ipc --pid --fork --kill-child --mount-proc \
        /bin/sh -c "$NOBODY_ROOM" sh "$NOBODY" "$NOBODY_DIR" "$NOBODY_IN" "$NOBODY_OUT" "$@"
}

# In a separate session, without our terminal, with a timeout in seconds. The caller redirects its output and descriptor 3.
ask_nobody() { # SECONDS COMMAND...
    nobody_seconds=$1
    shift
    nobody_status=0
    nobody_words ask_in_room "$@" || nobody_status=$?
    end_nobody
    return "$nobody_status"
}

ask_in_room() { # COMMAND...
    if [ -n "$NOBODY_ROOMED" ]; then
        room_words ask_now "$@"
    else
        ask_now "$@"
    fi
}

ask_now() { # COMMAND...
    ! have timeout || set -- timeout -s KILL "$nobody_seconds" "$@"
    ! have setsid || set -- setsid "$@"
    (
        cd "${NOBODY_IN:-/}"
        [ "$NOBODY_BLOCKS" = unlimited ] || ulimit -f "$NOBODY_BLOCKS"
        exec "$@"
    ) </dev/null 5<&- 6<&- 9>&- &
    NOBODY_PID=$!
    wait "$NOBODY_PID" 2>/dev/null # some shells tell of what was killed
}

# Remaining processes are in the same session, or at least of the same user.
end_nobody() {
    [ -n "$NOBODY_PID" ] || return 0
    for nobody_stat in /proc/[0-9]*/stat; do
        read -r nobody_line 2>/dev/null <"$nobody_stat" || continue
        # shellcheck disable=SC2086 # to be split: fields 3 and on of proc(5), after the name in parentheses
        set -- ${nobody_line##*) }
        nobody_left=${nobody_stat#/proc/}
        [ "${4-}" != "$NOBODY_PID" ] || kill -KILL "${nobody_left%/stat}" 2>/dev/null || :
    done
    NOBODY_PID=
    # all at once, or they could go on making others
    be_nobody /bin/sh -c '[ "$(id -u)" = "$1" ] && kill -KILL -1' sh "$NOBODY" >/dev/null 2>&1 || :
}
