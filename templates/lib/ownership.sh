
# --- our record ------------------------------------------------------------------------------------------
# owned        what is ours, one "kind value" per line, written before it is created: a killed run may leave an entry
#              too many, but never anything without an entry
# transaction  exists from the first visible change to the last (transaction.sh)
#
# Kinds: root user dir made unit given, and
#     account NAME GROUP                          a user that is not ours, in the place of user NAME
#     release RELEASE TREE-DIGEST LIST-DIGEST     what is in releases/, and how to tell that it is
#     was UNIT ENABLED ACTIVE                     what the admin wanted of a unit that a release has dropped
#     hooked RELEASE STATE                        how far its hooks have run
#     instance UNIT                               one of a template, which is a unit
#     bare NAME                                   installed with --no-systemd
#     secret NAME FORMAT LENGTH                   what was made, or taken from the operator

owns() { # LINE
    owns_in "$RECORD" "$1"
}

# Without grep, since a change calls this more than a hundred times.
owns_in() { # RECORD LINE: ours, or another bundle's
    owns_line=$2
    [ -z "$IMAGE" ] || owns_line=$(as_recorded "$2")
    [ -f "$1/owned" ] || return 1
    while IFS= read -r owns_read; do
        [ "$owns_read" != "$owns_line" ] || return 0
    done <"$1/owned"
    return 1
}

as_recorded() { # LINE
    case $1 in
        *" $IMAGE/"*) printf '%s %s\n' "${1%% *}" "$(seen "${1#* }")" ;;
        *) printf '%s\n' "$1" ;;
    esac
}

owned() { # KIND: every value of that kind
    owned_in "$RECORD" "$1"
}

owned_in() { # RECORD KIND
    [ ! -f "$1/owned" ] || sed -n "s|^$2 ||p" "$1/owned"
}

owned_paths() { # KIND
    [ ! -f "$RECORD/owned" ] || sed -n "s|^$1 /|$IMAGE/|p" "$RECORD/owned"
}

claim() { # LINE...
    claim_new=
    for claim_line in "$@"; do
        owns "$claim_line" || claim_new="$claim_new$(as_recorded "$claim_line")
"
    done
    [ -n "$claim_new" ] || return 0
    put "$RECORD/owned" 0600 owned_text
}

owned_text() {
    print_file "$RECORD/owned" && printf '%s' "$claim_new"
}

# Removes the line, and lines that continue it: "release 1.0-abc" has more words.
unclaim() { # LINE
    unclaim_line=$(as_recorded "$1")
    [ -f "$RECORD/owned" ] || return 0
    while read -r owned_line; do
        case "$owned_line " in
            "$unclaim_line "*) ;;
            *) printf '%s\n' "$owned_line" ;;
        esac
    done <"$RECORD/owned" >"$WORK/kept"
    cmp -s "$WORK/kept" "$RECORD/owned" || put "$RECORD/owned" 0600 <"$WORK/kept"
}
