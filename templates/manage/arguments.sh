
# --- arguments -------------------------------------------------------------------------------------------

OPERAND=
JSON=
FROM_FILE=
PURGE=
YES=
OPTIONS_GIVEN= # those that only some commands have
COMMAND_WORDS=0 # how many at the end are a command's own

usage() {
    cat <<TEXT
Usage: manage COMMAND

Manages $NAME on this machine (built with conda-bundler $TOOL_VERSION).

TEXT
    each_command print_help
    cat <<TEXT

SERVICE is a service's name in bundle.toml; one of several instances is SERVICE@1 (exec uses the first).

  --health-timeout S                seconds to wait until a service is healthy, after its start period
  -h, --help                        print this

Exit status: 0 done, or healthy; 2 usage; 3 not every service that should run is healthy (status); 10 not possible
on this machine as it is; 11 a file was modified (verify); 12 disk or I/O; 13 another install is running;
14 unhealthy, and rolled back; 15 unhealthy, with nothing to roll back to; 16 a hook of the bundle failed, and
rolled back; 17 the new bundle is not accepted: not signed as this server requires, a different bundle, or
older (upgrade).
TEXT
}

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            --json | --purge | --yes | --unsigned | --allow-downgrade | --check | --dry-run | --no-start | --no-enable | --trust-disk)
                take_option "$1" yes
                ;;
            --from=* | --health-timeout=* | --keep=* | --secret=*)
                option_value=${1#*=}
                option=${1%%=*}
                shift
                set -- "$option" "$option_value" "$@"
                continue
                ;;
            --from | --health-timeout | --keep | --secret)
                [ $# -ge 2 ] || misuse "$1 needs a value"
                take_option "$1" "$2"
                shift
                ;;
            -*) misuse "unknown option: $1" ;;
            *)
                if [ -z "$COMMAND" ]; then
                    choose_command "$1"
                elif [ -z "$OPERAND" ] && [ -n "$1" ]; then
                    OPERAND=$1
                    if needs words; then
                        shift
                        [ "${1-}" != -- ] || shift
                        COMMAND_WORDS=$#
                        break
                    fi
                else
                    misuse "unexpected argument: $1"
                fi
                ;;
        esac
        shift
    done
    check_arguments
}

take_option() { # OPTION VALUE
    case $1 in
        --json) JSON=$2 ;;
        --purge) PURGE=$2 ;;
        --yes) YES=$2 ;;
        --unsigned) UNSIGNED=$2 ;;
        --allow-downgrade) ALLOW_DOWNGRADE=$2 ;;
        --check | --dry-run | --no-start | --no-enable | --trust-disk) add_install_words "$1" ;;
        --keep | --secret) add_install_words "$1" "$2" ;;
        --from)
            [ -n "$2" ] || misuse "--from needs a file"
            FROM_FILE=$2
            ;;
        --health-timeout)
            take_health_timeout "$2"
            return 0
            ;;
    esac
    OPTIONS_GIVEN="$OPTIONS_GIVEN $1"
}

check_arguments() {
    [ -n "$COMMAND" ] || misuse "a command is required"
    [ -n "$COMMAND_FUNCTION" ] || misuse "unknown command: $COMMAND"
    "$COMMAND_CHECK"
    for option in $OPTIONS_GIVEN; do
        check_option "$option"
    done
    [ -z "$YES" ] || [ -n "$PURGE" ] || misuse "--yes requires --purge"
}

# An option that would have no effect is a misunderstanding.
check_option() { # OPTION
    ! is_listed "$1" "$COMMAND_OPTIONS" || return 0
    option_home=
    each_command find_option
    misuse "$1 is not an option of $COMMAND, but of $option_home"
}

find_option() { # WORD NEEDS OPTIONS...
    ! is_listed "$option" "$3" || option_home="${option_home:+$option_home and }$1"
}

# --- operands

check_no_operand() {
    [ -z "$OPERAND" ] || misuse "unexpected argument: $OPERAND"
}

check_release_name() {
    case $OPERAND in
        *[!0-9A-Za-z._+~-]* | .*) misuse "not the name of a release: $OPERAND" ;;
    esac
}

check_secret_name() {
    case $OPERAND in
        '') misuse "$COMMAND needs the name of a secret" ;;
        *[!A-Za-z0-9_]*) misuse "not the name of a secret: $OPERAND" ;;
    esac
}

check_service_name() {
    OPERAND=${OPERAND%.service}
    case $OPERAND in
        *[!a-z0-9@-]*) misuse "not the name of a service: $OPERAND" ;;
    esac
}

check_service_given() {
    check_service_name
    [ -n "$OPERAND" ] || misuse "$COMMAND needs the name of a service"
}

check_command_words() {
    check_service_given
    [ "$COMMAND_WORDS" -gt 0 ] || misuse "$COMMAND needs a command to run"
}
