
# --- the next boot ---------------------------------------------------------------------------------------
# If the machine loses power during a change, it would boot with a mixture of two releases. So during a change there is a
# unit that rolls it back before the services start.

AT_BOOT=

guard_boot() {
    if [ "$SYSTEMD" = no ] || [ -z "$FROM" ]; then
        return 0
    fi
    guard=$UNIT_DIR/$NAME-recover.service
    claim "unit $guard"
    put "$guard" 0644 guard_unit
    make_dir /etc/systemd/system/multi-user.target.wants
    guard_link=/etc/systemd/system/multi-user.target.wants/${guard##*/}
    [ -L "$guard_link" ] || ln -s "$guard" "$guard_link" || die 12 "cannot create $guard_link"
    flush "${guard_link%/*}"
}

guard_unit() {
    cat <<TEXT
# Made by conda-bundler while it goes from one release to another; gone when it has.
[Unit]
Description=$NAME: roll back an interrupted change
ConditionPathExists=$RECORD/transaction
RequiresMountsFor=$ROOT /var/lib
Before=$(guarded_units)

[Service]
Type=oneshot
ExecStart=/bin/sh $ROOT/manage recover
$(confinement "$ROOT $UNIT_DIR $RECORD -$ETC -/etc/systemd/system")
# Even if others own one of these directories: half a release would be worse.
CapabilityBoundingSet=CAP_DAC_OVERRIDE

[Install]
WantedBy=multi-user.target
TEXT
}

guarded_units() { # of both releases
    each_unit_of "$FROM" print_guarded
    each_unit_of "$RELEASE" print_guarded
}

print_guarded() { # UNIT: all but what is run on the way back
    is_hook "$1" || print_word "$1"
}

print_word() { # WORD
    printf '%s ' "$1"
}

unguard_boot() {
    guard=$(owned_paths unit | sed -n '/-recover\.service$/p')
    [ -n "$guard" ] || return 0
    rm -f "/etc/systemd/system/multi-user.target.wants/${guard##*/}" "$guard" || die 12 "cannot remove $guard"
    unclaim "unit $guard"
    [ -n "$AT_BOOT" ] || control daemon-reload || : # it would stay loaded, and what it names
}
