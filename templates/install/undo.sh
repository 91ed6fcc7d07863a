
# --- undo ------------------------------------------------------------------------------------------------

MADE_RECORD= # yes: this run has made the record

# From here on a failure has something to undo.
open_record() {
    if [ -f "$RECORD/owned" ]; then
        cat "$RECORD/owned" >"$WORK/owned"
    else
        MADE_RECORD=yes
        for record_dir in "${RECORD%/*}" "$RECORD"; do
            [ -d "$record_dir" ] || mkdir -m 0700 "$record_dir" || die 12 "cannot create $record_dir"
        done
    fi
    [ ! -L "$RECORD" ] || die 10 "$RECORD is a symbolic link" "Put a real directory there."
    for old_root in $(owned_paths root); do
        [ "$old_root" = "$ROOT" ] || unclaim "root $old_root"
    done
    claim "root $ROOT" "$(user_line)"
    each_own_user claim_own_user
    for own_directory in $DIRECTORIES; do
        claim "dir $own_directory"
    done
    each_unit claim_unit
}

claim_unit() { # FILE
    [ -z "$UNIT_DIR" ] || claim "unit $UNIT_DIR/$1"
}

# Before the transaction nothing outside has changed but what is undone here: the machine is as it was.
undo() {
    say "cleaning up; nothing of this run remains"
    for undo_user in $USERS_MADE; do
        as_user "$undo_user" "" remove_user
    done
    undo_config
    undo_secrets
    (remove_leftovers)
    [ -z "$RELEASE_MADE" ] || (remove_release "$RELEASE")
    printf '%s' "$MADE_DIRS" | while read -r made_dir; do
        rmdir "$made_dir" 2>/dev/null
    done
    undo_left=$(printf '%s' "$MADE_DIRS" | while read -r made_dir; do
        [ ! -d "$made_dir" ] || printf '%s\n' "$made_dir"
    done)
    # What could not be removed stays ours, or the next run would refuse it as somebody else's.
    [ -z "$undo_left" ] || return 0
    if [ -n "$MADE_RECORD" ]; then
        rm -f "$RECORD/owned" "$RECORD/.owned.new"
        rmdir "$RECORD" 2>/dev/null
        rmdir "${RECORD%/*}" 2>/dev/null
    else
        (put "$RECORD/owned" 0600 <"$WORK/owned")
    fi
}
