
# --- signatures ------------------------------------------------------------------------------------------
# Verified by openssl (openssl-signatures.sh), or by ssh-keygen(1) in the namespace conda-bundler: allowed_signers lists the
# signers and how long their keys are valid. A signer with several keys counts once, and so does a key with several names.

SIGNATURES_MOST=64

check_signatures() {
    signed_by=
    signed_count=0
    signed_keys=
    signature_problem=
    ! has_openssl_keys || [ ! -s "$WORK/signatures.openssl" ] || each_openssl_signature
    [ "$signed_count" -ge "$THRESHOLD" ] || [ ! -f "$SIGNERS" ] || each_ssh_signature
    signature_problem=${signature_problem:-it has no signature by the kind of key in $TRUST_DIR}
    if [ "$signed_count" -eq 0 ]; then
        die 17 "$BUNDLE_NAME is signed by nobody who may sign $NAME here: $signature_problem" \
            "$TRUST_DIR lists who may. Get the bundle from one of them."
    fi
    [ "$signed_count" -ge "$THRESHOLD" ] ||
        die 17 "$BUNDLE_NAME is signed by $signed_by; $POLICY requires $THRESHOLD signers, and $signed_count may sign $NAME here" \
            "Have somebody else sign it: conda-bundler sign."
    say "$BUNDLE_NAME is signed by $signed_by"
}

each_ssh_signature() {
    need_keygen
    split_signatures
    signature_problem=${signature_problem:-${STATEMENT##*/}.sig contains no signature}
    signature_number=0
    while [ "$signature_number" -lt "$split_count" ]; do
        signature_number=$((signature_number + 1))
        find_signer "$WORK/signature.$signature_number"
        count_signer
    done
}

# OpenSSH supports signatures since 8.1, and find-principals since 8.2.
need_keygen() {
    have ssh-keygen || die 10 "ssh-keygen, which verifies signatures, is missing" "Install the OpenSSH client."
    case $(ssh-keygen -Y find-principals 2>&1 </dev/null) in
        *"nsupported operation"* | *"unknown option"* | *"illegal option"* | *"invalid option"*)
            die 10 "this machine's ssh-keygen cannot verify signatures" "Install OpenSSH 8.2 or newer."
            ;;
    esac
}

split_signatures() {
    split_count=0
    split_open=
    while IFS= read -r split_line || [ -n "$split_line" ]; do
        if [ "$split_line" = "-----BEGIN SSH SIGNATURE-----" ]; then
            split_count=$((split_count + 1))
            [ "$split_count" -le "$SIGNATURES_MOST" ] ||
                die 11 "${STATEMENT##*/}.sig has more than $SIGNATURES_MOST signatures" "Sign the bundle again."
            split_open=yes
            : >"$WORK/signature.$split_count"
        fi
        [ -z "$split_open" ] || printf '%s\n' "$split_line" >>"$WORK/signature.$split_count"
        [ "$split_line" != "-----END SSH SIGNATURE-----" ] || split_open=
    done <"$WORK/signatures.sig"
}

# The one who was found, unless he or his key is counted already.
count_signer() {
    [ -n "$signer_name" ] || return 0
    case "
$signed_keys" in
        *"
$signer_name "* | *" $signer_key
"*) return 0 ;;
    esac
    signed_count=$((signed_count + 1))
    signed_by=$signed_by${signed_by:+, }$signer_name
    signed_keys="$signed_keys$signer_name $signer_key
"
}

# Sets signer_name and signer_key if it is a signature of this statement by somebody who may sign this bundle now.
find_signer() { # FILE
    signer_name=
    signer_problem=
    ssh-keygen -Y find-principals -f "$SIGNERS" -s "$1" </dev/null >"$WORK/principals" 2>"$WORK/keygen" || :
    while IFS= read -r principal <&8; do
        principal=${principal%%,*}
        case $principal in
            '' | *[!\!-~]*) continue ;;
        esac
        if ! counts_here "$principal"; then
            signer_problem="$POLICY does not allow $principal to sign $NAME"
        elif is_signed_by "$1" "$principal"; then
            signer_name=$principal
            break
        fi
    done 8<"$WORK/principals"
    [ -n "$signer_name" ] || signature_problem=${signer_problem:-$(keygen_problem)}
}

is_signed_by() { # FILE PRINCIPAL
    set -- -Y verify -f "$SIGNERS" -I "$2" -n conda-bundler -s "$1"
    ssh-keygen "$@" <"$WORK/statement" >"$WORK/verified" 2>>"$WORK/keygen" || return 1
    signer_key=$(sed -n 's/^Good "conda-bundler" signature for .* with [A-Za-z0-9-]* key \([A-Za-z0-9]*:[A-Za-z0-9+/=]*\)$/\1/p' \
        "$WORK/verified")
    [ -n "$signer_key" ] || return 1
    [ -f "$REVOKED" ] || return 0
    if ! ssh-keygen "$@" -r "$REVOKED" <"$WORK/statement" >/dev/null 2>>"$WORK/keygen"; then
        signer_problem="the key of $principal is revoked"
        return 1
    fi
}

# The reason, from ssh-keygen's messages.
keygen_problem() {
    case $(cat "$WORK/keygen") in
        *"has expired"*) echo "the key that signed it has expired, according to $SIGNERS" ;;
        *"not yet valid"*) echo "the key that signed it is not valid yet, according to $SIGNERS" ;;
        *"namespace does not match"*) echo "it was signed for a different purpose (its namespace is not conda-bundler)" ;;
        *"not permitted for use in signature namespace"*) echo "$SIGNERS does not allow the key that signed it to sign bundles" ;;
        *"incorrect signature"*) echo "the signature does not match this statement" ;;
        *"parse signature"* | *armor*) echo "the signature is damaged" ;;
        *) echo "the key that signed it is not in $SIGNERS" ;;
    esac
}
