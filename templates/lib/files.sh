
# --- files -----------------------------------------------------------------------------------------------

flush() { # PATH: this file or directory to the disk
    sync "$1" 2>/dev/null || sync
}

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

# Writes to FILE what COMMAND prints, or what is on stdin: whole or not at all, through no link that somebody has laid
# there. Of a pipeline into it nobody would hear that what is left of the | has failed half-way; a COMMAND that is a
# function joins its steps with &&, since set -e is off in it.
put() { # FILE MODE [COMMAND...]
    put_file=$1
    put_mode=$2
    put_new="${1%/*}/.${1##*/}.new"
    shift 2
    [ -z "$IMAGE" ] || keep_inside "${put_file%/*}"
    [ $# -gt 0 ] || set -- cat
    if [ -L "$put_file" ] || { [ -e "$put_file" ] && [ ! -f "$put_file" ]; }; then
        die 12 "$put_file is not a plain file; it is left alone" "Look at it and move it away, then run this again."
    fi
    rm -f "$put_new" || die 12 "cannot remove $put_new"
    (
        set -C # never into a file that is there already
        umask 077
        "$@" >"$put_new"
    ) || put_failed
    chmod "$put_mode" "$put_new" || put_failed
    flush "$put_new" || put_failed
    mv -fT "$put_new" "$put_file" || put_failed
    flush "${put_file%/*}"
}

put_failed() { # what is left there would keep its directory from being removed again
    rm -f "$put_new"
    die 12 "cannot write $put_file"
}

print_file() { # FILE: nothing if there is none
    [ ! -f "$1" ] || cat "$1"
}

MADE_DIRS= # directories that this run has made, the deepest first

# Makes a directory and what is missing above it, each 0755; the record says which, the undo list too.
make_dir() { # DIR
    [ -z "$IMAGE" ] || keep_inside "$1"
    if [ -d "$1" ]; then
        [ ! -L "$1" ] || die 10 "$1 is a symbolic link" "Put a real directory there."
        return 0
    fi
    # Above the directory itself a link is the admin's own affair; preflight has looked at who can change it.
    [ -d "${1%/*}/" ] || make_dir "${1%/*}"
    claim "made $1"
    mkdir -m 0755 "$1" || die 12 "cannot make the directory $1"
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

remove_release() { # NAME
    remove_below releases "$1"
}

remove_environment() { # ID
    remove_below envs "$1"
}

# rm -r only ever gets a directory of ours, of a release or an environment, and crosses no mount. Cut off in between it
# must not look whole: it goes under a name that nothing trusts.
remove_below() { # releases|envs NAME
    case $2 in
        '' | . | .. | */* | *[!0-9A-Za-z._+~-]*) die 12 "not a name of ours below $1: '$2'" ;;
    esac
    [ -e "$ROOT/$1/$2" ] || [ -L "$ROOT/$1/$2" ] || return 0
    owns "root $ROOT" || die 12 "$ROOT is not ours by our record; $2 is left alone"
    if [ -L "$ROOT" ] || [ -L "$ROOT/$1" ] || [ -L "$ROOT/$1/$2" ]; then
        die 12 "$ROOT/$1/$2 is reached through a symbolic link; it is left alone"
    fi
    if has_mount "$ROOT/$1/$2"; then
        die 12 "something is mounted at or below $ROOT/$1/$2; it is left alone" "Unmount it first."
    fi
    set -- "$ROOT/$1/$2"
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

# We hold the lock: whatever carries such a name was left by a run that was killed.
remove_leftovers() {
    drop_activation
    for leftover in "$ROOT"/releases/.*.partial "$ROOT"/envs/.*.partial; do
        case $leftover in
            */.\*.partial) ;; # nothing fits the pattern
            "$ROOT"/envs/*) remove_environment "${leftover##*/}" ;;
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

