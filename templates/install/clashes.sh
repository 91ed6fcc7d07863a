
# --- clashes ---------------------------------------------------------------------------------------------
# Several bundles live on one machine side by side. What one of them has, by its record, no other one may take.

other_records() {
    for other_record in "${RECORD%/*}"/*/owned; do
        [ ! -f "$other_record" ] || [ "$other_record" = "$RECORD/owned" ] || printf '%s\n' "${other_record%/owned}"
    done
}

# Ends a sentence: "… exists and " + "belongs to the bundle 'x'".
whose() { # LINE of a record
    for other in $(other_records); do
        if owns_in "$other" "$1"; then
            printf "belongs to the bundle '%s'\n" "${other##*/}"
            return 0
        fi
    done
    printf 'was not created by this installer\n'
}

whose_unit() { # FILE
    for other in $(other_records); do
        if owned_in "$other" unit | grep -q "/$(pattern "$1")\$"; then
            printf "belongs to the bundle '%s'\n" "${other##*/}"
            return 0
        fi
    done
    printf 'was not created by this installer\n'
}

# --- names
# A bundle's directories and its user are called as the bundle; a unit and /run/SERVICE, which systemd gives to the
# service's user, as the service. What the system has under such a name is not given away.

check_names() {
    ! is_system_name "$NAME" ||
        problem "the name $NAME is reserved for the system or this installer" "Give the bundle another name."
    names_checked=
    each_service check_run_dir
}

is_system_name() { # NAME
    case $1 in
        conda-bundler | credentials | cryptsetup | dbus | host | initramfs | lock | log | mount | netns | shm | sudo | \
            systemd | systemd-* | udev | user | utmp) ;;
        *) return 1 ;;
    esac
}

check_run_dir() { # UNIT
    run_name=${1%.service}
    run_name=${run_name%%@*} # instances share it
    case " $names_checked " in
        *" $run_name "*) return 0 ;;
    esac
    names_checked="$names_checked $run_name"
    if is_system_name "$run_name"; then
        problem "the service $run_name would use /run/$run_name, which is reserved for the system or this installer" \
            "Give the service another name."
        return 0
    fi
    # An image's /run is not the one that it will boot with.
    [ -z "$IMAGE" ] && { [ -e "/run/$run_name" ] || [ -L "/run/$run_name" ]; } || return 0
    ! is_own_run_dir "/run/$run_name" || return 0
    problem "/run/$run_name exists and was not made for this bundle's services" \
        "Find out whose it is; remove it, or give the service another name."
}

is_own_run_dir() { # DIR
    [ ! -L "$1" ] && [ -d "$1" ] && owns_user && is_of_ours "$1"
}

# One root inside another would be removed with it.
check_other_roots() {
    for other in $(other_records); do
        other_root=$(owned_in "$other" root | tail -n 1)
        [ -n "$other_root" ] || continue
        case $PLACE/ in
            "$other_root"/?*) problem "$PLACE is inside $other_root, which belongs to the bundle '${other##*/}'" \
                "Choose another --prefix." ;;
        esac
        case $other_root/ in
            "$PLACE"/?*) problem "$other_root, which belongs to the bundle '${other##*/}', is inside $PLACE" \
                "Choose another --prefix." ;;
        esac
    done
}

# --- ports

PORTS_CHECKED=

check_ports() {
    each_service check_port
    check_sockets
}

check_port() { # UNIT
    [ -n "$service_url" ] && [ -f "$BUNDLE/units/$(file_of "$service_health")" ] || return 0
    port_unit=$1
    unit_environment "$BUNDLE/units" "$service_health" "$BAKED_ROOT/releases/$RELEASE" "$BUNDLE"
    expand "$service_url"
    parse_url "$URL_EXPANDED" || return 0
    port_wanted=$URL_PORT
    PORTS_CHECKED="$PORTS_CHECKED $URL_PORT"
    check_moved "$1" "$service_url"
    port_owner=
    check_port_of_others
    [ -z "$port_owner" ] && [ "$SYSTEMD" = yes ] || return 0
    for port_socket in $(listeners /proc/net "$port_wanted"); do
        is_our_socket "$port_socket" "$port_wanted" || {
            problem "the port $port_wanted of $port_unit is already in use$(named "$port_socket")" \
                "Stop that program, or choose another port in $ETC/$NAME.env."
            return 0
        }
    done
}

# Sets URL_FILES, as a unit's file names them; what is below OLD is below NEW yet.
unit_environment() { # UNITS-DIR UNIT OLD NEW
    URL_FILES=$(as_instance "$2" <"$1/$(file_of "$2")" | sed -n 's/^EnvironmentFile=-\{0,1\}//p' | while IFS= read -r unit_file; do
        case $3,$unit_file in
            ?*,"$3"/*) printf '%s%s\n' "$4" "${unit_file#"$3"}" ;;
            *) printf '%s%s\n' "$IMAGE" "$unit_file" ;;
        esac
    done)
}

# Another bundle's port is taken whether it runs just now or not: it will, at the next boot.
check_port_of_others() {
    for other in $(other_records); do
        other_root=$IMAGE$(owned_in "$other" root | tail -n 1)
        other_release=$(readlink "$other_root/current" 2>/dev/null) || continue
        [ -f "$other_root/$other_release/inventory" ] || continue
        each_entry "$other_root/$other_release" service as_service check_other_port
    done
}

check_other_port() { # UNIT
    [ -n "$service_url" ] && [ -f "$other_root/$other_release/units/$(file_of "$service_health")" ] || return 0
    unit_environment "$other_root/$other_release/units" "$service_health" "" ""
    expand "$service_url"
    parse_url "$URL_EXPANDED" && [ "$URL_PORT" = "$port_wanted" ] || return 0
    port_owner=${other##*/}
    problem "the port $port_wanted of $port_unit is also used by $1, which belongs to the bundle '${other##*/}'" \
        "Choose another port: in bundle.toml, or in $ETC/$NAME.env."
}
