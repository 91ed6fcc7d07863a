
# --- files -----------------------------------------------------------------------------------------------

digest_of() { # FILE: prints its SHA-256
    digest_line=$(sha256sum <"$1") || return 1
    printf '%s\n' "${digest_line%% *}"
}

pattern() { # TEXT: as a basic regular expression
    printf '%s\n' "$1" | sed 's/[][\\.*^$|]/\\&/g'
}

head_of() { # FILE...: its first line
    cat "$@" | sed -n 1p | tr -cd '\040-\176'
}

# Writes the output of COMMAND, or stdin, to FILE (write.sh), unless that is something other than a regular file.
put() { # FILE MODE [COMMAND...]
    put_file=$1
    [ -z "$IMAGE" ] || keep_inside "${put_file%/*}"
    if [ -L "$put_file" ] || { [ -e "$put_file" ] && [ ! -f "$put_file" ]; }; then
        die 12 "$put_file is not a regular file; it is left alone" "Inspect it and move it away, then run this again."
    fi
    [ $# -gt 2 ] || set -- "$@" cat
    write_whole "$@" || die 12 "cannot write $put_file"
}

print_file() { # FILE: nothing if there is none
    [ ! -f "$1" ] || cat "$1"
}

MADE_DIRS= # directories that this run has made, the deepest first

# Creates a directory and its missing parents, with mode 0755, and adds them to the record and the undo list.
make_dir() { # DIR
    [ -z "$IMAGE" ] || keep_inside "$1"
    if [ -d "$1" ]; then
        [ ! -L "$1" ] || die 10 "$1 is a symbolic link" "Put a real directory there."
        return 0
    fi
    # Links in the path above it are the administrator's; preflight has checked who can change them.
    [ -d "${1%/*}/" ] || make_dir "${1%/*}"
    claim "made $1"
    mkdir -m 0755 "$1" || die 12 "cannot create the directory $1"
    MADE_DIRS="$1
$MADE_DIRS"
}

# The directory nearest to PATH, upwards, that exists.
nearest() { # PATH
    near=$1
    while [ ! -d "$near/" ]; do
        near=${near%/*}
    done
    printf '%s\n' "${near:-/}"
}

# rm -r is used only for our release directories, and never across mounts. The directory is renamed first, so that it does
# not look complete if the removal is interrupted.
remove_release() { # NAME below releases/
    case $1 in
        '' | . | .. | */* | *[!0-9A-Za-z._+~-]*) die 12 "not the name of a release: '$1'" ;;
    esac
    [ -e "$ROOT/releases/$1" ] || [ -L "$ROOT/releases/$1" ] || return 0
    owns "root $ROOT" || die 12 "$ROOT is not ours by our record; $1 is left alone"
    if [ -L "$ROOT" ] || [ -L "$ROOT/releases" ] || [ -L "$ROOT/releases/$1" ]; then
        die 12 "$ROOT/releases/$1 is reached through a symbolic link; it is left alone"
    fi
    if has_mount "$ROOT/releases/$1"; then
        die 12 "something is mounted at or below $ROOT/releases/$1; it is left alone" "Unmount it first."
    fi
    set -- "$ROOT/releases/$1"
    case $1 in
        */.*) ;;
        *)
            rm -rf "${1%/*}/.${1##*/}.removed.partial"
            mv -T "$1" "${1%/*}/.${1##*/}.removed.partial" || die 12 "cannot rename $1"
            set -- "${1%/*}/.${1##*/}.removed.partial"
            ;;
    esac
    rm -rf "$1" || die 12 "cannot remove $1"
}

# We hold the lock, so anything with such a name was left by a killed run.
remove_leftovers() {
    drop_activation
    for leftover in "$ROOT"/releases/.*.partial; do
        case $leftover in
            */.\*.partial) ;; # nothing fits the pattern
            *) remove_release "${leftover##*/}" ;;
        esac
    done
}

has_mount() { # DIR: at it or below it
    while read -r _ mount_point _; do
        case $mount_point in
            "$1" | "$1"/*) return 0 ;;
        esac
    done </proc/self/mounts
    return 1
}

links_in() { # DIR...: "… -> target" a line, in any tool's manner
    ls -l "$@" 2>/dev/null
}

free_of() { # k|i DIR: free KiB, or free inodes; nothing where the filesystem does not count them
    df "-P$1" "$2" 2>/dev/null |
        sed -n '$s/^.*[[:space:]]\([0-9]\{1,\}\)[[:space:]]\{1,\}[0-9]\{1,\}%[[:space:]]\{1,\}\/.*$/\1/p'
}
