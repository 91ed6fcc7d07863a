
# --- verify ----------------------------------------------------------------------------------------------

verify_bundle() {
    SUMS=
    each_file verify_file
    set -- "$(printf '%s' "$SUMS" | sha256sum)" "$(read_file SHA256SUMS | sha256sum)"
    [ "$1" = "$2" ] || damaged SHA256SUMS
}

# Many times what any file but the payload has, and what manage has. What was put in its place may have no end.
FILE_BYTES=268435456
MANAGE_BYTES=4194304

read_file() { # PATH [BYTES]
    head -c "${2:-$FILE_BYTES}" <"$BUNDLE/$1"
}

damaged() { # PATH
    die 11 "$1 does not match its checksum" "Copy the bundle again and compare its .sha256 file."
}

verify_file() { # SHA256 PATH: the payload's content is left to whoever reads it
    if [ -n "$RUN" ] && [ "$2" = "$PAYLOAD" ]; then
        : # lies elsewhere
    elif [ ! -f "$BUNDLE/$2" ] || [ -L "$BUNDLE/$2" ]; then
        die 11 "$2 is missing from the bundle, or is not a regular file" "Unpack or copy the bundle again."
    fi
    case $2 in
        install.sh) set -- "$SELF_DIGEST" "$2" ;;
        "$PAYLOAD") ;;
        manage) verify_manage "$1" ;;
        segments) verify_segments "$1" ;;
        *)
            verify_digest=$(read_file "$2" | sha256sum)
            [ "${verify_digest%% *}" = "$1" ] || damaged "$2"
            ;;
    esac
    SUMS="$SUMS$1  $2
"
}

# Root will run it: others may be able to write where the bundle lies. A copy is checked, and the copy is used.
verify_manage() { # SHA256
    MANAGE=$BUNDLE/manage
    if [ -n "$LOCKED" ]; then
        MANAGE=$WORK/manage
        read_file manage "$MANAGE_BYTES" >"$MANAGE" || die 12 "cannot copy manage to $WORK"
    fi
    [ "$(digest_of "$MANAGE")" = "$1" ] || damaged manage
}

verify_payload() {
    say "checking $PAYLOAD"
    set -- "$(with_payload hash_payload)"
    [ "${1%% *}" = "$PAYLOAD_SHA256" ] || damaged "$PAYLOAD"
}

# Of what it reads: its SHA-256, and something behind a space.
hash_payload() {
    hash_by=$(payload_hasher)
    $hash_by
}

# openssl takes half the time of a plain sha256sum(1); it is asked for a digest that is known, first.
payload_hasher() {
    if have openssl; then
        case $(printf 1 | openssl dgst -sha256 -r 2>/dev/null) in
            6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b\ *)
                echo openssl dgst -sha256 -r
                return
                ;;
        esac
    fi
    echo sha256sum
}

codec_tool() { # that the machine must have
    if needs_decompressor; then
        printf 'env gzip\n' # which unpack and start the bundle's own
    elif [ "$PAYLOAD_CODEC" != none ]; then
        printf '%s\n' "$PAYLOAD_CODEC"
    fi
}

decompress() {
    case $PAYLOAD_CODEC in
        none) cat ;;
        gzip) "$(gzip_reader)" -dc ;;
        *)
            if [ -n "$OWN_DECOMPRESSOR" ]; then
                env -i "$OWN_DECOMPRESSOR" -dc
            else
                "$PAYLOAD_CODEC" -dc
            fi
            ;;
    esac
}

# Unpacking takes as long as gzip does, and zstd, where it was built with zlib, reads the same in two thirds of the
# time. It is asked whether it was, with what the payload is: one member behind another.
gzip_reader() {
    gzip_by=gzip
    if have zstd; then
        case $({ printf 1 | gzip && printf 2 | gzip; } 2>/dev/null | zstd -dc 2>/dev/null) in
            12) gzip_by=zstd ;;
        esac
    fi
    printf '%s\n' "$gzip_by"
}
