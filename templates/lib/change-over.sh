
# --- change ----------------------------------------------------------------------------------------------
# The visible part of a change from one release to another, forwards or backwards.

MANAGE= # the file that was checked; empty: none is to be installed

# BEFORE-START is a command of the caller, to run before the units are started.
change_over() { # ACTION DONE [BEFORE-START]: the transaction's, the history's word
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
    "${3:-:}"
    start_units
    each_service_of "$RELEASE" watch_service
    hooks_after "$RELEASE" || hook_failed
    end_transaction "$2" "$RELEASE"
    PHASE="done"
}

# Any version of manage can handle all releases.
install_manage() {
    manage_is_installed || put "$ROOT/manage" 0755 <"$MANAGE"
}

manage_is_installed() {
    [ -z "$MANAGE" ] || cmp -s "$MANAGE" "$ROOT/manage"
}

# "current" is for people; units name the release itself.
switch_to() { # RELEASE
    rm -f "$ROOT/.current.new" || die 12 "cannot remove $ROOT/.current.new"
    ln -s "releases/$1" "$ROOT/.current.new" || die 12 "cannot create $ROOT/.current.new"
    # ln -sf is not atomic everywhere, and without -T the link would land inside the old release
    mv -fT "$ROOT/.current.new" "$ROOT/current" || die 12 "cannot switch $ROOT/current"
    flush "$ROOT"
}
