
# --- support bundle --------------------------------------------------------------------------------------
# One file for whoever is to help: what this machine, the release and its units say of themselves. It takes no lock and
# changes nothing, so it can be had in the middle of whatever went wrong. All of it goes through redacted.

SUPPORT_DIR=   # scratch, in memory
SUPPORT_NEW=   # the file, as long as it has not got its name
SUPPORT_UNITS= # which the record says are ours
SUPPORT_LINES=2000 # of the journal, a unit

check_support_file() {
    [ -n "$OPERAND" ] || misuse "$COMMAND needs the name of the file to write"
    case $OPERAND in
        */) misuse "not the name of a file: $OPERAND" ;;
    esac
}

support_bundle() {
    check_support_place
    catch_signals : remove_support
    open_support
    RELEASE=$(current_release)
    SUPPORT_UNITS=$(support_units)
    known_values >"$WORK/values" || die 12 "cannot read the secrets that are to be hidden" "See: $ETC"
    gather_all
    place_support
    say "the support bundle is $OPERAND; secrets are replaced with ***, but read it before you hand it over"
}

check_support_place() {
    for support_program in awk gzip od tar tr; do
        have "$support_program" || die 10 "$support_program is required for a support bundle" "Install it."
    done
    if [ -e "$OPERAND" ] || [ -L "$OPERAND" ]; then
        die 2 "$OPERAND already exists; it is left alone" "Name another file."
    fi
    support_place=.
    case $OPERAND in
        /*/*) support_place=${OPERAND%/*} ;;
        /*) support_place=/ ;;
        */*) support_place=${OPERAND%/*} ;;
    esac
    [ -d "$support_place" ] || die 2 "there is no directory $support_place" "Create it, or name another file."
}

open_support() {
    make_run_dir
    SUPPORT_DIR=$(mktemp -d "$RUN_DIR/support.XXXXXXXXXX") || die 12 "cannot create a directory in $RUN_DIR"
    WORK=$SUPPORT_DIR
    umask 077
    mkdir "$WORK/$NAME-support" "$WORK/$NAME-support/units" "$WORK/$NAME-support/journal" ||
        die 12 "cannot create a directory in $WORK"
}

remove_support() {
    [ -z "$SUPPORT_NEW" ] || rm -f "$SUPPORT_NEW"
    [ -z "$SUPPORT_DIR" ] || rm -rf "$SUPPORT_DIR"
}

support_units() {
    owned_paths unit | sed -e 's|.*/||' -e '/@\./d'
    owned instance
}

# --- what is known to be secret

known_values() {
    for known_file in "$SECRETS" "$RECORD/secrets.before"; do
        [ ! -f "$known_file" ] || read_environment "$known_file" secret_line || return 1
    done
    for known_file in "$ETC"/credentials/*; do
        credential_line cat "$known_file" || return 1
    done
    credential_line "sed 1d" "$RECORD/credential.before" || return 1
    known_settings || return 1
    for known_unit in $SUPPORT_UNITS; do
        known_of_unit "$known_unit"
    done
}

secret_line() { # NAME VALUE
    value_line secret "$1" "$2"
}

setting_line() { # NAME VALUE
    value_line setting "$1" "$2"
}

# All of it but the line break at its end; the lines of it are found there.
credential_line() { # PROGRAM FILE
    [ -f "$2" ] || return 0
    # shellcheck disable=SC2086 # the program's words
    known_hex=$($1 "$2" | in_hex) || return 1
    printf 'secret - %s\n' "$known_hex" | sed 's/\(0a\)*$//'
}

known_settings() {
    setting_files >"$WORK/files" || return 1
    while IFS= read -r known_file <&6; do
        read_environment "$known_file" setting_line || return 1
    done 6<"$WORK/files"
}

# The operator's, and what drop-ins name. What is in the release everybody may know.
setting_files() {
    {
        printf '%s\n' "$ETC"/*.env
        for known_unit in $SUPPORT_UNITS; do
            property "$known_unit" EnvironmentFiles | sed 's/ (ignore_errors=[a-z]*)$//'
        done
    } | sort -u | while IFS= read -r known_file; do
        case $known_file in
            "$SECRETS" | "$ROOT"/*) ;;
            *) [ ! -f "$known_file" ] || printf '%s\n' "$known_file" ;;
        esac
    done
}

# What it is started with, by drop-ins and by systemd itself; what its process has.
known_of_unit() { # UNIT
    value_line words - "$(property "$1" Environment)"
    property "$1" LoadCredential | sed -n 's/^[^:]*:\(\/.*\)/\1/p' | while IFS= read -r known_file; do
        credential_line cat "$known_file"
    done
    known_pid=$(property "$1" MainPID)
    [ "${known_pid:-0}" -gt 0 ] && [ -r "/proc/$known_pid/environ" ] || return 0
    tr '\000\n' '\n ' <"/proc/$known_pid/environ" 2>/dev/null | while IFS= read -r known_word; do
        value_line variable "${known_word%%=*}" "${known_word#*=}"
    done
}

# --- what is gathered

gather_all() {
    gather about.txt support_about
    gather status.txt status
    gather releases.txt support_releases
    gather drift.txt support_drift
    gather settings.txt support_settings
    gather packages.txt support_packages
    gather machine.txt support_machine
    gather units/state.txt support_states
    gather journal/kernel.txt journalctl -k -n "$SUPPORT_LINES" --no-pager -o short-iso
    for gather_unit in $SUPPORT_UNITS; do
        gather "units/$gather_unit.txt" support_unit "$gather_unit"
        gather "journal/$gather_unit.txt" journalctl -u "$gather_unit" -n "$SUPPORT_LINES" --no-pager -o short-iso
    done
}

# What cannot be had says so itself, in the file.
gather() { # FILE COMMAND...
    gather_file=$WORK/$NAME-support/$1
    shift
    gather_status=0
    ("$@") >"$WORK/raw" 2>&1 </dev/null || gather_status=$?
    [ "$gather_status" = 0 ] || printf '(exit status %s)\n' "$gather_status" >>"$WORK/raw"
    if ! redacted <"$WORK/raw" >"$WORK/masked" || ! harmless tabs <"$WORK/masked" >"$gather_file"; then
        die 12 "cannot hide the secrets in ${gather_file##*/}" "Check for a full /run."
    fi
}

support_about() {
    printf '%s %s in %s\nmanage of conda-bundler %s, %s\nuser: %s\n' \
        "$NAME" "${RELEASE:-without a current release}" "$ROOT" "$TOOL_VERSION" "$PLATFORM" "$SERVICE_USER"
    printf 'made: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    ! install_is_running || echo 'An install, or a change by manage, was under way.'
    section "transaction" print_file "$RECORD/transaction"
    section "record" print_file "$RECORD/owned"
}

support_releases() {
    releases
    section "history" print_file "$ROOT/history"
}

support_drift() {
    OPERAND=
    verify
}

support_settings() {
    section "$ETC" ls -l "$ETC"
    known_settings >"$WORK/values.shown" || return 1
    section "settings" shown_settings "$WORK/values.shown"
    [ -z "$RELEASE" ] || section "secrets" each_secret_of "$RELEASE" support_secret
}

support_secret() { # NAME
    if [ -n "$(secret_value "$1" "$secret_delivery")" ]; then
        printf '%s is there, delivered by %s\n' "$1" "$secret_delivery"
    else
        printf '%s is missing\n' "$1"
    fi
}

support_packages() {
    for support_package in "$ROOT/releases/$RELEASE"/env/conda-meta/*.json; do
        [ ! -f "$support_package" ] || printf '%s\n' "${support_package##*/}"
    done
}

support_machine() {
    section "system" uname -srvm
    section "distribution" cat /etc/os-release
    section "C library" getconf GNU_LIBC_VERSION
    section "systemd" systemctl --version
    section "virtualization" systemd-detect-virt
    section "processors" grep -m 1 '^model name' /proc/cpuinfo
    section "number of processors" getconf _NPROCESSORS_ONLN
    section "memory" head -n 5 /proc/meminfo
    section "pressure" cat /proc/loadavg
    section "disks" df -Pk
    section "inodes" df -Pi
    section "mounts" cat /proc/self/mounts
    section "SELinux" cat /sys/fs/selinux/enforce
    section "FIPS" cat /proc/sys/crypto/fips_enabled
    section "time" uptime
}

# A machine that lacks a program, or a file, is told; the rest is of use all the same.
section() { # TITLE COMMAND...
    printf '\n== %s\n' "$1"
    shift
    "$@" || printf '(exit status %s)\n' "$?"
}

support_states() {
    # shellcheck disable=SC2086 # names of units have no blanks
    control status --lines=0 --full $SUPPORT_UNITS
}

# Continued lines are joined, and of what Environment= says the first name stays.
support_unit() { # UNIT
    { control cat "$1" || cat "$UNIT_DIR/$(file_of "$1")"; } | sed -e ':a' -e '/\\$/{' -e N -e 's/\\\n[[:space:]]*/ /' \
        -e ba -e '}' -e "s/^\\([[:space:]]*Environment=[\"']\\{0,1\\}[A-Za-z_][A-Za-z0-9_]*=\\).*/\\1***/"
}

# --- the file

# It has its name when it is whole, and takes nobody else's: a link cannot be made where there is something.
place_support() {
    tar -C "$WORK" -cf "$WORK/bundle.tar" "$NAME-support" || die 12 "cannot pack $OPERAND" "Check for a full /run."
    SUPPORT_NEW=$(mktemp "$support_place/.$NAME-support.XXXXXXXXXX") || die 12 "cannot write to $support_place"
    if ! gzip -c <"$WORK/bundle.tar" >"$SUPPORT_NEW" || ! flush "$SUPPORT_NEW"; then
        die 12 "cannot write $OPERAND" "Check for a full disk."
    fi
    ln -T "$SUPPORT_NEW" "$OPERAND" 2>/dev/null || move_support ||
        die 12 "cannot create $OPERAND" "Check whether there is such a file by now."
}

# Where there are no links, as on a USB stick.
move_support() {
    [ ! -e "$OPERAND" ] && [ ! -L "$OPERAND" ] && mv -nT "$SUPPORT_NEW" "$OPERAND" && [ ! -e "$SUPPORT_NEW" ]
}
