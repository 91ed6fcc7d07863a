
# --- switch ----------------------------------------------------------------------------------------------
# "current" is for people; units name the release itself.

switch_to() { # RELEASE
    rm -f "$ROOT/.current.new" || die 12 "cannot remove $ROOT/.current.new"
    ln -s "releases/$1" "$ROOT/.current.new" || die 12 "cannot make $ROOT/.current.new"
    # ln -sf is not atomic everywhere, and without -T the link would land inside the old release
    mv -fT "$ROOT/.current.new" "$ROOT/current" || die 12 "cannot switch $ROOT/current"
    flush "$ROOT"
}
