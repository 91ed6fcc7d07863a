
# --- inventory -------------------------------------------------------------------------------------------
# The content of a release is recorded in the release itself, so that any later manage or install.sh can roll back to it:
#     format NUMBER                                         (the first one had no such line)
#     service UNIT HEALTH-UNIT START-PERIOD TIMEOUT URL     (a - where there is none)
#     secret NAME BYTES FORMAT LENGTH DELIVERY
#     user NAME UID                                         (of a service's own)
#     uid NUMBER                                            (bundle.uid, if it says one)
# Its units are the files in units/.

INVENTORY_FORMAT=1

# The fields of services and secrets are defined here, for the header's lists and for inventories: callbacks get the name
# as their argument, and the other fields in these variables.

as_service() { # FUNCTION UNIT HEALTH-UNIT START-PERIOD TIMEOUT URL
    service_health=$3  # the unit that checks its health once; empty: it has no health check
    service_start=$4   # its start period in seconds
    service_timeout=$5 # seconds after these
    service_url=$6     # the address of the health check; empty: no port
    "$1" "$2"
}

as_secret() { # FUNCTION NAME BYTES FORMAT LENGTH DELIVERY
    secret_bytes=$3    # that the kernel gives for it
    secret_format=$4   # hex, base32, base64url or alphanumeric
    secret_length=$5   # characters
    secret_delivery=$6 # environment or credential
    "$1" "$2"
}

as_user_entry() { # FUNCTION USER UID
    "$1" "$2" "$3"
}

as_number() { # FUNCTION NUMBER
    "$1" "$2"
}

each_service_of() { # RELEASE FUNCTION: calls it with UNIT
    each_entry "$ROOT/releases/$1" service as_service "$2"
}

each_secret_of() { # RELEASE FUNCTION: calls it with NAME
    each_entry "$ROOT/releases/$1" secret as_secret "$2"
}

each_entry() { # DIR KIND AS FUNCTION
    [ -f "$1/inventory" ] || die 12 "$1/inventory is missing" "The release is damaged: install its bundle again."
    # Not on descriptor 0: what the function starts would read it.
    while read -r entry_kind entry_1 entry_2 entry_3 entry_4 entry_5 <&8; do
        [ "$entry_kind" != format ] || [ "$entry_1" = "$INVENTORY_FORMAT" ] ||
            die 12 "$1/inventory has the format '$entry_1', which this version does not know" \
                "Use the bundle of a newer release, or remove this one."
        [ "$entry_kind" = "$2" ] || continue
        [ "$entry_2" != - ] || entry_2=
        [ "$entry_5" != - ] || entry_5=
        "$3" "$4" "$entry_1" "$entry_2" "$entry_3" "$entry_4" "$entry_5"
    done 8<"$1/inventory"
}

# The lines that each_entry reads. A different order or meaning requires a new format number.
inventory_text() {
    printf 'format %s\n' "$INVENTORY_FORMAT" && each_service print_service && each_secret print_secret || return 1
    each_own_user print_own_user
    [ -z "$SERVICE_UID" ] || printf 'uid %s\n' "$SERVICE_UID"
}

print_service() { # UNIT
    printf 'service %s %s %s %s %s\n' "$1" "${service_health:--}" "$service_start" "$service_timeout" "${service_url:--}"
}

print_own_user() { # USER UID
    printf 'user %s %s\n' "$1" "${2:--}"
}

print_secret() { # NAME
    printf 'secret %s %s %s %s %s\n' "$1" "$secret_bytes" "$secret_format" "$secret_length" "$secret_delivery"
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
