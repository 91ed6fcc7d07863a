
# --- the operator's ground -------------------------------------------------------------------------------
# What the operator has prepared for a first install: empty directories or volumes, and settings.

SETTINGS= # the file that --settings names

is_bare() { # DIR: it holds nothing, but for what a new filesystem has
    is_directory "$1" && [ -z "$(find "$1/." ! -name . -prune ! -name lost+found)" ]
}

is_directory() { # PATH: itself one, no link to one
    [ -d "$1" ] && [ ! -L "$1" ]
}

is_roots_alone() { # PATH: nobody else can change it
    [ -n "$(find "$1" -prune -user 0 ! -perm -0020 ! -perm -0002)" ]
}

# What only root could put there and holds nothing of anybody else's. Of settings there may be the one file.
is_prepared() { # DIR
    is_directory "$1" && is_roots_alone "$1" || return 1
    [ "$1" = "$ETC" ] || {
        is_bare "$1"
        return
    }
    [ -z "$(find "$1/." ! -name . -prune ! -name "$NAME.env")" ] || return 1
    [ ! -e "$1/$NAME.env" ] || is_roots_alone "$1/$NAME.env"
}

take_settings() { # FILE
    if [ ! -f "$1" ] || [ ! -r "$1" ]; then
        die 2 "cannot read the settings: $1" "Use a regular file with lines like NAME=value."
    fi
    SETTINGS=$1
}

# Settings are the operator's: what is there is never written over.
check_settings() {
    check_file=${SETTINGS:-$ETC/$NAME.env}
    if [ -n "$SETTINGS" ] && [ -f "$ETC/$NAME.env" ] && ! cmp -s "$SETTINGS" "$ETC/$NAME.env"; then
        problem "$ETC/$NAME.env already has other settings" "Edit that file, or omit --settings."
    fi
    [ -f "$check_file" ] && [ -r "$check_file" ] || return 0
    each_odd_setting "$check_file" warn_of_setting
}

warn_of_setting() { # LINE SENTENCE
    warn "$check_file, line $1: $2"
}
