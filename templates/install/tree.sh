
# --- tree ------------------------------------------------------------------------------------------------
# What a release was when it was whole, after relocation and bytecode: releases/<id>/list has a line for the mode and
# owner of everything, and one for each file's digest. The list's own digest is in our record.

tree_list() { # DIR
    { tree_modes "$1" && tree_digests "$1"; } | sort
}

tree_modes() ( # DIR: "mode user group path"
    cd "$1" || exit 1
    set -- . ! -name . ! -path ./list ! -path ./.complete
    if find . -prune -printf '' 2>/dev/null; then
        find "$@" \( -type l -printf '%M %U %G %p -> %l\n' -o -printf '%M %U %G %p\n' \)
    else # the same from "mode links user group size month day time path"
        find "$@" -exec ls -ldn {} + |
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
fresh_tree_list() { # DIR
    : >"$WORK/now"
    if [ ! -s "$1/share/digests" ] || [ -z "$(find "$WORK/now" -newer "$1/share/digests")" ]; then
        tree_list "$1"
        return
    fi
    tree_digests "$1" -newer "$1/share/digests" >"$WORK/young" || return 1
    (cd "$1" && sha256sum ./share/digests) >>"$WORK/young" || return 1
    {
        tree_modes "$1"
        cat "$WORK/young"
        # "digest  path": the paths that are in one of the two alone, of which the old ones count
        sort -k 2 "$1/share/digests" "$WORK/young" | uniq -u -s 65
    } | sort -u
}

list_tree() { # DIR: into WORK, before there is anything new in it
    fresh_tree_list "$1" >"$WORK/list" || die 12 "cannot read $1"
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
    intact_now=$(tree_list "$ROOT/releases/$1" | sha256sum)
    [ "${intact_now%% *}" = "${list_digest#* }" ]
}
