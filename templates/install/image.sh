
# --- image -----------------------------------------------------------------------------------------------
# --root: no systemd runs there yet and no secret may be in an image of which there will be many copies. Units are
# enabled by links; the rest is left to a unit that runs once, at the first boot, before the services.

finish_image() {
    [ -n "$IMAGE" ] || return 0
    for_users image_user
    put "$RECORD/first-boot" 0600 :
    image_unit=$UNIT_DIR/$NAME-first-boot.service
    claim "unit $image_unit"
    put "$image_unit" 0644 first_boot_unit
    link_unit "$image_unit" multi-user.target.wants "${image_unit##*/}"
    each_unit_of "$RELEASE" link_release_unit
}

# So that its number is the same on every copy. Where this is not possible the first boot makes it.
image_user() {
    [ -z "$IS_ACCOUNT" ] && ! has_entry passwd "$SERVICE_USER" || return 0
    have systemd-sysusers || return 0
    sysusers_line >"$WORK/user.conf"
    unlocked systemd-sysusers --root="$IMAGE" - <"$WORK/user.conf" >/dev/null 2>&1 ||
        warn "the user $SERVICE_USER could not be created in the image" "It is created at the first boot."
}

first_boot_unit() {
    cat <<TEXT
# Made by conda-bundler: what must not be in an image.
[Unit]
Description=User and secrets of $NAME, at the first boot
ConditionPathExists=$(seen "$RECORD")/first-boot
RequiresMountsFor=$PLACE
Before=$(each_service list_unit)$(each_unit list_socket)

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh $PLACE/manage first-boot
$(first_boot_confinement)

[Install]
WantedBy=multi-user.target
TEXT
}

# Rights to make the user only where the image has none; to run activation scripts as nobody only where there are some.
first_boot_confinement() {
    first_boot_etc=$(seen "$ETC")
    have_all_users || first_boot_etc=/etc
    confinement "$PLACE" "$(seen "$RECORD")" "$first_boot_etc"
    have_all_users || confined_makes_user
    [ ! -s "$ROOT/releases/$RELEASE/config/activation.list" ] || confined_asks_nobody
}

# A file that not even its owner may read (/etc/shadow is one on Red Hat's), a group that root is not in.
confined_makes_user() {
    printf 'CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE\n'
}

# Its number is not root's; its processes are ended, its home is given to it. What scripts of packages do is their own
# affair: some compile while they run. setpriv calls capset before it gives its rights up.
confined_asks_nobody() {
    printf 'CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN\n'
    printf 'SystemCallFilter=@setuid capset\nMemoryDenyWriteExecute=no\n'
}

list_unit() { # UNIT
    printf '%s ' "$1"
}

list_socket() { # FILE
    ! is_socket "$1" || list_unit "$1"
}

link_release_unit() { # UNIT
    may_enable "$1" || return 0
    link_file=$(file_of "$1")
    link_lines=$(install_section "$ROOT/releases/$RELEASE/units/$link_file" | as_instance "$1")
    while IFS='=' read -r link_key link_words <&6; do
        for link_word in $link_words; do
            case $link_key in
                WantedBy) link_unit "$UNIT_DIR/$link_file" "$link_word.wants" "$1" ;;
                RequiredBy) link_unit "$UNIT_DIR/$link_file" "$link_word.requires" "$1" ;;
                UpheldBy) link_unit "$UNIT_DIR/$link_file" "$link_word.upholds" "$1" ;;
                Alias) link_unit "$UNIT_DIR/$link_file" "" "$link_word" ;;
                Also) warn "$link_word is not enabled together with $1, since this is an image" \
                    "At its first boot: systemctl enable $link_word" ;;
            esac
        done
    done 6<<LINES
$link_lines
LINES
}

link_unit() { # FILE DIR UNIT
    link_dir=$IMAGE/etc/systemd/system${2:+/$2}
    make_dir "$link_dir"
    link_place=$link_dir/$3
    [ -L "$link_place" ] || ln -s "$(seen "$1")" "$link_place" || die 12 "cannot create $link_place"
}
