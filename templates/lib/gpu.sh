
# --- NVIDIA's driver -------------------------------------------------------------------------------------

nvidia_version() { # of the module that is loaded; nothing if there is none
    sed -n 's/^NVRM version:.*Kernel Module \(for [^ ]* \)\{0,1\} *\([0-9]\{1,\}\.[0-9.]*\) .*/\2/p' \
        /proc/driver/nvidia/version 2>/dev/null || :
}

ask_nvidia() {
    run_nvidia_smi | sed -n '/CUDA[ A-Z]* Version: *[0-9]/{s/.*CUDA[ A-Z]* Version: *\([0-9.]*\).*/\1/p;q;}'
}

# Never as root: it would load modules and make devices.
run_nvidia_smi() {
    have nvidia-smi && have setpriv || return 0
    set -- setpriv --reuid=65534 --regid=65534 --clear-groups -- nvidia-smi "$@"
    ! have timeout || set -- timeout 20 "$@"
    "$@" 2>/dev/null || :
}
