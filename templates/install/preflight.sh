
# --- preflight -------------------------------------------------------------------------------------------
# Everything that does not fit is said at once.

PROBLEMS=0

problem() { # SENTENCE [REMEDY]
    complain error "$@"
    PROBLEMS=$((PROBLEMS + 1))
}

# Alone and first: without these nothing else can be looked at.
require_root() {
    [ "$(id -u)" = 0 ] || die 10 "this must run as root" "Run it with sudo, or as root."
}

preflight() {
    check_tools
    check_systemd
    check_newer
    check_hardware
    check_networks
    check_sisters
    check_decompressor
    check_libraries
    check_root
    check_other_roots
    check_length_of_root
    check_names
    check_user
    check_directories
    check_settings
    choose_unit_dir
    each_unit check_unit
    each_service check_instance
    check_ports
    check_clients
    is_complete "$RELEASE" || may_reuse || check_space
    [ "$PROBLEMS" -eq 0 ] || exit 10
}

check_tools() {
    tools_missing=
    for tool in cat chmod cmp cp date df find grep head id ln ls mkdir mv od readlink rm rmdir sed sha256sum \
        sleep sort sync tail tar tee touch tr uname uniq xargs $(codec_tool); do
        have "$tool" || tools_missing="$tools_missing $tool"
    done
    [ -z "$tools_missing" ] ||
        problem "these programs are missing:$tools_missing" "Install the packages that provide them, or busybox."
    if [ ! -r /proc/self/mounts ] || [ ! -d /proc/self/fd ]; then
        problem "/proc is not mounted" "Mount it: mount -t proc proc /proc"
    fi
}

check_systemd() {
    [ "$SYSTEMD" = yes ] || return 0
    if [ ! -d /run/systemd/system ]; then
        problem "this machine was not booted with systemd" "Install into an image with --root, or without units with --no-systemd."
        return 0
    fi
    systemd_version=$(unlocked systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]\{1,\}\).*$/\1/p')
    if [ -z "$systemd_version" ]; then
        problem "systemctl is missing, or does not say the version of systemd" "Repair or install systemd."
    elif [ "$systemd_version" -lt 239 ]; then
        problem "systemd $systemd_version is too old" "Version 239 or later is required."
    else
        check_credentials "$systemd_version"
        SYSTEMD_VERSION=$systemd_version
    fi
}

check_root() {
    if [ -n "$IMAGE" ] && ! stays_inside "${PLACE%/*}"; then
        check_inside "$PLACE"
        return 0
    elif [ -L "$ROOT" ]; then
        problem "$ROOT is a symbolic link" "Remove it, or put a real directory there."
    elif [ -e "$ROOT" ] && ! owns "root $ROOT" && ! is_bare "$ROOT"; then
        problem "$ROOT exists and $(whose "root $ROOT")" "Move it away; install.sh does not touch it."
    elif [ -L "$ROOT/releases" ]; then
        problem "$ROOT/releases is a symbolic link" "Put a real directory there."
    fi
    root_near=$ROOT # it may be a volume of its own
    is_directory "$ROOT" || root_near=$(nearest "${ROOT%/*}")
    check_parents "$root_near"
    [ -w "$root_near" ] || problem "$root_near is not writable" "Mount it writable."
    case ,$(mount_options "$root_near"), in
        *,noexec,*) problem "programs cannot run below $root_near: it is mounted noexec" "Mount it with exec." ;;
    esac
}

check_length_of_root() {
    root_release=$PLACE/releases/$RELEASE
    [ "$LONGEST_RELEASE" -eq 0 ] || [ "${#root_release}" -le "$LONGEST_RELEASE" ] ||
        problem "the path $PLACE is too long for this bundle: its programs allow at most $((LONGEST_RELEASE - ${#root_release} + ${#PLACE})) bytes" \
            "Choose a shorter one."
}

check_parents() { # DIR: whoever could write there could swap what root installs
    parent=$(cd -P "$1" && pwd -P)
    parent_last=/
    [ -z "$IMAGE" ] || parent_last=$(cd -P "$IMAGE" && pwd -P) # above it is the builder's own affair
    while :; do
        [ -n "$(find "${parent:-/}" -prune -user 0 ! -perm -0020 ! -perm -0002)" ] ||
            problem "${parent:-/} is writable by non-root users" \
                "Make root its owner, and remove the write permission of group and others."
        [ "$parent" != "$parent_last" ] || break
        [ -n "$parent" ] || break
        parent=${parent%/*}
    done
}

mount_options() { # PATH: those of the filesystem that it is on
    mount_best=
    mount_found=
    mount_path=$(cd -P "$1" && pwd -P)
    while read -r _ mount_point _ mount_words _; do
        case $mount_path/ in
            "${mount_point%/}"/*) ;;
            *) continue ;;
        esac
        if [ "${#mount_point}" -ge "${#mount_best}" ]; then # of two at one place the later one counts
            mount_best=$mount_point
            mount_found=$mount_words
        fi
    done </proc/self/mounts
    printf '%s\n' "$mount_found"
}

check_user() {
    check_own_users
    check_account
    check_uid
    if [ -n "$IS_ACCOUNT" ] || owns_user; then
        return 0
    fi
    for user_base in passwd group; do
        ! has_entry "$user_base" "$SERVICE_USER" ||
            problem "there is a ${user_base} entry '$SERVICE_USER' that $(whose "user $SERVICE_USER")" \
                "To run as that user: --user $SERVICE_USER. Otherwise give the bundle another name, or remove that entry."
    done
}

check_directories() {
    for directory in $DIRECTORIES; do
        if [ -L "$directory" ] && [ "$directory" = "$ETC" ]; then
            problem "$directory is a symbolic link" "Remove it, or put a real directory there."
        elif { [ -e "$directory" ] || [ -L "$directory" ]; } && ! owns "dir $directory" &&
            ! is_prepared "$directory"; then
            refuse_directory "$directory"
        elif is_directory "$directory" && [ ! -w "$directory" ]; then
            problem "$directory is not writable" "Mount it writable."
        fi
    done
    for config_file in "$SECRETS" "$ETC/$NAME.env"; do
        if [ -L "$config_file" ] || { [ -e "$config_file" ] && [ ! -f "$config_file" ]; }; then
            problem "$config_file is not a regular file" "Inspect it and move it away."
        fi
    done
}

# A mount cannot be moved away: an empty one of which only the rights are wrong can be corrected where it is.
refuse_directory() { # DIR
    case $(whose "dir $1") in
        belongs*) ;;
        *)
            if is_directory "$1" && is_bare "$1" && ! is_roots_alone "$1"; then
                problem "$1 is empty, but writable by non-root users" "Correct it: chown root $1; chmod 755 $1"
                return 0
            elif [ "$1" = "$ETC" ] && is_directory "$1"; then
                problem "$1 was not created by this installer, and contains more than a $NAME.env owned by root" \
                    "Move the rest elsewhere, such as $1.d; chown root and chmod 644 $1/$NAME.env."
                return 0
            fi
            ;;
    esac
    problem "$1 exists and $(whose "dir $1")" \
        "Move it away, or give the bundle another name. An empty directory owned by root may stay, and so may $ETC/$NAME.env."
}

# A unit of this name that is not ours, anywhere that systemd looks, a mask included. Once we own one, what the
# admin lays over it (edit --full, mask) is the admin's.
check_unit() { # UNIT
    ! owns_unit "$(file_of "$1")" || return 0
    [ -n "$UNIT_DIR" ] || return 0
    for unit_place in $UNIT_PATH; do
        unit_place=$IMAGE$unit_place
        if [ -e "$unit_place/$1" ] || [ -L "$unit_place/$1" ]; then
            problem "there is a unit $unit_place/$1 that $(whose_unit "$1")" \
                "Remove it (if it is a mask: systemctl unmask $1), or give the bundle's service another name."
            return 0
        fi
    done
}

# A unit of an instance's own name would run in its place.
check_instance() { # UNIT
    [ -z "$(number_of "$1")" ] || check_unit "$1"
}

owns_unit() { # FILE
    for owned_path in $(owned unit); do
        [ "${owned_path##*/}" != "$1" ] || return 0
    done
    return 1
}

# The health check asks with what there is; an image's programs are not here to be counted.
check_clients() {
    [ "$SYSTEMD" = yes ] && [ -z "$CLIENTS" ] || return 0
    client_lacking=
    client_wanted="bash and timeout (coreutils)"
    each_service check_client
    [ -z "$client_lacking" ] ||
        problem "no HTTP or TCP client for the health check of$client_lacking" "Install $client_wanted."
}

check_client() { # UNIT
    case $service_url in
        '') return 0 ;;
        unix:*)
            ! have curl || return 0
            client_wanted=curl
            ;;
        http:* | tcp:*)
            ! have timeout || ! have bash || return 0
            ;;
    esac
    case $service_url in
        http:*)
            ! have curl || return 0
            ! have wget || ! have timeout || return 0
            ;;
    esac
    client_lacking="$client_lacking $1"
}

check_space() {
    space_near=$(nearest "$ROOT")
    space_kib=$(free_of k "$space_near")
    space_need=$((PAYLOAD_KIB - SPARED_KIB))
    space_need=$((space_need + space_need / 10))
    ! needs_decompressor || space_need=$((space_need + DECOMPRESSOR_KIB))
    [ -z "$space_kib" ] || [ "$space_kib" -ge "$space_need" ] ||
        problem "$space_near has $((space_kib / 1024)) MiB free; $((space_need / 1024 + 1)) MiB are needed" \
            "Free some space on that filesystem."
    space_inodes=$(free_of i "$space_near")
    space_need=$((PAYLOAD_FILES - SPARED_FILES))
    space_need=$((space_need + space_need / 10))
    # Filesystems without a fixed number of inodes say 0 of 0.
    [ "${space_inodes:-0}" -eq 0 ] || [ "$space_inodes" -ge "$space_need" ] ||
        problem "$space_near has $space_inodes inodes free; $space_need are needed" \
            "Remove files there, or recreate the filesystem with more inodes."
}
