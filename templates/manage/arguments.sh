
# --- arguments -------------------------------------------------------------------------------------------

COMMAND=
OPERAND=
JSON=
FROM_FILE=
PURGE=
YES=
COMMAND_WORDS=0 # of exec: how many there are, at the end of all

usage() {
    cat <<TEXT
Usage: manage COMMAND

Looks after $NAME on this machine (made by conda-bundler $TOOL_VERSION).

  status [--json]                   the release, its units, whether they are healthy, since when
  releases                          what is on disk: current, previous, bad
  rollback [RELEASE]                go to the release before, or to the one named; back again if it is unhealthy
  verify [RELEASE]                  compare every file with what was installed
  rotate-secret NAME [--from FILE]  a new value; the old one comes back if a service is unhealthy with it
  reload [SERVICE]                  have every service, or the one named, read its settings anew while it runs
  restart [SERVICE]                 restart what runs, or the one named; wait until it is healthy
  exec SERVICE COMMAND [ARGUMENT…]  run a program of the release as that service would: its user, environment,
                                    secrets, confinement; the status is the command's
  uninstall                         stop it and remove its units and releases; config, secrets, state and user stay
  uninstall --purge [--yes]         remove all of it, state and secrets included

SERVICE is a name of bundle.toml; one of several instances is SERVICE@1 (exec takes the first).

  --health-timeout S                seconds to wait for a healthy answer, after the service's start period
  -h, --help                        print this

Exit status: 0 done, or healthy; 2 usage; 3 not every service that should run is healthy (status); 10 not possible
on this machine as it is; 11 a file is not what was installed (verify); 12 disk or I/O; 13 another install is
running; 14 unhealthy, and gone back; 15 unhealthy, with nothing to go back to; 16 a hook of the
bundle failed, and gone back.
TEXT
}

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            --json) JSON=yes ;;
            --purge) PURGE=yes ;;
            --yes) YES=yes ;;
            --from=* | --health-timeout=*)
                option_value=${1#*=}
                option=${1%%=*}
                shift
                set -- "$option" "$option_value" "$@"
                continue
                ;;
            --from | --health-timeout)
                [ $# -ge 2 ] || misuse "$1 needs a value"
                take_option "$1" "$2"
                shift
                ;;
            -*) misuse "unknown option: $1" ;;
            *)
                if [ -z "$COMMAND" ]; then
                    COMMAND=$1
                elif [ -z "$OPERAND" ] && [ -n "$1" ]; then
                    OPERAND=$1
                    if [ "$COMMAND" = exec ]; then # what follows is the command's own
                        shift
                        [ "${1-}" != -- ] || shift
                        COMMAND_WORDS=$#
                        break
                    fi
                else
                    misuse "one argument too many: $1"
                fi
                ;;
        esac
        shift
    done
    check_arguments
}

take_option() { # OPTION VALUE
    case $1 in
        --from) FROM_FILE=$2 ;;
        --health-timeout) take_health_timeout "$2" ;;
    esac
}

# An option that would have no effect is a misunderstanding.
check_arguments() {
    case $COMMAND in
        '') misuse "there is no command" ;;
        status | releases | uninstall | first-boot | recover) [ -z "$OPERAND" ] || misuse "one argument too many: $OPERAND" ;;
        rollback | verify) check_release_name ;;
        rotate-secret)
            case $OPERAND in
                '') misuse "rotate-secret needs the name of a secret" ;;
                *[!A-Za-z0-9_]*) misuse "not the name of a secret: $OPERAND" ;;
            esac
            ;;
        exec)
            OPERAND=${OPERAND%.service}
            case $OPERAND in
                '' | *[!a-z0-9@-]*) misuse "exec needs the name of a service, and a command" ;;
            esac
            [ "$COMMAND_WORDS" -gt 0 ] || misuse "exec needs a command to run"
            ;;
        reload | restart)
            OPERAND=${OPERAND%.service}
            case $OPERAND in
                *[!a-z0-9@-]*) misuse "not the name of a service: $OPERAND" ;;
            esac
            ;;
        run) # for bin/run-SERVICE
            case $OPERAND in
                '' | *[!a-z0-9@-]*) misuse "run needs the name of a service" ;;
            esac
            ;;
        *) misuse "unknown command: $COMMAND" ;;
    esac
    [ -z "$JSON" ] || [ "$COMMAND" = status ] || misuse "--json is for status"
    [ -z "$FROM_FILE" ] || [ "$COMMAND" = rotate-secret ] || misuse "--from is for rotate-secret"
    [ -z "$PURGE$YES" ] || [ "$COMMAND" = uninstall ] || misuse "--purge and --yes are for uninstall"
    [ -z "$YES" ] || [ -n "$PURGE" ] || misuse "--yes is for uninstall --purge"
}

check_release_name() {
    case $OPERAND in
        *[!0-9A-Za-z._+~-]* | .*) misuse "not the name of a release: $OPERAND" ;;
    esac
}
