
# --- rollback --------------------------------------------------------------------------------------------

rollback() {
    case $(transaction_value action) in
        rotate | uninstall | purge) recover ;;
    esac
    RELEASE=$(rollback_goal)
    if [ -z "$RELEASE" ]; then
        RELEASE=$(current_release)
        die 10 "there is no release to roll back to" "See: manage releases; or install an older bundle."
    fi
    is_complete "$RELEASE" ||
        die 10 "there is no complete release $RELEASE" "See: manage releases; or install its bundle."
    if ! is_pending && [ "$(current_release)" = "$RELEASE" ]; then
        die 10 "$RELEASE is the current release already" "See: manage releases"
    fi
    is_intact "$RELEASE" || die 11 "the files of $RELEASE have been modified" \
        "See: manage verify $RELEASE; or install its bundle again."
    check_secrets_of "$RELEASE"
    change_over rollback rolled-back
    say "is the current release now"
    [ -z "$BARE" ] || warn "running services still use another release" "Restart the services."
}

# After an interruption: a rollback continues to its target, an upgrade is rolled back to its origin.
rollback_goal() {
    if [ -n "$OPERAND" ]; then
        printf '%s\n' "$OPERAND"
        return 0
    fi
    case $(transaction_value action) in
        rollback) transaction_value to ;;
        install) transaction_value from ;;
        *) previous_release ;;
    esac
}

check_secrets_of() { # RELEASE
    each_secret_of "$1" check_secret
}

check_secret() { # NAME
    [ -n "$(secret_value "$1" "$secret_delivery")" ] || die 10 "secret $1 is missing from $ETC" "Install the release's bundle again."
    place_secret "$1" "$secret_delivery"
}
