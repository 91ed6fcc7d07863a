
# --- status ----------------------------------------------------------------------------------------------
# As text or as one JSON document. All values come from the system or are names that were validated by the build, so
# nothing has to be escaped in JSON.

STATUS_WELL=yes
STATUS_JSON=
STATUS_SETTINGS=
STATUS_GPU=null

status() {
    need_release
    STATUS_PREVIOUS=$(previous_release)
    STATUS_PENDING=$(transaction_value phase)
    ! are_held || STATUS_PENDING=${STATUS_PENDING:-first-boot}
    [ -n "$JSON" ] || tell_release
    each_service_of "$RELEASE" tell_service
    ! uses_gpu || tell_gpu
    [ ! -r "$ETC/$NAME.env" ] || each_odd_setting "$ETC/$NAME.env" tell_setting
    [ -z "$STATUS_PENDING" ] || STATUS_WELL=
    [ -z "$JSON" ] || print_json
    [ -n "$STATUS_WELL" ] || exit 3
}

tell_release() {
    printf '%s %s in %s\n' "$NAME" "$RELEASE" "$ROOT"
    [ -z "$STATUS_PREVIOUS" ] || printf 'previous: %s\n' "$STATUS_PREVIOUS"
    [ "$STATUS_PENDING" != first-boot ] ||
        printf 'a hook failed at the first boot, so nothing was started; to run it again: systemctl start %s-first-boot\n' "$NAME"
    [ -z "$(transaction_value phase)" ] ||
        printf 'a previous run was interrupted (%s of %s): run it again, or: %s/manage rollback\n' \
            "$(transaction_value action)" "$(transaction_value to)" "$ROOT"
}

tell_service() { # UNIT
    told_active=$(property "$1" ActiveState)
    told_enabled=$(enabled_with "$1")
    told_since=$(property "$1" ActiveEnterTimestamp)
    told_health=unknown
    if [ -n "$BARE" ]; then # whoever starts it knows
        told_active=unknown
        told_enabled=unknown
    fi
    case $told_active,$told_enabled in
        unknown,*) ;;
        active,*) tell_health "$1" "$service_health" ;;
        inactive,disabled | inactive,masked*) ;; # as the admin wants it
        inactive,static | activating,static) ;; # a job between two runs, or in one
        *) STATUS_WELL= ;;
    esac
    told_socket=
    tell_socket "$1" "${1%.service}.socket"
    if [ -n "$JSON" ]; then
        STATUS_JSON="$STATUS_JSON${STATUS_JSON:+,}
    {\"unit\": \"$1\", \"socket\": $(quoted_or_null "$told_socket"), \"active\": \"$told_active\", \"enabled\": \"$told_enabled\", \"health\": \"$told_health\", \"since\": \"$told_since\"}"
    else
        told_words="health $told_health"
        [ "$told_health" != none ] || told_words="up, no health check"
        printf '%s: %s, %s, %s%s\n' "$1" "$told_active" "$told_enabled" "$told_words" \
            "${told_since:+, since $told_since}"
        tell_open "$1" "${1%.service}.socket"
    fi
}

# An enabled target starts its instances at boot; with a disabled target, they do not start.
enabled_with() { # UNIT: as enablement
    with_own=$(enablement "$1")
    case $1,$with_own in
        *@*,enabled*)
            with_target=$(enablement "${1%%@*}.target")
            case $with_target in
                disabled | masked*) with_own=$with_target ;;
            esac
            ;;
    esac
    printf '%s\n' "$with_own"
}

tell_socket() { # UNIT SOCKET-UNIT: sets told_socket
    [ -z "$BARE" ] && [ -f "$ROOT/releases/$RELEASE/units/$2" ] || return 0
    told_socket=$(property "$2" ActiveState)
    case $told_socket,$(enablement "$2") in
        active,* | inactive,disabled | inactive,masked*) ;;
        *) STATUS_WELL= ;;
    esac
}

tell_open() { # UNIT SOCKET-UNIT
    [ -n "$told_socket" ] || return 0
    printf '%s: %s, %s, %s\n' "$2" "$told_socket" "$(enablement "$2")" "$(property "$2" Listen | head -n 1)"
    case $told_socket,$told_active in
        active,inactive | active,failed)
            printf '%s is stopped, but the next connection to %s starts it; to keep it stopped: systemctl stop %s\n' \
                "$1" "$2" "$2"
            ;;
    esac
}

tell_setting() { # LINE SENTENCE: it is for people to judge
    if [ -n "$JSON" ]; then
        STATUS_SETTINGS="$STATUS_SETTINGS${STATUS_SETTINGS:+,}
    {\"line\": $1, \"message\": \"$2\"}"
    else
        printf '%s, line %s: %s\n' "$ETC/$NAME.env" "$1" "$2"
    fi
}

uses_gpu() {
    for gpu_unit in "$ROOT/releases/$RELEASE/units"/*-gpu.service; do
        [ -e "$gpu_unit" ] || return 1
    done
}

tell_gpu() {
    gpu_version=$(nvidia_version)
    gpu_cuda=$(ask_nvidia)
    if [ -n "$JSON" ]; then
        STATUS_GPU="{\"driver\": $(quoted_or_null "$gpu_version"), \"cuda\": $(quoted_or_null "$gpu_cuda")}"
    else
        printf 'NVIDIA driver: %s%s\n' "${gpu_version:-not loaded}" "${gpu_cuda:+, supports CUDA $gpu_cuda}"
    fi
}

tell_health() { # UNIT HEALTH-UNIT
    if [ -z "$2" ]; then # it is up, and nobody knows more
        tells_itself "$1" || told_health=none
        return 0
    fi
    told_health=good
    control reset-failed "$2" >/dev/null 2>&1 || :
    if ! control start "$2" >/dev/null 2>&1; then
        told_health=bad
        STATUS_WELL=
    fi
}

print_json() {
    cat <<TEXT
{
  "name": "$NAME",
  "root": "$ROOT",
  "release": "$RELEASE",
  "previous": $(quoted_or_null "$STATUS_PREVIOUS"),
  "pending": $(quoted_or_null "$STATUS_PENDING"),
  "healthy": $(true_or_false "$STATUS_WELL"),
  "gpu": $STATUS_GPU,
  "settings": [$STATUS_SETTINGS
  ],
  "units": [$STATUS_JSON
  ]
}
TEXT
}

quoted_or_null() { # WORD
    if [ -n "$1" ]; then
        printf '"%s"' "$1"
    else
        printf null
    fi
}

true_or_false() { # YES: empty is false
    if [ -n "$1" ]; then
        printf true
    else
        printf false
    fi
}
