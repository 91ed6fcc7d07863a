
# --- preflight: an image ----------------------------------------------------------------------------------

# Before anything of the image is read, its own record included.
check_image() {
    [ -n "$IMAGE" ] || return 0
    check_inside "$(seen "$RECORD/owned")"
    [ "$PROBLEMS" -eq 0 ] || exit 10
    for image_path in "$(seen "$ETC")" /etc/systemd/system /etc/passwd /etc/group /etc/shadow /etc/gshadow; do
        check_inside "$image_path"
    done
    for image_path in "$IMAGE"/etc/systemd/system/*.wants "$IMAGE"/etc/systemd/system/*.requires; do
        [ ! -L "$image_path" ] || check_inside "$(seen "$image_path")"
    done
    check_recorded_inside
}

# What the record names is written to and removed.
check_recorded_inside() {
    [ -f "$RECORD/owned" ] || return 0
    while read -r _ image_path; do
        case $image_path in
            /*) check_inside "$image_path" ;;
        esac
    done <"$RECORD/owned"
    [ "$PROBLEMS" -eq 0 ] || exit 10
}

check_inside() { # PATH, as the image sees it
    case $1/ in
        */../*) problem "the image's record names $1" "It was changed by hand. Remove it, or repair it." ;;
        *)
            stays_inside "$1" ||
                problem "$1 leads out of the image: $(whither_outside)" \
                    "It is not followed, since this machine's files would be changed. Make it a relative link, or a directory."
            ;;
    esac
}
