
# --- tree ------------------------------------------------------------------------------------------------
# The content of a complete release, after relocation and bytecode: releases/<id>/list has a line with the mode and owner
# of each path, and one with each file's digest. The digest of the list itself is in our record.
#     MODE USER GROUP PATH
#     MODE USER GROUP PATH -> TARGET
#     DIGEST  PATH
# The lines for a file do not depend on the tools. ls, sha256sum and find each print unusual names differently, which also
# changes between versions. So lines for names with a control character, a backslash or an arrow are written here, one by
# one, with these escaped for printf %b: \0012, \\, \0076.

TREE_CONTROLS=$(printf '\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020\021\022\023\024\025\026\027')
TREE_CONTROLS=$TREE_CONTROLS$(printf '\030\031\032\033\034\035\036\037\177')
TREE_UNUSUAL="*[$(printf '\001-\037\177')\\\\]*" # for find, which a list would take three times as long

# What find starts with "sh CONTROLS PATH...".
TREE_WRITTEN='
    controls=$1
    shift
    written() { # TEXT
        rest=$1
        case $rest in
            *" -> "*) unusual="$controls>" ;;
            *) unusual=$controls ;;
        esac
        while case $rest in *["$unusual"\\]*) ;; *) false ;; esac do
            usual=${rest%%["$unusual"\\]*}
            rest=${rest#"$usual"}
            tail=${rest#?}
            case $rest in
                \\*) printf "%s%s" "$usual" "\\\\" ;;
                *) printf "%s\\\\0%03o" "$usual" "\"${rest%"$tail"}" ;;
            esac
            rest=$tail
        done
        printf %s "$rest"
    }
'
TREE_DIGEST_LINES=$TREE_WRITTEN'
    for path; do
        digest=$(sha256sum <"$path") || exit
        printf "%s  " "${digest%% *}"
        written "$path"
        echo
    done
'
# Of "mode links user group size month day time path", of which the path may not be as it is.
TREE_MODE_LINES=$TREE_WRITTEN'
    mode_and_owner() { # WORDS OF ls
        printf "%s %s %s " "${1%[.+@]}" "$3" "$4"
    }
    link() {
        case $row in
            *[!\ -~]* | *[?\\]*) target= ;;
            *" $path -> "*) target=${row#*" $path -> "} ;;
            *) target= ;;
        esac
        if [ -z "$target" ]; then
            target=$(readlink "$path" && echo x) || exit
            target=${target%?x}
        fi
        written "$path"
        printf " -> "
        written "$target"
    }
    set -f
    for path; do
        row=$(ls -ldn "$path" && echo x) || exit
        row=${row%?x} # the x keeps line breaks at the end
        mode_and_owner $row
        case $row in
            l*) link ;;
            *) written "$path" ;;
        esac
        echo
    done
'

tree_lines() { # DIR: in any order
    find_unusual "$1" && tree_modes "$1" && tree_digests "$1"
}

# Most releases have no unusual names, and checking each path several times would take longer than everything else.
find_unusual() { # DIR
    TREE_FOUND=$(cd "$1" && find . \( -name "$TREE_UNUSUAL" -o -name '* -> *' \))
}

tree_modes() ( # DIR
    cd "$1" || exit 1
    set -- . ! -name . ! -path ./list ! -path ./.complete
    if find . -prune -printf '' 2>/dev/null; then
        tree_modes_printed "$@"
    else
        tree_modes_listed "$@"
    fi
)

tree_modes_printed() { # FIND-EXPRESSION...
    if [ -z "$TREE_FOUND" ]; then
        find "$@" \( ! -type l -printf '%M %U %G %p\n' \
            -o ! -lname "$TREE_UNUSUAL" ! -lname '* -> *' -printf '%M %U %G %p -> %l\n' \) &&
            find "$@" \( -lname "$TREE_UNUSUAL" -o -lname '* -> *' \) \
                -exec sh -c "$TREE_MODE_LINES" sh "$TREE_CONTROLS" {} +
    else
        find "$@" ! -path "$TREE_UNUSUAL" ! -path '* -> *' \( ! -type l -printf '%M %U %G %p\n' \
            -o ! -lname "$TREE_UNUSUAL" ! -lname '* -> *' -printf '%M %U %G %p -> %l\n' \) &&
            find "$@" \( -path "$TREE_UNUSUAL" -o -path '* -> *' -o -lname "$TREE_UNUSUAL" -o -lname '* -> *' \) \
                -exec sh -c "$TREE_MODE_LINES" sh "$TREE_CONTROLS" {} +
    fi
}

# The same for a find that prints only names. busybox ls prints a question mark for each character that is not ASCII, also
# in targets of links; the pattern matches names with characters other than ] to ~ and space to [.
tree_modes_listed() { # FIND-EXPRESSION...
    modes_listed=$(find "$@" ! -type l ! -path '*[!]-~ -[^]*' ! -path '* -> *' -exec ls -ldn {} +) || return 1
    [ -z "$modes_listed" ] || printf '%s\n' "$modes_listed" |
        sed 's|^\([^ .+@]*\)[.+@]\{0,1\}  *[^ ]*  *\([^ ]*\)  *\([^ ]*\)  *[^ ]*  *[^ ]*  *[^ ]*  *[^ ]* |\1 \2 \3 |'
    find "$@" \( -type l -o -path '*[!]-~ -[^]*' -o -path '* -> *' \) \
        -exec sh -c "$TREE_MODE_LINES" sh "$TREE_CONTROLS" {} +
}

tree_digests() ( # DIR [FIND-EXPRESSION...]
    cd "$1" || exit 1
    shift
    set -- . -type f ! -path ./list ! -path ./.complete "$@"
    if [ -z "$TREE_FOUND" ]; then
        find "$@" -exec sha256sum {} +
    else
        find "$@" ! -path "$TREE_UNUSUAL" ! -path '* -> *' -exec sha256sum {} + &&
            find "$@" \( -path "$TREE_UNUSUAL" -o -path '* -> *' \) \
                -exec sh -c "$TREE_DIGEST_LINES" sh "$TREE_CONTROLS" {} +
    fi
)

# Into WORK, before anything is added to the directory. In a pipeline, a failed step would go unnoticed.
list_tree() { # DIR tree_lines | fresh_tree_lines
    "$2" "$1" >"$WORK/lines" || die 12 "cannot read $1"
    sort -u "$WORK/lines" >"$WORK/list" || die 12 "cannot sort the list of the files of $1"
}

put_tree_list() { # DIR RELEASE TREE-DIGEST, with the list in WORK
    put "$1/list" 0644 <"$WORK/list"
    unclaim "release $2"
    claim "release $2 $3 $(digest_of "$1/list")"
}

release_record() { # RELEASE: "TREE-DIGEST LIST-DIGEST"
    owned release | sed -n "s/^$(pattern "$1") //p" | tail -n 1
}

list_is_ours() { # RELEASE
    list_digest=$(release_record "$1")
    [ -f "$ROOT/releases/$1/list" ] && [ "$(digest_of "$ROOT/releases/$1/list")" = "${list_digest#* }" ]
}

is_intact() { # RELEASE
    list_is_ours "$1" || return 1
    intact_now=$(tree_lines "$ROOT/releases/$1" | sort -u | sha256sum)
    [ "${intact_now%% *}" = "${list_digest#* }" ]
}
