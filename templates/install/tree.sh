
# --- tree ------------------------------------------------------------------------------------------------
# What a release was when it was whole, after relocation and bytecode: releases/<id>/list has a line for the mode and
# owner of everything, and one for each file's digest. The list's own digest is in our record.

tree_list() { # DIR
    (
        cd "$1" || exit 1
        # "mode links user group size month day time path": without what is of no matter
        find . ! -name . ! -path ./list ! -path ./.complete -exec ls -ldn {} + |
            sed 's|^\([^ .+@]*\)[.+@]\{0,1\}  *[^ ]*  *\([^ ]*\)  *\([^ ]*\)  *[^ ]*  *[^ ]*  *[^ ]*  *[^ ]* |\1 \2 \3 |'
        find . -type f ! -path ./list ! -path ./.complete -exec sha256sum {} +
    ) | sort
}

write_tree_list() { # DIR RELEASE TREE-DIGEST
    tree_list "$1" >"$WORK/list" || die 12 "cannot read $1" # whole, before there is anything new in it
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
