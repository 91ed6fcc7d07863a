
# --- the bundle's own decompressor -----------------------------------------------------------------------
# For a machine that has none. Where the bundle is, programs may not run (a mount with noexec) and others than root may
# write. So it is copied to where the release will be, the copy is checked, unpacked and run, with nothing of the
# caller's environment.

OWN_DECOMPRESSOR= # the copy
DECOMPRESSOR_FAILS="there is no $PAYLOAD_CODEC on this machine, and the one in the bundle"
DECOMPRESSOR_REMEDY="Install $PAYLOAD_CODEC, or build the bundle with --compression gzip."

needs_decompressor() {
    [ -n "$DECOMPRESSOR" ] && ! have "$PAYLOAD_CODEC"
}

# Preflight copies nothing: it looks for what the program is going to ask of the machine.
check_decompressor() {
    needs_decompressor || return 0
    if [ -n "$DECOMPRESSOR_LOADER" ] && [ ! -x "$DECOMPRESSOR_LOADER" ]; then
        problem "$DECOMPRESSOR_FAILS needs $DECOMPRESSOR_LOADER" "$DECOMPRESSOR_REMEDY"
    elif [ -n "$DECOMPRESSOR_GLIBC" ]; then
        decompressor_glibc=$(glibc_version)
        [ -z "$decompressor_glibc" ] || at_least "$decompressor_glibc" "$DECOMPRESSOR_GLIBC" ||
            problem "$DECOMPRESSOR_FAILS needs glibc $DECOMPRESSOR_GLIBC or later, not $decompressor_glibc" \
                "$DECOMPRESSOR_REMEDY"
    fi
}

bring_decompressor() {
    needs_decompressor || return 0
    decompressor_dir=${STAGE%.partial}.$DECOMPRESSOR_DIR.partial
    mkdir -m 0700 "$decompressor_dir" || die 12 "cannot create the directory $decompressor_dir"
    each_file bring_decompressor_file
    OWN_DECOMPRESSOR=$decompressor_dir/${DECOMPRESSOR%.gz}
    # One frame of one byte: whatever keeps the program from running shows here.
    decompressor_said=$(printf '\050\265\057\375\040\001\011\000\000\061' | decompress 2>&1) || :
    [ "$decompressor_said" = 1 ] ||
        die 10 "$DECOMPRESSOR_FAILS does not run: $(printf '%s\n' "$decompressor_said" | head_of -)" "$DECOMPRESSOR_REMEDY"
}

drop_decompressor() {
    [ -n "$OWN_DECOMPRESSOR" ] || return 0
    OWN_DECOMPRESSOR=
    rm -rf "$decompressor_dir" || die 12 "cannot remove $decompressor_dir"
}

bring_decompressor_file() { # SHA256 PATH
    case $2 in
        "$DECOMPRESSOR_DIR"/*) ;;
        *) return 0 ;;
    esac
    decompressor_copy=$decompressor_dir/$2
    make_stage_dir "${decompressor_copy%/*}"
    read_file "$2" >"$decompressor_copy" || die 12 "cannot copy $2 to $decompressor_dir"
    [ "$(digest_of "$decompressor_copy")" = "$1" ] || damaged "$2"
    if ! gzip -dc <"$decompressor_copy" >"${decompressor_copy%.gz}" || ! chmod 0700 "${decompressor_copy%.gz}"; then
        die 12 "cannot unpack $decompressor_copy"
    fi
}
