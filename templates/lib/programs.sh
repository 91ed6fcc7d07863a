
# --- programs of the machine ------------------------------------------------------------------------------

have() { # PROGRAM
    command -v "$1" >/dev/null 2>&1
}

# busybox runs its own applets, which support less, unless it is given a path.
path_of() { # PROGRAM
    for path_dir in /usr/bin /bin /usr/sbin /sbin /usr/local/bin /usr/local/sbin; do
        [ ! -x "$path_dir/$1" ] || {
            printf '%s\n' "$path_dir/$1"
            return 0
        }
    done
    printf '%s\n' "$1"
}
