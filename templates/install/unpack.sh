
# --- unpack ----------------------------------------------------------------------------------------------
# What takes longest is to make the files, and one tar makes them on one processor. So a payload of some size has parts,
# each of them a tar but for its end, that are unpacked at the same time.
#
# Each has a directory of its own until every digest was right. That a payload cannot write through a link that it has
# brought along is only true within one tar: two in one directory could be led out of it.

unpack() {
    flush_meanwhile
    # shellcheck disable=SC2086 # words: SHA256 OFFSET LENGTH of each part
    set -- ${PAYLOAD_PARTS:-$PAYLOAD_SHA256 0 all}
    make_part_dirs "$@"
    list_ranges "$@"
    unpack_parts "$@"
    rm -f "$WORK/unpacking"
    check_parts "$@"
    # busybox tar goes on after some errors and exits with 0; whatever tar says counts, but for a clock that is slow.
    cat "$WORK"/tar.* >"$WORK/tar"
    if grep -v 'time stamp' "$WORK/tar" >"$WORK/complaints" || [ -f "$WORK/failed" ]; then
        disk_is_full || blame_payload
        die 12 "$PAYLOAD cannot be unpacked: $(head_of "$WORK"/decompress.* "$WORK/complaints")" \
            "Check for a full or read-only disk: df -h $ROOT; df -i $ROOT"
    fi
    join_parts "$@"
    flush_all "$STAGE" >/dev/null 2>&1 9>&- & # all that is looked at next takes as long
}

part_dir() { # OFFSET: where that part is unpacked; the first into the stage itself
    case $1 in
        0) printf '%s\n' "$STAGE" ;;
        *) printf '%s\n' "${STAGE%.partial}.$1.partial" ;;
    esac
}

make_part_dirs() { # [SHA256 OFFSET LENGTH]...
    while [ $# -gt 3 ]; do
        shift 3
        mkdir -m 0700 "$(part_dir "$2")" || die 12 "cannot create the directory $(part_dir "$2")"
    done
}

# All at once. A pipeline is how a shell waits for several, and how a signal ends them all; nothing flows through this one.
unpack_parts() { # [SHA256 OFFSET LENGTH]...
    if [ $# -gt 3 ]; then
        unpack_part "$2" | {
            shift 3
            unpack_parts "$@"
        }
    else
        unpack_part "$2"
    fi
}

# Digests are taken of the very stream that is unpacked. Each stage reads its input to the end even when it has failed,
# so that a digest is always that of all that was read and says who is to blame.
unpack_part() { # OFFSET
    [ -s "$WORK/ranges.$1" ] || return 0 # all of it is in earlier releases
    each_range "$1" send_range | {
        decompress 2>"$WORK/decompress.$1" || echo failed >"$WORK/failed"
        cat >/dev/null
        head -c 1024 /dev/zero # the end of a tar, which only the last part has
    } | {
        # GNU tar reads and writes 10 KiB at a time unless it is told otherwise; other tars do not look there.
        TAR_OPTIONS=--blocking-factor=128 tar -xpof - -C "$(part_dir "$1")" >/dev/null 2>"$WORK/tar.$1" ||
            echo failed >"$WORK/failed"
        cat >/dev/null
    }
}

send_range() { # SHA256 OFFSET LENGTH
    {
        with_payload_part "$2" "$3" tee /proc/self/fd/3 | hash_payload 3>&- >"$WORK/digest.$2" || : >"$WORK/digest.$2"
    } 3>&1
}

check_parts() { # [SHA256 OFFSET LENGTH]...
    while [ $# -gt 0 ]; do
        each_range "$2" check_range
        shift 3
    done
}

check_range() { # SHA256 OFFSET LENGTH
    read -r part_digest _ <"$WORK/digest.$2" || die 12 "cannot read $PAYLOAD"
    [ "$part_digest" = "$1" ] || damaged "$PAYLOAD"
}

join_parts() { # [SHA256 OFFSET LENGTH]...
    while [ $# -gt 3 ]; do
        shift 3
        part=$(part_dir "$2")
        join "$part" "$STAGE" || exit
        find "$part" -depth -type d -exec rmdir {} + || die 12 "cannot remove $part"
    done
}

# Most of a part is in directories that no other part has, and moves with them.
join() ( # FROM TO
    from=$1 to=$2
    set --
    for name in "$from"/* "$from"/.[!.]* "$from"/..?*; do
        [ -e "$name" ] || [ -L "$name" ] || continue # nothing fits the pattern
        there=$to/${name##*/}
        if is_directory "$name" && is_directory "$there"; then
            join "$name" "$there" || exit
        elif [ -e "$there" ] || [ -L "$there" ]; then
            not_plain "a name twice" "${there#"$STAGE"/}"
        else
            set -- "$@" "$name"
        fi
        [ $# -lt 500 ] || {
            put_in "$to" "$@"
            set --
        }
    done
    [ $# -eq 0 ] || put_in "$to" "$@"
)

put_in() { # DIR PATH...
    put_dir=$1
    shift
    mv "$@" "$put_dir/" || die 12 "cannot move what was unpacked to $put_dir" \
        "Check for a full or read-only disk: df -h $ROOT; df -i $ROOT"
}

# The disk gets to work while there is still something to unpack, not after that: on a slow one it has most of it by
# then. This ends with the file, or with this script; the lock is not its own, and nobody waits for its output.
flush_meanwhile() {
    : >"$WORK/unpacking"
    (
        cd /
        while sleep 1 && [ -e "$WORK/unpacking" ] && kill -0 "$$"; do
            flush_all "$STAGE"
        done
    ) >/dev/null 2>&1 9>&- &
}

blame_payload() {
    case $(cat "$WORK/complaints") in
        *"emoving leading"* | *"contains '..'"*) blame="a name that is absolute or holds '..'" ;;
        *mknod* | *"create node"*) blame="a device" ;;
        *"hard link"* | *hardlink*) blame="a hard link" ;;
        *"Not a directory"* | *"Cannot unlink"* | *"create symlink"*) blame="a name that leads through a link" ;;
        *) return 0 ;;
    esac
    not_plain "$blame" "$(head_of "$WORK/complaints")"
}

disk_is_full() {
    ! grep -q -e 'No space left' -e 'Disk quota' -e 'Read-only' -e 'Input/output' "$WORK/tar" || return 0
    full_kib=$(free_of k "$STAGE")
    full_inodes=$(free_of i "$STAGE")
    [ "${full_kib:-9999}" -lt 1024 ] || [ "${full_inodes:-9999}" -lt 16 ]
}
