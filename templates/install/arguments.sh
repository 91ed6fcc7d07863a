
# --- arguments -------------------------------------------------------------------------------------------

ACTION=install
PREFIX= # where the operator wants the root; empty: where it is, else the default

usage() {
    cat <<TEXT
Usage: sh install.sh [OPTION]...

Installs $NAME $VERSION (build $BUILD_ID, $PLATFORM) below $ROOT and starts it.

  --prefix DIR          install below DIR instead of $BAKED_ROOT (a first install only)
  --check               check this machine and this bundle; change nothing
  --no-start            install, but start nothing
  --no-enable           do not start at boot
  --cookie-file FILE    the same as --secret RELEASE_COOKIE=FILE
  --secret NAME=FILE    take this secret from a file instead of making it here (repeatable)
  --health-timeout S    seconds to wait for a healthy answer, after the service's start period
  --version             print what this bundle is
  -h, --help            print this

Exit status: 0 done; 2 usage; 10 this machine does not fit; 11 the bundle is damaged; 12 disk or I/O;
13 another install is running; 14 unhealthy, the previous release runs again; 15 unhealthy first install.
TEXT
}

version() {
    printf '%s %s (build %s, %s; made by conda-bundler %s)\n' \
        "$NAME" "$VERSION" "$BUILD_ID" "$PLATFORM" "$TOOL_VERSION"
    printf '%s\n' "$DESCRIPTION"
}

misuse() { # SENTENCE
    die 2 "$1" "See: sh install.sh --help"
}

# --help and --version answer only after the self-check: a damaged script then cannot pass for a good one.
parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) ACTION=help ;;
            --version) ACTION=version ;;
            --check) ACTION=check ;;
            --no-start) START=no ;;
            --no-enable) ENABLE=no ;;
            --prefix=* | --cookie-file=* | --secret=* | --health-timeout=*)
                option_value=${1#*=}
                option=${1%%=*}
                shift
                set -- "$option" "$option_value" "$@"
                continue
                ;;
            --prefix | --cookie-file | --secret | --health-timeout)
                [ $# -ge 2 ] || misuse "$1 needs a value"
                take_option "$1" "$2"
                shift
                ;;
            *) misuse "unknown argument: $1" ;;
        esac
        shift
    done
}

take_option() { # OPTION VALUE
    case $1 in
        --prefix)
            check_new_root "$2"
            PREFIX=$2
            ;;
        --cookie-file) give_secret RELEASE_COOKIE "$2" ;;
        --secret)
            case $2 in
                ?*=?*) give_secret "${2%%=*}" "${2#*=}" ;;
                *) misuse "--secret needs NAME=FILE" ;;
            esac
            ;;
        --health-timeout)
            case $2 in
                '' | *[!0-9]* | ??????*) misuse "--health-timeout needs whole seconds, not '$2'" ;;
            esac
            HEALTH_TIMEOUT=$2
            ;;
    esac
}

give_secret() { # NAME FILE
    case $1 in
        *[!A-Za-z0-9_]*) misuse "not the name of a secret: $1" ;;
    esac
    case $2 in
        *"
"*) misuse "the file of secret $1 has a line break in its name" ;;
    esac
    GIVEN="$GIVEN$1=$2
"
}
