
# --- places ----------------------------------------------------------------------------------------------
# In an image (--root), all paths have the prefix IMAGE. Paths that are recorded or written to files are without it, as the
# booted machine will see them.

IMAGE=
ROOT=  # where the bundle lives
PLACE= # the same as the machine sees it
STATE= # as the machine sees it
DIRECTORIES=

set_places() {
    RECORD=$IMAGE/var/lib/conda-bundler/$NAME
    ETC=$IMAGE/etc/$NAME
    SECRETS=$ETC/secrets.env
    STATE=/var/lib/$NAME
    # the last three are made by systemd, for the service
    DIRECTORIES="$ETC $IMAGE$STATE $IMAGE/var/cache/$NAME $IMAGE/var/log/$NAME"
    [ "$OWN_USERS" != recorded ] || OWN_USERS=$(recorded_users | sed 's/$/:/')
    each_own_user add_own_directories
}

seen() { # PATH: as the machine sees it
    printf '%s\n' "${1#"$IMAGE"}"
}
