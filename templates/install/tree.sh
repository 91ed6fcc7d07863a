
# --- tree ------------------------------------------------------------------------------------------------
# What a release was when it was whole, after relocation and bytecode: releases/<id>/list has a line for the mode and
# owner of everything, and one for each file's digest. The list's own digest is in our record.

tree_lines() { # DIR: in any order
    tree_modes "$1" && tree_digests "$1"
}

tree_modes() ( # DIR: "mode user group path"
    cd "$1" || exit 1
    set -- . ! -name . ! -path ./list ! -path ./.complete
    if find . -prune -printf '' 2>/dev/null; then
        find "$@" \( -type l -printf '%M %U %G %p -> %l\n' -o -printf '%M %U %G %p\n' \)
    else # the same from "mode links user group size month day time path"
        modes_listed=$(find "$@" -exec ls -ldn {} +) || exit 1
        printf '%s\n' "$modes_listed" |
            sed 's|^\([^ .+@]*\)[.+@]\{0,1\}  *[^ ]*  *\([^ ]*\)  *\([^ ]*\)  *[^ ]*  *[^ ]*  *[^ ]*  *[^ ]* |\1 \2 \3 |'
    fi
)

tree_digests() ( # DIR [FIND-EXPRESSION...]
    cd "$1" || exit 1
    shift
    find . -type f ! -path ./list ! -path ./.complete "$@" -exec sha256sum {} +
)

# The same for a release that was unpacked just now, whose digest was the right one: share/digests says what the files
# were, all of one age, and only what was made or changed on this machine, and is younger, has to be read. A clock that
# is behind that age cannot tell; nor is there a list where a name would need quoting.
fresh_tree_lines() { # DIR
    : >"$WORK/now"
    if [ ! -s "$1/share/digests" ] || [ -z "$(find "$WORK/now" -newer "$1/share/digests")" ]; then
        tree_lines "$1"
        return
    fi
    tree_digests "$1" -newer "$1/share/digests" >"$WORK/young" &&
        (cd "$1" && sha256sum ./share/digests) >>"$WORK/young" &&
        sort -k 2 "$1/share/digests" "$WORK/young" >"$WORK/both" || return 1
    # "digest  path": the paths that are in one of the two alone, of which the old ones count
    tree_modes "$1" && cat "$WORK/young" && uniq -u -s 65 "$WORK/both"
}

# Into WORK, before there is anything new in the directory. In a pipeline nobody would hear of a step that has failed.
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
