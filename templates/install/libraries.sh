
# --- preflight: libraries --------------------------------------------------------------------------------
# What the bundle's files need and it does not bring, looked for where the dynamic loader does: in directories that it
# is told of, in its cache, in its default directories. Of an image all of that is the image's.

check_libraries() {
    library_missing=
    library_tried=
    library_debian=
    library_rpm=
    library_unknown=
    library_known= # read when the first one is looked for
    each_library check_library
    [ -z "$library_tried" ] ||
        warn "$(library_place) lacks optional libraries of the bundle:$library_tried" \
            "Install them if a service uses the files that need them."
    [ -z "$library_missing" ] || problem \
        "$(library_place) lacks libraries that the bundle needs:$library_missing" \
        "$(library_remedy)"
}

library_place() {
    if [ -n "$IMAGE" ]; then printf 'the image'; else printf 'this machine'; fi
}

check_library() { # SONAME NEED PACKAGE PATH FILES DEBIAN RPM SEARCH
    ! has_library "$1" "$8" || return 0
    if [ "$2" = optional ]; then
        library_tried="$library_tried $1"
        return 0
    fi
    library_missing="$library_missing$ENV_NEWLINE    $1: $(library_user "$3" "$4" "$5")"
    library_debian=$(with_word "$library_debian" "$6")
    library_rpm=$(with_word "$library_rpm" "$7")
    [ -n "$6" ] && [ -n "$7" ] || library_unknown="$library_unknown $1"
}

library_user() { # PACKAGE PATH FILES
    if [ -z "$2" ]; then
        printf 'required by bundle.toml'
        return 0
    fi
    printf 'needed by %s' "${1:+$1 (}$2${1:+)}"
    [ "$3" -le 1 ] || printf ' and %s more' "$(($3 - 1))"
}

with_word() { # WORDS WORD: a blank before each
    case "$1 " in
        *" $2 "*) printf '%s' "$1" ;;
        *) printf '%s' "$1${2:+ $2}" ;;
    esac
}

library_remedy() {
    [ -z "$library_debian" ] || printf 'Debian, Ubuntu: apt-get install%s\n  ' "$library_debian"
    [ -z "$library_rpm" ] || printf 'RHEL, Fedora: dnf install%s\n  ' "$library_rpm"
    for library_one in $library_unknown; do
        printf "To find the package with %s: apt-file search %s, or dnf provides '*/%s'\n  " "$library_one" "$library_one" "$library_one"
    done
    printf 'Or add them to the bundle. Those that it does not need are "optional" in bundle.toml: [bundle] libraries'
}

has_library() { # SONAME SEARCH
    case $1 in
        /*)
            is_library "$1"
            return
            ;;
        */*) return 1 ;; # relative to the directory that a process happens to be in
    esac
    [ -n "$library_known" ] || read_library_cache
    while IFS= read -r library_file <&6; do
        ! is_library "$library_file" || return 0
    done 6<<FILES
$(library_files "$1" "$2")
FILES
    return 1
}

library_files() { # SONAME SEARCH: where it may be, a line each
    printf '%s\n' "$2:$library_path" | tr : '\n' | in_directories "$1"
    printf '%s\n' "$library_known" | sed -n "\\|/$(pattern "$1")\$|p"
    for library_dir in "$IMAGE"/lib "$IMAGE"/usr/lib "$IMAGE"/lib64 "$IMAGE"/usr/lib64 "$IMAGE"/lib/*-linux-gnu* \
        "$IMAGE"/usr/lib/*-linux-gnu*; do
        printf '%s\n' "${library_dir#"$IMAGE"}"
    done | in_directories "$1"
    [ -z "$library_unread" ] || configured_directories | in_directories "$1"
}

in_directories() { # NAME: of the absolute directories on stdin
    while IFS= read -r library_dir; do
        case $library_dir in
            /*) printf '%s\n' "${library_dir%/}/$1" ;;
        esac
    done
}

# Sets library_known to the files that the loader's cache names. Whoever has no ldconfig may have a cache: its strings
# end in NUL. Without any, the directories that one would be made of count.
read_library_cache() {
    library_path=
    [ ! -f "$ETC/$NAME.env" ] || read_environment "$ETC/$NAME.env" match_library_path
    library_unread=
    set -- -p
    [ -z "$IMAGE" ] || set -- -C "$IMAGE/etc/ld.so.cache" -p
    library_known=$(ldconfig "$@" 2>/dev/null | sed -n 's/^.* => //p') || :
    if [ -z "$library_known" ] && [ -r "$IMAGE/etc/ld.so.cache" ]; then
        library_known=$(tr '\000' '\n' <"$IMAGE/etc/ld.so.cache" | sed -n '/^\/[[:print:]]*$/p')
    elif [ -z "$library_known" ]; then
        library_unread=yes
    fi
    library_known=${library_known:-none}
}

match_library_path() { # NAME VALUE
    [ "$1" != LD_LIBRARY_PATH ] || library_path=$2
}

configured_directories() {
    for library_conf in "$IMAGE/etc/ld.so.conf" "$IMAGE"/etc/ld.so.conf.d/*.conf; do
        [ ! -r "$library_conf" ] || sed 's/#.*//; s/[[:space:]]*$//; s/^[[:space:]]*//' "$library_conf"
    done
}

# A link is followed as the image will follow it.
is_library() { # FILE, as the machine sees it: one that the loader of this platform takes
    library_at=$1
    library_hops=0
    while [ -L "$IMAGE$library_at" ]; do
        library_hops=$((library_hops + 1))
        [ "$library_hops" -le 40 ] || return 1
        library_target=$(readlink "$IMAGE$library_at")
        case $library_target in
            /*) library_at=$library_target ;;
            *) library_at=${library_at%/*}/$library_target ;;
        esac
    done
    [ -f "$IMAGE$library_at" ] || return 1
    if [ -n "$IMAGE" ]; then
        library_dir=$(cd -P "$IMAGE${library_at%/*}" && pwd -P) || return 1
        case $library_dir/ in
            "$(cd -P "$IMAGE" && pwd -P)"/*) ;;
            *) return 1 ;; # by a directory that is an absolute link: that file is this machine's
        esac
    fi
    # shellcheck disable=SC2046 # a word for each byte
    set -- $(od -An -v -tu1 -N20 "$IMAGE$library_at" 2>/dev/null)
    [ $# -eq 20 ] && [ "$1 $2 $3 $4 $5 $6 ${19} ${20}" = "$LIBRARY_BYTES" ]
}
