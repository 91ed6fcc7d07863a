
# --- arguments -------------------------------------------------------------------------------------------

ACTION=install
DRY_RUN=
PREFIX= # where the operator wants the root; empty: where it is, else the default

usage() {
    cat <<TEXT
Usage: sh ${RUN:-install.sh} [OPTION]...

Installs $NAME $VERSION (build $BUILD_ID, $PLATFORM) below $ROOT and starts it.

  --prefix DIR          install below DIR instead of $BAKED_ROOT (a first install only)
  --root DIR            install into the system image in DIR, without systemd; user and secrets are made at its first
                        boot
  --no-systemd          install no units: start the services with $ROOT/bin/run-SERVICE
  --check               check this machine and this bundle; change nothing
  --dry-run             print each step; change nothing
  --no-start            install, but start nothing
  --no-enable           do not start at boot
  --cookie-file FILE    the same as --secret RELEASE_COOKIE=FILE
  --secret NAME=FILE    read this secret from a file instead of generating it (repeatable)
  --settings FILE       install this file as the settings, instead of the defaults (a first install only)
  --user NAME           run the services as this existing user, which uninstall does not remove
                        (a first install only)
  --trust-disk          use files of earlier releases without checking them, unless their modification time is new
  --keep N              releases to keep (default: 3); the current and the previous one always stay
  --health-timeout S    seconds to wait for a healthy answer, after the service's start period
${RUN:+  --extract DIR         only unpack the bundle there
}  --version             print what this bundle is
  -h, --help            print this

Exit status: 0 done; 2 usage; 10 this machine does not fit; 11 the bundle is damaged; 12 disk or I/O;
13 another install is running; 14 unhealthy, the previous release runs again; 15 unhealthy, and there is none to roll
back to; 16 a hook of the bundle failed: the previous release serves, or nothing is started.
TEXT
}

version() {
    printf '%s %s (build %s, %s; made by conda-bundler %s)\n' \
        "$NAME" "$VERSION" "$BUILD_ID" "$PLATFORM" "$TOOL_VERSION"
    printf '%s\n' "$DESCRIPTION"
}

# --help and --version answer only after the self-check: a damaged script then cannot pass for a good one.
parse_arguments() {
    if [ "${1-}" = --run ] && [ $# -ge 4 ]; then # said by the one-file bundle, which is the caller
        take_run "$2" "$3" "$4"
        shift 4
    fi
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) ACTION=help ;;
            --version) ACTION=version ;;
            --check) ACTION=check ;;
            --dry-run) DRY_RUN=yes ;;
            --no-systemd) BARE=yes ;;
            --no-start) START=no ;;
            --trust-disk) TRUST_DISK=yes ;;
            --no-enable) ENABLE=no ;;
            --prefix=* | --root=* | --cookie-file=* | --secret=* | --settings=* | --user=* | --keep=* | --health-timeout=*)
                option_value=${1#*=}
                option=${1%%=*}
                shift
                set -- "$option" "$option_value" "$@"
                continue
                ;;
            --prefix | --root | --cookie-file | --secret | --settings | --user | --keep | --health-timeout)
                [ $# -ge 2 ] || misuse "$1 needs a value"
                take_option "$1" "$2"
                shift
                ;;
            *) misuse "unknown argument: $1" ;;
        esac
        shift
    done
    [ -z "$IMAGE" ] || [ -z "$GIVEN" ] ||
        misuse "with --root no secret can be given: the image's first boot generates them (to set one later: manage rotate-secret)"
    [ -z "$IMAGE" ] || [ -z "$BARE" ] || misuse "--root and --no-systemd are mutually exclusive"
    [ -z "$DRY_RUN" ] || [ "$ACTION" != install ] || ACTION=plan
}

take_option() { # OPTION VALUE
    case $1 in
        --prefix)
            check_new_root "$2"
            check_own_root "$2"
            PREFIX=$2
            ;;
        --root)
            check_new_root "$2"
            [ -d "$2" ] || misuse "--root: no such directory: $2"
            IMAGE=$2
            SYSTEMD=no
            ;;
        --keep)
            case $2 in
                '' | 0 | *[!0-9]* | ?????*) misuse "--keep needs a number of releases, not '$2'" ;;
            esac
            KEEP=$2
            ;;
        --cookie-file) give_secret RELEASE_COOKIE "$2" ;;
        --secret)
            case $2 in
                ?*=?*) give_secret "${2%%=*}" "${2#*=}" ;;
                *) misuse "--secret needs NAME=FILE" ;;
            esac
            ;;
        --settings) take_settings "$2" ;;
        --user) take_user "$2" ;;
        --health-timeout) take_health_timeout "$2" ;;
    esac
}

# A bundle has its root for itself, where it stays and where services see it.
check_own_root() { # ROOT
    case $1 in
        /usr/local/?*/?*) ;;
        /opt | /usr | /usr/* | /bin | /bin/* | /sbin | /sbin/* | /lib | /lib/* | /lib32 | /lib64 | /boot | /boot/* | \
            /etc | /etc/* | /home | /root | /media | /mnt | /srv | /var | /var/lib | /var/cache | /var/log)
            die 10 "$1 is a system directory; a bundle cannot be installed there" \
                "Choose a directory of its own, such as /srv/$NAME."
            ;;
        /dev | /dev/* | /proc | /proc/* | /run | /run/* | /sys | /sys/* | /tmp | /tmp/* | /var/tmp | /var/tmp/* | \
            /var/run/* | /var/lock/*)
            die 10 "files below $1 are temporary" "Choose a permanent directory, such as /srv/$NAME."
            ;;
        /home/* | /root/*)
            die 10 "services cannot access $1: their sandbox hides home directories" \
                "Choose another directory, such as /srv/$NAME."
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
