
# --- preflight: what this systemd does not know ----------------------------------------------------------
# It passes over such a directive and starts the service all the same, with a warning in the journal.

SYSTEMD_VERSION=

check_newer() {
    [ -z "$IMAGE" ] || SYSTEMD_VERSION=$(version_in_image)
    [ -z "$SYSTEMD_VERSION" ] || each_newer compare_newer
}

compare_newer() { # VERSION DIRECTIVE NEEDED LOST UNITS
    [ "$SYSTEMD_VERSION" -lt "$1" ] || return 0
    if [ "$3" = needed ]; then
        problem "systemd $SYSTEMD_VERSION does not support $(written "$2") of $5: $4" \
            "Use systemd $1 or later; or build the bundle without it."
    else
        warn "systemd $SYSTEMD_VERSION ignores $(written "$2") of $5, which needs systemd $1: $4"
    fi
}

written() { # DIRECTIVE: as systemd.directives(7) writes it
    case $1 in
        *=*) printf '%s\n' "$1" ;;
        *) printf '%s=\n' "$1" ;;
    esac
}

# The library that systemd's programs share has the version in its name.
version_in_image() {
    for image_library in "$IMAGE"/usr/lib/systemd/libsystemd-shared-*.so "$IMAGE"/lib/systemd/libsystemd-shared-*.so \
        "$IMAGE"/usr/lib/*-linux-gnu*/systemd/libsystemd-shared-*.so; do
        [ -f "$image_library" ] || continue
        image_library=${image_library##*-shared-}
        image_library=${image_library%%[!0-9]*}
        [ -z "$image_library" ] || printf '%s\n' "$image_library"
        return 0
    done
}
