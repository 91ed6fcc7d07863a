
# --- dry run ---------------------------------------------------------------------------------------------
# What install would do, a line each on stdout, in its order. Nothing is written, not even the lock.

plan() {
    look
    ! is_pending || step "resume the interrupted run"
    if is_installed; then
        plan_secrets
        printf 'is already installed\n'
        return 0
    fi
    plan_release
    plan_secrets
    [ -f "$ETC/$NAME.env" ] ||
        step "write $ETC/$NAME.env, $([ -n "$SETTINGS" ] && echo "from $SETTINGS" || echo "with every default commented out")"
    for_users plan_user
    plan_change
}

step() { # SENTENCE
    printf 'would %s\n' "$1"
}

plan_user() {
    has_entry passwd "$SERVICE_USER" || step "create the user $SERVICE_USER${SERVICE_UID:+ (uid $SERVICE_UID)}"
}

plan_release() {
    check_same_release
    if ! is_complete "$RELEASE"; then
        step "unpack $(((PAYLOAD_KIB - REUSED_KIB) / 1024)) MiB, $((PAYLOAD_FILES - REUSED_FILES)) files, to $ROOT/releases/$RELEASE"
        [ -z "$REUSED" ] || step "link $REUSED_FILES files of earlier releases"
    elif ! is_intact "$RELEASE"; then
        step "reinstall $ROOT/releases/$RELEASE, which is corrupted"
    fi
    [ "$PLACE" = "$BAKED_ROOT" ] || step "adapt its files to $PLACE"
}

plan_secrets() {
    each_secret plan_secret
}

plan_secret() { # NAME
    [ -z "$IMAGE" ] || return 0
    secret_is_torn "$1" "$(secret_value "$1" "$secret_delivery")" "$secret_format" "$secret_length" || return 0
    step "generate the secret $1 in $ETC"
}

plan_change() {
    plan_from=$(current_release)
    manage_is_installed || step "write $ROOT/manage"
    for plan_old in $(owned_paths unit); do
        plan_kept=
        each_unit match_plan_unit
        [ -n "$plan_kept" ] || step "stop, disable and remove $plan_old"
    done
    [ -z "$plan_from" ] || each_service_of "$plan_from" plan_instance
    each_unit plan_unit
    [ "$SYSTEMD" = no ] || [ "$START" = no ] || each_unit plan_hook
    step "switch $ROOT/current from ${plan_from:-nothing} to releases/$RELEASE"
    [ "$SYSTEMD" = no ] || each_service plan_service
    step "remove all but $KEEP releases"
}

match_plan_unit() { # FILE
    [ "${plan_old##*/}" != "$1" ] || plan_kept=yes
}

plan_instance() { # UNIT: of the release before
    [ -n "$(number_of "$1")" ] || return 0
    plan_old=$1
    plan_kept=
    each_service match_plan_unit
    [ -n "$plan_kept" ] || step "stop and disable $1"
}

plan_unit() { # FILE
    [ -n "$UNIT_DIR" ] || return 0
    cmp -s "$BUNDLE/units/$1" "$UNIT_DIR/$1" || step "write $UNIT_DIR/$1"
}

plan_hook() { # FILE
    ! is_hook "$1" || case $1 in
        *-back.service) ;;
        *) step "run ${1%.service}" ;;
    esac
}

# What becomes of its socket, behind its name.
plan_socket() { # UNIT
    plan_with=${1%.service}.socket
    [ -f "$BUNDLE/units/$plan_with" ] || return 0
    if [ "$(socket_section "$BUNDLE/units/$plan_with")" = "$(socket_section "$ROOT/releases/$plan_from/units/$plan_with")" ]; then
        printf ', %s staying open,' "$plan_with"
    else
        printf ' with %s' "$plan_with"
    fi
}

plan_service() { # UNIT
    plan_goal=healthy
    [ -n "$service_health" ] || plan_goal=up # it has no health check
    ! is_job "$BUNDLE/units" "$1" || return 0 # nothing is started before it is time
    if [ -z "$plan_from" ] || ! { owns_unit "$1" || owns "instance $1"; }; then
        [ "$ENABLE" = no ] || step "enable $1"
        [ "$START" = no ] || step "start $1$(plan_socket "$1") and wait until it is $plan_goal"
        return 0
    fi
    case $(property "$1" ActiveState) in
        active | activating | reloading | failed)
            [ "$START" = no ] || step "restart $1$(plan_socket "$1") and wait until it is $plan_goal; roll back to $plan_from if it is not"
            ;;
        *) step "leave $1 stopped" ;;
    esac
}
