
# --- stage -----------------------------------------------------------------------------------------------
# The release is put together under a name that nothing trusts, and gets its own only when it is whole.

STAGE_NAME=.$RELEASE.partial
STAGE= # below the root, once that is known
RELEASE_MADE= # yes: this run has put the release there

stage_release() {
    make_dir "$ROOT/releases"
    remove_leftovers
    mkdir -m 0700 "$STAGE" || die 12 "cannot create the directory $STAGE"
    find_what_is_here
    bring_decompressor
    say "unpacking $(((PAYLOAD_KIB - REUSED_KIB) / 1024)) MiB"
    unpack
    drop_decompressor
    refuse_special_files
    refuse_stray_links
    link_reused
    compose_lists
    check_unpacked
    each_file stage_file
    put "$STAGE/inventory" 0644 inventory_text
    relocate "$STAGE" "$BAKED_ROOT" "$PLACE"
    fit_units "$STAGE/units"
    fit_units_to_account "$STAGE/units"
    chmod 0755 "$STAGE" || die 12 "cannot change the mode of $STAGE"
    compile_bytecode
    [ -n "$IMAGE" ] || ! have restorecon || [ ! -e /sys/fs/selinux/enforce ] ||
        find "$STAGE" \( -type d -o -links 1 \) -exec restorecon -F {} + || die 12 "restorecon failed below $STAGE"
    activate "$STAGE"
    list_tree "$STAGE" fresh_tree_lines
    flush_all "$STAGE"
    put_tree_list "$STAGE" "$RELEASE" "$TREE_DIGEST"
    put "$STAGE/.complete" 0644 printf 'tree %s\n' "$TREE_DIGEST"
    name_release
}

find_what_is_here() {
    may_reuse || return 0
    choose_link
    [ -z "$REUSE_LINK" ] || find_reusable verify_base
    fit_segments
    [ -n "$REUSED" ] || return 0
    say "$((REUSED_KIB / 1024)) MiB are the same in earlier releases, and are $(makes_copies && echo copied || echo linked)"
}

name_release() {
    if [ -e "$ROOT/releases/$RELEASE" ]; then # one without .complete, or a damaged one
        mv -T "$ROOT/releases/$RELEASE" "$ROOT/releases/.$RELEASE.untrusted.partial" ||
            die 12 "cannot move $ROOT/releases/$RELEASE out of the way"
    else
        RELEASE_MADE=yes
    fi
    mv -T "$STAGE" "$ROOT/releases/$RELEASE" || die 12 "cannot name $ROOT/releases/$RELEASE"
    flush "$ROOT/releases"
    remove_leftovers
}

# A kernel that gives nobody a user namespace starts no unit that asks for one (217/USER). An image's kernel is not
# known yet.
fit_units() { # DIR
    [ -z "$IMAGE" ] || return 0
    has_no_user_namespaces || return 0
    for fit_unit in "$1"/*.service; do
        ! grep -q '^PrivateUsers=yes$' "$fit_unit" || put "$fit_unit" 0644 sed '/^PrivateUsers=yes$/d' "$fit_unit"
    done
}

stage_file() { # SHA256 PATH: what the release keeps of the bundle beside the payload
    case $2 in
        manifest.json) ;;
        units/* | config/* | launch/*) make_stage_dir "$STAGE/${2%/*}" ;;
        *) return 0 ;;
    esac
    if ! read_file "$2" >"$STAGE/$2" || ! chmod 0644 "$STAGE/$2"; then
        die 12 "cannot copy $2 to $STAGE"
    fi
    [ "$(digest_of "$STAGE/$2")" = "$1" ] || damaged "$2"
}

make_stage_dir() { # DIR
    [ -d "$1" ] || mkdir -p "$1" || die 12 "cannot create the directory $1"
}

flush_all() { # PATH: all of the filesystem that it is on
    sync -f "$1" 2>/dev/null || sync
}
