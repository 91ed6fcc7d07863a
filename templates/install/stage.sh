
# --- stage -----------------------------------------------------------------------------------------------
# The release is put together under a name that nothing trusts, and gets its own only when it is whole.

STAGE=            # where a layer is unpacked
STAGED=           # the directory in it that will get the name, which is it itself or one of its own
STAGE_TOLD=       # where in the stage what the build tells of the layer is
STAGE_GOAL=       # what it will be called
RELEASE_MADE=     # yes: this run has put the release there
ENVIRONMENT_MADE= # yes: and its environment

stage_release() {
    make_dir "$ROOT/releases"
    remove_leftovers
    put_environment
    use_layer app
    STAGE_GOAL=$ROOT/releases/$RELEASE
    STAGE=$ROOT/releases/.$RELEASE.partial
    STAGED=$STAGE
    STAGE_TOLD=share
    unpack_layer
    ln -s "../../envs/$ENVIRONMENT" "$STAGE/env" || die 12 "cannot make $STAGE/env"
    each_file stage_file
    put "$STAGE/inventory" 0644 inventory_text
    relocate
    [ "$PLACE" = "$BAKED_ROOT" ] || relocate_own_files
    fit_units "$STAGE/units"
    fit_units_to_account "$STAGE/units"
    compile_bytecode "$ROOT/envs/$ENVIRONMENT/bin/python"
    label_stage
    activate "$STAGE"
    list_tree "$STAGE" fresh_tree_lines
    flush_all "$STAGE"
    put_tree_list "$STAGE/list" release "$RELEASE" "$TREE_DIGEST"
    put "$STAGE/.complete" 0644 printf 'tree %s\n' "$TREE_DIGEST"
    [ -e "$STAGE_GOAL" ] || RELEASE_MADE=yes
    name_stage
}

# An environment that is there already, whole, is taken as it is.
put_environment() {
    use_layer environment
    check_same_environment
    if is_environment "$ENVIRONMENT"; then
        say "checking the environment $ENVIRONMENT, which is installed already"
        ! environment_is_intact "$ENVIRONMENT" || return 0
        say "the environment on disk is damaged; it is put there again"
    fi
    stage_environment
}

stage_environment() {
    make_dir "$ROOT/envs"
    STAGE_GOAL=$ROOT/envs/$ENVIRONMENT
    STAGE=$ROOT/envs/.$ENVIRONMENT.partial
    STAGED=$STAGE/env
    STAGE_TOLD=env/.conda-bundler
    unpack_layer
    relocate
    compile_bytecode env/bin/python
    label_stage
    list_tree "$STAGED" fresh_tree_lines
    flush_all "$STAGE"
    put_tree_list "$STAGED/.conda-bundler/list" environment "$ENVIRONMENT" "$LAYER_DIGEST"
    put "$STAGED/.conda-bundler/complete" 0644 printf 'tree %s\n' "$LAYER_DIGEST"
    [ -e "$STAGE_GOAL" ] || ENVIRONMENT_MADE=yes
    name_stage
}

unpack_layer() {
    mkdir -m 0700 "$STAGE" || die 12 "cannot make the directory $STAGE"
    bring_decompressor
    say "unpacking $((PAYLOAD_KIB / 1024)) MiB"
    unpack
    drop_decompressor
    refuse_special_files
    refuse_stray_links
    check_unpacked
    chmod 0755 "$STAGE" || die 12 "cannot change the mode of $STAGE"
}

label_stage() {
    [ -n "$IMAGE" ] || ! have restorecon || [ ! -e /sys/fs/selinux/enforce ] || restorecon -RF "$STAGE" ||
        die 12 "restorecon failed below $STAGE"
}

name_stage() {
    if [ -e "$STAGE_GOAL" ]; then # one that is not complete, or a damaged one
        mv -T "$STAGE_GOAL" "${STAGE%.partial}.untrusted.partial" || die 12 "cannot move $STAGE_GOAL out of the way"
    fi
    mv -T "$STAGED" "$STAGE_GOAL" || die 12 "cannot name $STAGE_GOAL"
    flush "${STAGE_GOAL%/*}"
    remove_leftovers
}

# A kernel that gives nobody a user namespace starts no unit that asks for one (217/USER). An image's kernel is not
# known yet.
fit_units() { # DIR
    [ -z "$IMAGE" ] || return 0
    read -r namespaces 2>/dev/null </proc/sys/user/max_user_namespaces || return 0
    [ "$namespaces" = 0 ] || return 0
    for fit_unit in "$1"/*.service; do
        ! grep -q '^PrivateUsers=yes$' "$fit_unit" || put "$fit_unit" 0644 sed '/^PrivateUsers=yes$/d' "$fit_unit"
    done
}

inventory_text() {
    each_service list_service && each_secret list_secret_of || return 1
    [ -z "$SERVICE_UID" ] || printf 'uid %s\n' "$SERVICE_UID"
}

list_service() { # UNIT HEALTH-UNIT START-PERIOD TIMEOUT URL
    printf 'service %s %s %s %s %s\n' "$1" "${2:--}" "$3" "$4" "${5:--}"
}

list_secret_of() { # NAME BYTES FORMAT LENGTH DELIVERY
    printf 'secret %s %s %s %s %s\n' "$@"
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

flush_all() { # PATH: all of the filesystem that it is on
    sync -f "$1" 2>/dev/null || sync
}
