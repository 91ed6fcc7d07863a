
# --- workers ---------------------------------------------------------------------------------------------
# A main process may keep running while its workers crash immediately and are restarted, which systemd does not notice. So
# each check of the health gate looks for processes of the unit that run the same program as the main process, forked or
# with the same interpreter. If there are any, the service is healthy when one of them has lasted QUIET_SECONDS. It is
# unhealthy if, at the timeout, none has, and all of them have been replaced several times.
#
# Not detected are workers that exit later, or only some of them; those of a different program, which a service may start
# as often as it likes; and those of a shell, for which every pipeline is such a process.

MANY_TIMES=3

forget_workers() { # UNIT
    gate_workers=   # those that have been there since gate_lasting
    gate_lasting=   # seconds since boot
    gate_replaced=0 # how often all of them had gone
    gate_steady=    # yes: the last look has seen that they last, or that there are none
    gate_heeds=yes
    ! grep -qs '^X-ShortLivedWorkers=yes' "$ROOT/releases/$RELEASE/units/$(file_of "$1")" || gate_heeds=
}

# Behind look_at and runs_our_code.
look_at_workers() {
    workers_now=
    [ -z "$gate_heeds" ] || workers_now=$(workers_of "$look_pid" "$look_group" "$gate_exe")
    workers_kept=
    for worker in $gate_workers; do
        case " $workers_now " in
            *" $worker "*) workers_kept="$workers_kept $worker" ;;
        esac
    done
    gate_steady=
    if [ -z "$workers_kept" ] && [ -n "$gate_workers$workers_now" ]; then
        [ -z "$gate_workers" ] || gate_replaced=$((gate_replaced + 1))
        gate_workers=$workers_now
        gate_lasting=$(seconds)
        return 0
    fi
    gate_workers=$workers_kept
    if [ -z "$gate_lasting" ] || [ "$(seconds)" -ge $((gate_lasting + QUIET_SECONDS)) ]; then
        gate_steady=yes
    fi
}

workers_last() {
    [ -n "$gate_steady" ]
}

workers_loop() {
    [ -z "$gate_steady" ] && [ "$gate_replaced" -ge "$MANY_TIMES" ]
}

# Processes that may end at any time are inspected without starting programs.
workers_of() { # PID GROUP PROGRAM: of the main process
    case ${3##*/} in
        sh | dash | bash | ash | ksh* | mksh | zsh | busybox) return 0 ;;
    esac
    workers_further=
    for worker_dir in /proc/[0-9]*; do
        # shellcheck disable=SC3013 # dash, bash and busybox have it, and POSIX since 2024
        [ "$worker_dir/exe" -ef "/proc/$1/exe" ] || continue
        [ "${worker_dir#/proc/}" != "$1" ] || continue
        read -r worker_line 2>/dev/null <"$worker_dir/stat" || continue
        worker_line=${worker_line##*) ? } # what is behind name and state begins with its parent
        if [ "${worker_line%% *}" = "$1" ]; then
            is_tracker "$worker_dir" || printf '%s ' "${worker_dir#/proc/}"
        else
            workers_further="$workers_further $worker_dir/cgroup"
        fi
    done
    [ -n "$workers_further" ] || return 0
    # shellcheck disable=SC2086 # several
    in_group "$2" $workers_further | sed 's|^/proc/||; s|/cgroup$||' | tr '\n' ' '
}

# Processes that Python's multiprocessing starts in addition to workers and keeps running. A forkserver's have its name.
is_tracker() { # DIR of a child of the main process
    grep -qs -e resource_tracker -e semaphore_tracker -e forkserver "$1/cmdline"
}
