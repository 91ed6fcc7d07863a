
# --- signatures by openssl -------------------------------------------------------------------------------
# For servers whose ssh-keygen cannot verify signatures: RSA or ECDSA signatures of the statement's SHA-256, in base64,
# one a line. Who signed is the name of the file in allowed_keys that has the public key, NAME.pem; a key counts for as
# long as its file is there.

has_openssl_keys() {
    for openssl_key in "$KEYS"/*.pem; do
        [ ! -f "$openssl_key" ] || return 0
    done
    return 1
}

each_openssl_signature() {
    have openssl || die 10 "openssl is missing, which verifies ${STATEMENT##*/}.openssl" "Install it."
    check_openssl_names
    openssl_count=0
    while IFS= read -r openssl_line <&8 || [ -n "$openssl_line" ]; do
        openssl_count=$((openssl_count + 1))
        [ "$openssl_count" -le "$SIGNATURES_MOST" ] ||
            die 11 "${STATEMENT##*/}.openssl has more than $SIGNATURES_MOST signatures" "Sign the bundle again."
        printf '%s\n' "$openssl_line" | openssl base64 -d -A >"$WORK/signature" 2>/dev/null || :
        if [ -s "$WORK/signature" ]; then
            find_openssl_signer
            count_signer
        else
            signature_problem="a signature in ${STATEMENT##*/}.openssl is damaged"
        fi
    done 8<"$WORK/signatures.openssl"
}

check_openssl_names() {
    for openssl_key in "$KEYS"/*.pem; do
        openssl_name=$(openssl_name_of "$openssl_key")
        case $openssl_name in
            *[!0-9A-Za-z@._+-]*)
                die 10 "not the name of a signer: $(printf '%s' "$openssl_key" | harmless)" "Rename that file."
                ;;
        esac
    done
}

openssl_name_of() { # FILE
    openssl_file=${1##*/}
    printf '%s\n' "${openssl_file%.pem}"
}

# Sets signer_name and signer_key as find_signer does, for the signature in WORK.
find_openssl_signer() {
    signer_name=
    signer_problem=
    for openssl_key in "$KEYS"/*.pem; do
        openssl dgst -sha256 -verify "$openssl_key" -signature "$WORK/signature" "$WORK/statement" >/dev/null 2>&1 ||
            continue
        openssl_name=$(openssl_name_of "$openssl_key")
        if ! counts_here "$openssl_name"; then
            signer_problem="$openssl_name may not sign $NAME, says $POLICY"
            continue
        fi
        signer_name=$openssl_name
        signer_key=$openssl_key # two files with the same key: it is always the first one that is found
        return 0
    done
    signature_problem=${signer_problem:-no key in $KEYS has made the signature in ${STATEMENT##*/}.openssl}
}
