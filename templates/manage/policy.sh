
# --- what this server demands ----------------------------------------------------------------------------
# The format of /etc/conda-bundler/policy:
#     signatures required|optional [BUNDLE]...
#     threshold NUMBER [BUNDLE]...
#     signer NAME [BUNDLE]...
# A line without a BUNDLE applies to all; a BUNDLE and a signer's NAME may contain * and ?. If several lines apply, the
# strictest counts. If the file exists, signatures are required, unless it says that they are optional.
#
# The policy and the signers (ssh-keygen's allowed_signers and revoked_keys, openssl's allowed_keys) are trusted only if
# only root can change them.

TRUST_DIR=/etc/conda-bundler
POLICY=
SIGNERS=
REVOKED=
KEYS= # a directory
DEMANDED=        # yes: signatures of this bundle are required, whatever the command line says
MAY_BE_UNSIGNED= # yes: the policy says so
THRESHOLD=1
MAY_SIGN=   # patterns of names, one a line; those that count for this bundle
ANY_SIGNER= # yes: the policy names some

read_policy() {
    POLICY=$TRUST_DIR/policy
    SIGNERS=$TRUST_DIR/allowed_signers
    REVOKED=$TRUST_DIR/revoked_keys
    KEYS=$TRUST_DIR/allowed_keys
    if [ -L "$KEYS" ] || { [ -e "$KEYS" ] && [ ! -d "$KEYS" ]; }; then
        die 10 "$KEYS is not a directory" "Make it one, with a file NAME.pem for each signer."
    fi
    for trust_file in "$POLICY" "$SIGNERS" "$REVOKED" "$KEYS"/*.pem; do
        if [ -e "$trust_file" ] || [ -L "$trust_file" ]; then
            refuse_writable "$trust_file"
        fi
    done
    [ -f "$POLICY" ] || return 0
    policy_optional=
    policy_required=
    policy_number=0
    set -f # what is in it are patterns of names, not of files
    while IFS= read -r policy_line || [ -n "$policy_line" ]; do
        policy_number=$((policy_number + 1))
        case $policy_line in
            *[!\ -~]*) bad_policy "a character that is not plain text" ;;
            '#'*) continue ;;
        esac
        # shellcheck disable=SC2086 # its words
        set -- $policy_line
        [ $# -eq 0 ] || take_policy "$@"
    done <"$POLICY"
    set +f
    [ -z "$policy_optional" ] || [ -n "$policy_required" ] || MAY_BE_UNSIGNED=yes
    [ -n "$MAY_BE_UNSIGNED" ] || DEMANDED=yes
}

bad_policy() { # SENTENCE
    die 10 "$POLICY, line $policy_number: $1" "See: docs/how-to/sign.md; or move the file away."
}

take_policy() { # WORD VALUE [BUNDLE]...
    [ $# -ge 2 ] || bad_policy "'$1' needs a value"
    policy_word=$1
    policy_value=$2
    shift 2
    check_policy
    policy_applies=
    [ $# -gt 0 ] || policy_applies=yes
    for policy_bundle in "$@"; do
        case $policy_bundle in
            *[!a-z0-9*?-]*) bad_policy "not the name of a bundle: $policy_bundle" ;;
        esac
        # shellcheck disable=SC2254 # a pattern
        case $NAME in
            $policy_bundle) policy_applies=yes ;;
        esac
    done
    case $policy_word,$policy_value,$policy_applies in
        signer,*,) ANY_SIGNER=yes ;;
        *,) ;;
        signatures,required,*) policy_required=yes ;;
        signatures,*) policy_optional=yes ;;
        threshold,*) [ "$policy_value" -le "$THRESHOLD" ] || THRESHOLD=$policy_value ;;
        *)
            ANY_SIGNER=yes
            MAY_SIGN="$MAY_SIGN$policy_value
"
            ;;
    esac
}

check_policy() { # policy_word, policy_value
    case $policy_word,$policy_value in
        signatures,required | signatures,optional) ;;
        signatures,*) bad_policy "signatures are required or optional, not '$policy_value'" ;;
        threshold,*[!0-9]* | threshold,0* | threshold,???*) bad_policy "not a number of signers: $policy_value" ;;
        threshold,*) ;;
        signer,*[!0-9A-Za-z@._+*?-]*) bad_policy "not the name of a signer: $policy_value" ;;
        signer,*) ;;
        *) bad_policy "unknown word '$policy_word'" ;;
    esac
}

# Anybody who can write to the file, or replace it, decides whom this server trusts. In a directory of root's with the
# sticky bit, others cannot rename root's files.
refuse_writable() { # FILE
    if [ -L "$1" ] || [ ! -f "$1" ]; then
        die 10 "$1 is not a regular file" "Put a file there that root owns."
    fi
    [ -n "$(find "$1" -prune -user 0 ! -perm -0020 ! -perm -0002)" ] || can_be_changed "$1"
    trust_dir=$(cd -P "${1%/*}" && pwd -P)
    while :; do
        [ -n "$(find "${trust_dir:-/}" -prune -user 0 \( ! -perm -0020 ! -perm -0002 -o -perm -1000 \))" ] ||
            can_be_changed "${trust_dir:-/}"
        [ -n "$trust_dir" ] || break
        trust_dir=${trust_dir%/*}
    done
}

can_be_changed() { # PATH
    die 10 "$1 is writable by non-root users, so nothing in $TRUST_DIR can be trusted" \
        "Make root its owner, and remove the write permission of group and others: chown root $1; chmod go-w $1"
}

counts_here() { # SIGNER: for this bundle, says the policy
    [ -n "$ANY_SIGNER" ] || return 0
    while IFS= read -r counts_pattern; do
        # shellcheck disable=SC2254 # a pattern
        case $1 in
            $counts_pattern) [ -z "$counts_pattern" ] || return 0 ;;
        esac
    done <<TEXT
$MAY_SIGN
TEXT
    return 1
}
