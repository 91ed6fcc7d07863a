
# --- upgrade ---------------------------------------------------------------------------------------------
# The installed manage verifies the new bundle before any of its code runs: the server's policy (policy.sh), the
# signatures of the statement (statement.sh, signatures.sh), and the checksums of all files, in a copy that only root can
# change (bundle-copy.sh). Then it checks that it is the same bundle, for this machine, and not an older version
# (version-order.sh). The install.sh in that copy does the rest.

UNSIGNED=
ALLOW_DOWNGRADE=
INSTALL_WORDS= # of the command line, for install.sh; each ends with a line break
UPGRADE_CHILD=

check_bundle_given() {
    [ -n "$OPERAND" ] || misuse "$COMMAND needs a bundle: a .tar, a .run or a directory"
}

add_install_words() { # WORD...
    for install_word in "$@"; do
        case $install_word in
            *"
"*) misuse "$1 must not contain a line break" ;;
        esac
        INSTALL_WORDS="$INSTALL_WORDS$install_word
"
    done
}

upgrade() {
    catch_signals : drop_copy
    need_release
    find_bundle
    remove_old_copies
    read_policy
    if is_unsigned; then
        STATEMENT=
    else
        take_statement
        check_statement
        check_signatures
    fi
    copy_bundle
    check_copy
    check_identity
    check_order
    run_new_install
}

# Whether no signature is required.
is_unsigned() {
    if [ -n "$UNSIGNED" ]; then
        [ -z "$DEMANDED" ] || die 17 "$POLICY requires signatures of $NAME; --unsigned is refused" \
            "Get a signed bundle, or change the policy."
        warn "--unsigned: the signatures of this bundle are not verified"
        return 0
    fi
    [ -z "$STATEMENT" ] || return 1
    [ -n "$MAY_BE_UNSIGNED" ] || die 17 "$BUNDLE_NAME is not signed: $BUNDLE_NAME.statement is missing" \
        "Copy it and its .sig to the server, too$(other_way)."
    warn "this bundle is not signed, which $POLICY allows"
}

other_way() {
    [ -n "$DEMANDED" ] || printf ', or install without verifying signatures: --unsigned'
}

# The bundle that install.sh names has to be the one that was signed, and the one that is installed here.
check_identity() {
    identity_name=$(header_value NAME)
    identity_release=$(header_value RELEASE)
    identity_platform=$(header_value PLATFORM)
    [ -z "$STATEMENT" ] ||
        [ "$identity_name $identity_release $identity_platform" = "$SIGNED_NAME $SIGNED_RELEASE $SIGNED_PLATFORM" ] ||
        die 11 "install.sh belongs to $identity_name $identity_release, but $SIGNED_NAME $SIGNED_RELEASE was signed" \
            "Do not use this bundle. Ask whoever signed it."
    refuse_other "$identity_name" "$identity_release" "$identity_platform"
}

header_value() { # VARIABLE of the copy's install.sh
    sed -n "s/^$1=//p" "$COPY/$TOP/install.sh" | sed -n 1p | tr -d \' | tr -cd '\040-\176'
}

refuse_other() { # NAME RELEASE PLATFORM
    [ "$1" = "$NAME" ] || die 17 "this is the bundle '$1', not $NAME" "Upgrade that one with its own manage."
    [ "$3" = "$PLATFORM" ] || die 17 "this bundle is for $3, not for $PLATFORM" "Get the one for $PLATFORM."
    case $2 in
        *-????????????) ;;
        *) die 11 "not the name of a release: '$2'" "Build the bundle again." ;;
    esac
    case $2 in
        *[!0-9A-Za-z._+~-]* | .*) die 11 "not the name of a release: '$2'" "Build the bundle again." ;;
    esac
}

# An attacker who cannot sign anything could still offer an older signed bundle with known vulnerabilities.
check_order() {
    order_from=$RELEASE
    case $(transaction_value action) in
        install | rollback) order_from=$(transaction_value from) ;; # "current" may have been switched already
    esac
    [ -n "$order_from" ] || order_from=$RELEASE
    [ "$identity_release" != "$order_from" ] || return 0 # installing it again repairs it
    order_new=${identity_release%-*}
    order_old=${order_from%-*}
    order_problem=
    case $(version_order "$order_new" "$order_old") in
        older) order_problem="$identity_release is older than the current release, $order_from" ;;
        same) order_problem="$identity_release is a different build of the current version, $order_from, and may be older" ;;
    esac
    [ -n "$order_problem" ] || return 0
    if [ -z "$ALLOW_DOWNGRADE" ]; then
        die 17 "$order_problem" "To install it anyway: --allow-downgrade."
    fi
    warn "$order_problem"
}

# It takes the lock itself. Signals to this process are passed on to it.
run_new_install() {
    IFS='
'
    set -f
    # shellcheck disable=SC2086 # a word a line
    set -- $INSTALL_WORDS
    set +f
    unset IFS
    [ -z "$HEALTH_TIMEOUT" ] || set -- "$@" --health-timeout "$HEALTH_TIMEOUT"
    say "handing over to the install.sh of $identity_release"
    drop_lock
    exec 9>&-
    sh "$COPY/$TOP/install.sh" "$@" &
    UPGRADE_CHILD=$!
    trap 'kill -TERM "$UPGRADE_CHILD" 2>/dev/null || :' HUP INT TERM
    upgrade_status=0
    wait "$UPGRADE_CHILD" || upgrade_status=$?
    while kill -0 "$UPGRADE_CHILD" 2>/dev/null; do # a signal has ended the wait
        upgrade_status=0
        wait "$UPGRADE_CHILD" || upgrade_status=$?
    done
    [ "$upgrade_status" -eq 0 ] || exit "$upgrade_status"
}
