
# --- change ----------------------------------------------------------------------------------------------
# From one release to another, forwards or back: everything that others can see.

change_over() { # ACTION DONE: the transaction's, the history's word
    begin_transaction "$1"
    PHASE=switching
    install_manage
    guard_boot
    hooks_before_switch
    install_units "$RELEASE"
    install_launchers
    switch_to "$RELEASE"
    enable_units
    load_units
    close_sockets
    finish_image
    start_units
    each_service_of "$RELEASE" watch_service
    hooks_after "$RELEASE" || hook_failed
    end_transaction "$2" "$RELEASE"
    PHASE="done"
}

# "current" is for people; units name the release itself.
switch_to() { # RELEASE
    rm -f "$ROOT/.current.new" || die 12 "cannot remove $ROOT/.current.new"
    ln -s "releases/$1" "$ROOT/.current.new" || die 12 "cannot make $ROOT/.current.new"
    # ln -sf is not atomic everywhere, and without -T the link would land inside the old release
    mv -fT "$ROOT/.current.new" "$ROOT/current" || die 12 "cannot switch $ROOT/current"
    flush "$ROOT"
}
