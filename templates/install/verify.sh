
# --- verify ----------------------------------------------------------------------------------------------

verify_bundle() {
    SUMS=
    each_file verify_file
    set -- "$(printf '%s' "$SUMS" | sha256sum)" "$(digest_of "$BUNDLE/SHA256SUMS")"
    [ "${1%% *}" = "$2" ] || damaged SHA256SUMS
}

damaged() { # PATH
    die 11 "$1 is not the file that was built" "Copy the bundle again and compare its .sha256 file."
}

verify_file() { # SHA256 PATH: the payload's content is left to whoever reads it
    if [ ! -f "$BUNDLE/$2" ] || [ -L "$BUNDLE/$2" ]; then
        die 11 "$2 is missing from the bundle, or is not a plain file" "Unpack or copy the bundle again."
    fi
    case $2 in
        install.sh) set -- "$SELF_DIGEST" "$2" ;;
        "$PAYLOAD") ;;
        *) [ "$(digest_of "$BUNDLE/$2")" = "$1" ] || damaged "$2" ;;
    esac
    SUMS="$SUMS$1  $2
"
}

verify_payload() {
    say "checking $PAYLOAD"
    [ "$(digest_of "$BUNDLE/$PAYLOAD")" = "$PAYLOAD_SHA256" ] || damaged "$PAYLOAD"
}

codec_tool() {
    case $PAYLOAD_CODEC in
        gzip | zstd | xz) printf '%s\n' "$PAYLOAD_CODEC" ;;
    esac
}

decompress() {
    case $PAYLOAD_CODEC in
        none) cat ;;
        *) "$PAYLOAD_CODEC" -dc ;;
    esac
}
