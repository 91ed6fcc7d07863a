
# --- our record ------------------------------------------------------------------------------------------
# owned        what is ours, one "kind value" a line, written before the thing itself is made: a run that is
#              killed in between leaves a claim too many, never a thing that nobody owns
# transaction  there from the first change that others can see to the last

RECORD=/var/lib/conda-bundler/$NAME
ETC=/etc/$NAME
STATE=/var/lib/$NAME
DIRECTORIES="$ETC $STATE /var/cache/$NAME /var/log/$NAME" # the last three are made by systemd, for the service
MADE_DIRS=    # directories that this run has made, the deepest first
MADE_RECORD=  # yes: this run has made the record

owns() { # LINE
    [ -f "$RECORD/owned" ] && grep -qxF -e "$1" "$RECORD/owned"
}

owned() { # KIND: every value of that kind
    [ ! -f "$RECORD/owned" ] || sed -n "s|^$1 ||p" "$RECORD/owned"
}

claim() { # LINE...
    claim_new=
    for claim_line in "$@"; do
        owns "$claim_line" || claim_new="$claim_new$claim_line
"
    done
    [ -n "$claim_new" ] || return 0
    {
        [ ! -f "$RECORD/owned" ] || cat "$RECORD/owned"
        printf '%s' "$claim_new"
    } | put "$RECORD/owned" 0600
}

unclaim() { # LINE
    owns "$1" || return 0
    { grep -vxF -e "$1" "$RECORD/owned" || :; } | put "$RECORD/owned" 0600
}

# From here on a failure has something to undo.
open_record() {
    if [ -f "$RECORD/owned" ]; then
        cat "$RECORD/owned" >"$WORK/owned"
    else
        MADE_RECORD=yes
        for record_dir in /var/lib/conda-bundler "$RECORD"; do
            [ -d "$record_dir" ] || mkdir -m 0700 "$record_dir" || die 12 "cannot make $record_dir"
        done
    fi
    [ ! -L "$RECORD" ] || die 10 "$RECORD is a symbolic link" "Put a real directory there."
    claim "root $ROOT" "user $SERVICE_USER"
    for own_directory in $DIRECTORIES; do
        claim "dir $own_directory"
    done
    each_unit claim_unit
}

claim_unit() { # FILE
    claim "unit $UNIT_DIR/$1"
}

# --- transaction

FROM= # the release that ran before, if any

transaction_value() { # KEY
    sed -n "s/^$1=//p" "$RECORD/transaction"
}

# A run that was cut off between "from" and "to" has left the truth about "before" in its own record.
begin_transaction() {
    if [ -f "$RECORD/transaction" ]; then
        FROM=$(transaction_value from)
        sed -n '/^unit /p' "$RECORD/transaction" >"$WORK/states"
    else
        FROM=$(current_release)
        remember_states >"$WORK/states"
    fi
    [ -z "$FROM" ] || is_complete "$FROM" || FROM=
    write_transaction switch
}

write_transaction() { # PHASE
    {
        printf 'from=%s\nto=%s\nphase=%s\n' "$FROM" "$RELEASE" "$1"
        cat "$WORK/states"
    } | put "$RECORD/transaction" 0600
}

end_transaction() { # ACTION RELEASE
    {
        [ ! -f "$ROOT/history" ] || cat "$ROOT/history"
        printf '%s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$2" "$1"
    } | put "$ROOT/history" 0644
    rm -f "$RECORD/transaction" || die 12 "cannot remove $RECORD/transaction"
    flush "$RECORD"
}

# "unit NAME ENABLED ACTIVE" for each unit that is installed now: what the admin wants of it.
remember_states() {
    [ -n "$(current_release)" ] || return 0
    owned unit | while read -r state_path; do
        [ -f "$state_path" ] || continue
        state_unit=${state_path##*/}
        printf 'unit %s %s %s\n' "$state_unit" "$(enablement "$state_unit")" \
            "$(property "$state_unit" ActiveState)"
    done
}

state_before() { # enabled|active UNIT: prints nothing if there was no such unit
    case $1 in
        enabled) sed -n "s/^unit $2 \([^ ]*\) [^ ]*\$/\1/p" "$WORK/states" ;;
        active) sed -n "s/^unit $2 [^ ]* \([^ ]*\)\$/\1/p" "$WORK/states" ;;
    esac
}

current_release() {
    [ -L "$ROOT/current" ] || return 0
    current_link=$(readlink "$ROOT/current") || return 0
    case $current_link in
        releases/*/* | releases/) ;;
        releases/*) printf '%s\n' "${current_link#releases/}" ;;
    esac
}

is_complete() { # RELEASE
    [ ! -L "$ROOT/releases/$1" ] && [ -d "$ROOT/releases/$1" ] && [ -f "$ROOT/releases/$1/.complete" ]
}
