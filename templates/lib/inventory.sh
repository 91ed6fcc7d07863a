
# --- inventory -------------------------------------------------------------------------------------------
# What a release consists of stands in the release itself, so that any later manage or install.sh can go back to it:
#     service UNIT HEALTH-UNIT START-PERIOD TIMEOUT URL     (a - where there is none)
#     secret NAME BYTES FORMAT LENGTH DELIVERY
#     uid NUMBER                                            (bundle.uid, if it says one)
# Its units are the files in units/.

each_service_of() { # RELEASE FUNCTION: calls it with UNIT HEALTH-UNIT START-PERIOD TIMEOUT URL
    each_entry "$1" service "$2"
}

each_secret_of() { # RELEASE FUNCTION: calls it with NAME BYTES FORMAT LENGTH DELIVERY
    each_entry "$1" secret "$2"
}

each_entry() { # RELEASE KIND FUNCTION
    each_entry_in "$ROOT/releases/$1/inventory" "$2" "$3"
}

each_entry_in() { # FILE KIND FUNCTION
    [ -f "$1" ] || die 12 "$1 is missing" "The release is damaged: install its bundle again."
    # Not on descriptor 0: what the function starts would read it.
    while read -r entry_kind entry_1 entry_2 entry_3 entry_4 entry_5 <&8; do
        [ "$entry_kind" = "$2" ] || continue
        [ "$entry_2" != - ] || entry_2=
        [ "$entry_5" != - ] || entry_5=
        "$3" "$entry_1" "$entry_2" "$entry_3" "$entry_4" "$entry_5"
    done 8<"$1"
}

# A job, which its timer starts: it is neither enabled nor started itself.
is_job() { # UNITS-DIR UNIT
    [ -f "$1/${2%.service}.timer" ]
}

is_unit() { # FILE
    case $1 in
        *.service | *.timer | *.socket | *.path | *.target | *.slice | *.mount) [ -f "$1" ] ;;
        *) return 1 ;;
    esac
}
