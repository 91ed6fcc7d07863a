
# --- ports -----------------------------------------------------------------------------------------------
# Who listens where a health check asks. The kernel's tables have addresses and the numbers of sockets;
# whose they are shows in the descriptors of processes.

# ${PORT} in a health check's URL is from the unit's environment files, a line each in URL_FILES; the last one that
# has it counts.
expand() { # URL: sets URL_EXPANDED
    URL_EXPANDED=$1
    while :; do
        case $URL_EXPANDED in
            *'${'*'}'*) ;;
            *) return 0 ;;
        esac
        url_before=${URL_EXPANDED%%'${'*}
        url_after=${URL_EXPANDED#*'${'}
        url_name=${url_after%%\}*}
        url_found=
        while IFS= read -r url_file <&6; do
            [ ! -f "$url_file" ] || read_environment "$url_file" match_variable
        done 6<<FILES
$URL_FILES
FILES
        case $url_found in
            *'${'*) url_found= ;; # systemd expands once
        esac
        URL_EXPANDED=$url_before$url_found${url_after#*\}}
    done
}

match_variable() { # NAME VALUE
    [ "$1" != "$url_name" ] || url_found=$2
}

# Sets URL_HOST and URL_PORT; fails on what is not on this machine, or no port.
parse_url() { # http://HOST[:PORT][/PATH] or tcp://HOST:PORT
    url_address=${1#*://}
    url_address=${url_address%%/*}
    case $url_address in
        \[*\]) URL_HOST=$url_address URL_PORT=80 ;;
        *:*) URL_HOST=${url_address%:*} URL_PORT=${url_address##*:} ;;
        *) URL_HOST=$url_address URL_PORT=80 ;;
    esac
    case $URL_PORT in
        '' | *[!0-9]* | ??????* | 0*) return 1 ;;
    esac
    case $URL_HOST in
        127.* | 0.0.0.0 | localhost | '[::1]' | '[::]') ;;
        *) return 1 ;;
    esac
}

listeners() { # TABLES-DIR PORT: the socket numbers of whoever listens there on loopback or on every address
    listener_port=$(printf '%04X' "$2")
    # "sl local:port remote:port state …", the number is field 10; 0A is LISTEN. Loopback stands in the machine's
    # byte order.
    cat "$1/tcp" "$1/tcp6" 2>/dev/null | sed -n \
        "s/^ *[0-9]*: \\([0-9A-F]*\\):$listener_port [^ ]* 0A [^ ]* [^ ]* [^ ]* *[0-9]* *[0-9]* \\([0-9]*\\) .*/\\1 \\2/p" |
        while read -r listener_address listener_socket; do
            case $listener_address in
                00000000 | 00000000000000000000000000000000 | ??????7F | 7F??????) ;;
                00000000000000000000000001000000 | 00000000000000000000000000000001) ;;
                0000000000000000FFFF0000*) ;; # IPv4 in IPv6
                *) continue ;;
            esac
            printf '%s\n' "$listener_socket"
        done
}

# The processes of a unit, by the control group that systemd says it has. A name in a control group's path says nothing:
# each user has a systemd of his own, and may call a unit of it as ours is called.
processes_of() { # UNIT
    processes_group=$(property "$1" ControlGroup)
    [ -z "$processes_group" ] || # it does not run
        in_group "$processes_group" /proc/[0-9]*/cgroup | sed 's|^/proc/||; s|/cgroup$||'
}

# Prints those of the FILEs, which are /proc/PID/cgroup, whose process is in the group or below it: in systemd's own
# hierarchy, the unified one or, with cgroups of version 1, "name=systemd".
in_group() { # GROUP FILE...
    case $1 in
        /?*) ;;
        *) return 1 ;;
    esac
    in_pattern=$(pattern "$1")
    shift
    grep -l -e "^0::$in_pattern\$" -e "^0::$in_pattern/" \
        -e "^[0-9]*:name=systemd:$in_pattern\$" -e "^[0-9]*:name=systemd:$in_pattern/" "$@" 2>/dev/null
}

has_socket() { # PID SOCKET
    links_in "/proc/$1/fd" | grep -qF "socket:[$2]"
}

# Any unit of ours will do: a health check may ask a sister.
owns_listener() { # UNIT HEALTH-UNIT URL
    [ -n "$3" ] || return 0
    # as systemd has them, drop-ins included
    URL_FILES=$(control show -p EnvironmentFiles --value "$2" 2>/dev/null | sed 's/ (ignore_errors=[a-z]*)$//') || :
    expand "$3"
    case $URL_EXPANDED in
        unix:*)
            owns_path "$(path_of_url "$URL_EXPANDED")"
            return $?
            ;;
    esac
    parse_url "$URL_EXPANDED" || return 0
    listener_tables=/proc/$(property "$1" MainPID)/net
    [ -r "$listener_tables/tcp" ] || listener_tables=/proc/net
    gate_why="nothing listens on $URL_HOST:$URL_PORT"
    for listener in $(listeners "$listener_tables" "$URL_PORT"); do
        ! is_our_socket "$listener" "$URL_PORT" "$1" || return 0
        gate_why="somebody else listens on $URL_HOST:$URL_PORT$(named "$listener")"
    done
    return 1
}

owns_path() { # PATH
    gate_why="nothing listens on $1"
    for listener in $(path_listeners /proc/net "$1"); do
        ! is_our_socket "$listener" "$1" || return 0
        gate_why="somebody else listens on $1$(named "$listener")"
    done
    return 1
}

is_our_socket() { # SOCKET PORT-or-PATH [UNIT]: this one is asked first, as it is most likely to be the one
    for our_unit in ${3:-} $(owned_paths unit) $(owned instance); do
        for our_pid in $(processes_of "${our_unit##*/}"); do
            ! has_socket "$our_pid" "$1" || return 0
        done
    done
    is_held_for_us "$1" "$2"
}

named() { # SOCKET: " (process 123 of uid 33, nginx)"
    for named_dir in /proc/[0-9]*; do
        if has_socket "${named_dir#/proc/}" "$1"; then
            named_pid=${named_dir#/proc/}
            named_hint=
            [ "$named_pid" != 1 ] || named_hint=': see systemctl list-sockets'
            printf ' (process %s of uid %s, %s%s)' "$named_pid" \
                "$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "$named_dir/status")" \
                "$(tr -cd '\041-\176' <"$named_dir/comm")" "$named_hint"
            return 0
        fi
    done
}
