
# --- commands --------------------------------------------------------------------------------------------
# A row for each command: WORD NEEDS OPTIONS CHECK FUNCTION, then pairs of USAGE HELP, the lines of --help; commands for
# units and launchers have none. NEEDS and OPTIONS are comma-separated lists, "-" is an empty one.
#     NEEDS     installed: a root to work in
#               lock: the installer's lock, since it changes something
#               input: standard input stays as it is
#               words: what follows the operand is a command, which FUNCTION gets as its arguments
#     OPTIONS   those that not every command has
#     CHECK     refuses an OPERAND that the command cannot have

each_command() { # VISITOR: calls it with each row
    "$1" status installed --json check_no_operand status \
        "status [--json]" "the current release, its units, whether they are healthy, since when"
    "$1" releases installed --json check_no_operand releases \
        "releases [--json]" "the releases on disk: current, previous, bad; since when, and their sizes"
    "$1" rollback installed,lock - check_release_name rollback \
        "rollback [RELEASE]" "switch back to the previous release, or to RELEASE; undone if it is unhealthy"
    "$1" verify installed,lock - check_release_name verify \
        "verify [RELEASE]" "compare every file of the current release, or of RELEASE, with what was installed"
    "$1" upgrade installed,lock --unsigned,--allow-downgrade,--check,--dry-run,--no-start,--no-enable,--trust-disk,--keep,--secret check_bundle_given upgrade \
        "upgrade BUNDLE [OPTION]..." "verify a new bundle (.tar, .run or directory), then run its install.sh, which takes" \
        "" "--check, --dry-run, --keep N, --no-enable, --no-start," \
        "" "--secret NAME=FILE and --trust-disk" \
        "upgrade BUNDLE --allow-downgrade" "also an older version, or a different build of the current one" \
        "upgrade BUNDLE --unsigned" "without verifying signatures, unless the policy requires them"
    "$1" rotate-secret installed,lock --from check_secret_name rotate_secret \
        "rotate-secret NAME [--from FILE]" "replace a secret; the old value is restored if a service becomes unhealthy"
    "$1" reload installed - check_service_name reload_command \
        "reload [SERVICE]" "reload the settings of every running service, or of SERVICE"
    "$1" restart installed,lock - check_service_name restart_services \
        "restart [SERVICE]" "restart every running service, or SERVICE; wait until it is healthy"
    "$1" exec installed,input,words - check_command_words exec_command \
        "exec SERVICE COMMAND [WORD]..." "run a program of the release as that service would: its user, environment," \
        "" "secrets, sandbox; exit with the command's status"
    "$1" support-bundle installed - check_support_file support_bundle \
        "support-bundle FILE" "write status, units, journal, settings and facts, without secrets, to FILE (tar.gz)"
    "$1" uninstall lock,input --purge,--yes check_no_operand uninstall \
        "uninstall" "stop it and remove its units and releases; keep settings, secrets, state and user" \
        "uninstall --purge [--yes]" "remove everything, state and secrets included"
    "$1" run installed - check_service_given run_service
    "$1" first-boot installed,lock - check_no_operand first_boot
    "$1" recover installed,lock - check_no_operand recover_at_boot
}

COMMAND=
COMMAND_NEEDS=
COMMAND_OPTIONS=
COMMAND_CHECK=
COMMAND_FUNCTION=

choose_command() { # WORD
    COMMAND=$1
    each_command take_row
}

take_row() { # WORD NEEDS OPTIONS CHECK FUNCTION [USAGE HELP]...
    [ "$1" = "$COMMAND" ] || return 0
    COMMAND_NEEDS=$2
    COMMAND_OPTIONS=$3
    COMMAND_CHECK=$4
    COMMAND_FUNCTION=$5
}

needs() { # NEED: whether the command does
    is_listed "$1" "$COMMAND_NEEDS"
}

is_listed() { # WORD LIST
    case ,$2, in
        *",$1,"*) ;;
        *) return 1 ;;
    esac
}

print_help() { # WORD NEEDS OPTIONS CHECK FUNCTION [USAGE HELP]...
    shift 5
    while [ $# -gt 0 ]; do
        printf '  %-32s  %s\n' "$1" "$2"
        shift 2
    done
}
