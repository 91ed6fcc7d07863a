
# --- stage -----------------------------------------------------------------------------------------------
# The release is put together under a name that nothing trusts, and gets its own only when it is whole.

STAGE_NAME=.$RELEASE.partial
STAGE= # below the root, once that is known
RELEASE_MADE= # yes: this run has put the release there

stage_release() {
    make_dir "$ROOT/releases"
    remove_leftovers
    mkdir -m 0700 "$STAGE" || die 12 "cannot make the directory $STAGE"
    say "unpacking $((PAYLOAD_KIB / 1024)) MiB"
    unpack
    refuse_special_files
    refuse_stray_links
    each_file stage_file
    write_inventory
    relocate "$STAGE" "$BAKED_ROOT" "$PLACE"
    fit_units "$STAGE/units"
    compile_bytecode
    [ -n "$IMAGE" ] || ! have restorecon || [ ! -e /sys/fs/selinux/enforce ] || restorecon -RF "$STAGE" ||
        die 12 "restorecon failed below $STAGE"
    flush_all "$STAGE"
    chmod 0755 "$STAGE" || die 12 "cannot change the mode of $STAGE"
    activate "$STAGE"
    write_tree_list "$STAGE" "$RELEASE" "$TREE_DIGEST"
    printf 'tree %s\n' "$TREE_DIGEST" | put "$STAGE/.complete" 0644
    name_release
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
    read -r namespaces 2>/dev/null </proc/sys/user/max_user_namespaces || return 0
    [ "$namespaces" = 0 ] || return 0
    for fit_unit in "$1"/*.service; do
        ! grep -q '^PrivateUsers=yes$' "$fit_unit" || sed '/^PrivateUsers=yes$/d' "$fit_unit" | put "$fit_unit" 0644
    done
}

write_inventory() {
    {
        each_service list_service
        each_secret list_secret_of
    } | put "$STAGE/inventory" 0644
}

list_service() { # UNIT HEALTH-UNIT START-PERIOD TIMEOUT URL
    printf 'service %s %s %s %s %s\n' "$1" "${2:--}" "$3" "$4" "${5:--}"
}

list_secret_of() { # NAME BYTES FORMAT LENGTH DELIVERY
    printf 'secret %s %s %s %s %s\n' "$@"
}

# The digest is taken of the very stream that is unpacked. Each stage reads its input to the end even when it has
# failed, so that the digest is always that of the whole payload and says who is to blame.
# One tar unpacks all of it: that a payload cannot write through a link that it has brought along is only true within
# one. Several of them, each with a part of the payload, would be faster and could be led out of the stage.
unpack() {
    flush_meanwhile
    unpacked=$(
        {
            with_payload tee /proc/self/fd/3 | {
                decompress 3>&- 2>"$WORK/decompress" || echo failed >"$WORK/failed"
                cat >/dev/null
            } | {
                tar -xpof - -C "$STAGE" >/dev/null 2>"$WORK/tar" 3>&- || echo failed >"$WORK/failed"
                cat >/dev/null
            }
        } 3>&1 | hash_payload
    ) || die 12 "cannot read $PAYLOAD"
    rm -f "$WORK/unpacking"
    [ "${unpacked%% *}" = "$PAYLOAD_SHA256" ] || damaged "$PAYLOAD"
    # busybox tar goes on after some errors and exits with 0; whatever tar says counts, but for a clock that is slow.
    grep -v 'time stamp' "$WORK/tar" >"$WORK/complaints" || [ -f "$WORK/failed" ] || return 0
    disk_is_full || blame_payload
    die 12 "$PAYLOAD cannot be unpacked: $(head_of "$WORK/decompress" "$WORK/complaints")" \
        "Look for a full or read-only disk: df -h $ROOT; df -i $ROOT"
}

# The disk gets to work while there is still something to unpack, not after that: on a slow one it has most of it by
# then. This ends with the file, or with this script; the lock is not its own, and nobody waits for its output.
flush_meanwhile() {
    : >"$WORK/unpacking"
    (
        cd /
        while sleep 1 && [ -e "$WORK/unpacking" ] && kill -0 "$$"; do
            flush_all "$STAGE"
        done
    ) >/dev/null 2>&1 9>&- &
}

blame_payload() {
    case $(cat "$WORK/complaints") in
        *"emoving leading"* | *"contains '..'"*) blame="a name that is absolute or holds '..'" ;;
        *mknod* | *"create node"*) blame="a device" ;;
        *"hard link"* | *hardlink*) blame="a hard link" ;;
        *"Not a directory"* | *"Cannot unlink"* | *"create symlink"*) blame="a name that leads through a link" ;;
        *) return 0 ;;
    esac
    not_plain "$blame" "$(head_of "$WORK/complaints")"
}

disk_is_full() {
    ! grep -q -e 'No space left' -e 'Disk quota' -e 'Read-only' -e 'Input/output' "$WORK/tar" || return 0
    full_kib=$(free_of k "$STAGE")
    full_inodes=$(free_of i "$STAGE")
    [ "${full_kib:-9999}" -lt 1024 ] || [ "${full_inodes:-9999}" -lt 16 ]
}

stage_file() { # SHA256 PATH: what the release keeps of the bundle beside the payload
    case $2 in
        manifest.json) ;;
        units/* | config/*) make_stage_dir "$STAGE/${2%/*}" ;;
        *) return 0 ;;
    esac
    if ! cp "$BUNDLE/$2" "$STAGE/$2" || ! chmod 0644 "$STAGE/$2"; then
        die 12 "cannot copy $2 to $STAGE"
    fi
    [ "$(digest_of "$STAGE/$2")" = "$1" ] || damaged "$2"
}

make_stage_dir() { # DIR
    [ -d "$1" ] || mkdir -p "$1" || die 12 "cannot make the directory $1"
}
