
# --- workers ---------------------------------------------------------------------------------------------
# A main process may live on while the workers that it starts end at once and are started anew, of which systemd counts
# nothing. So each look of the gate sees which processes of the unit run the same program as the main one: forked, or
# started with its interpreter. Where there are such, the service is well when one of them has lasted QUIET_SECONDS. It is
# ill when its time is up, none has, and all of them have been replaced several times.
#
# Not seen are workers that end later than that, or some while others last; those of another program, which a service may
# start as often as it wants to; and those of a shell, where every pipeline is such a process.

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

# What may be gone in a moment is looked at without starting any program.
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

# What Python's multiprocessing starts beside the workers, and leaves running. Those of a forkserver are called as it is.
is_tracker() { # DIR of a child of the main process
    grep -qs -e resource_tracker -e semaphore_tracker -e forkserver "$1/cmdline"
}
