
# --- preflight: processor, kernel, C library, GPU --------------------------------------------------------
# What the locked packages ask for. An image's kernel and processor are not those that are here, and its C library
# cannot be asked.

check_hardware() {
    check_architecture
    [ -z "$IMAGE" ] || return 0
    check_processor
    check_kernel
    check_glibc
    check_gpu
}

check_architecture() {
    arch_here=$(uname -m)
    case " $MACHINES " in
        *" $arch_here "*) ;;
        *)
            problem "this bundle is for $MACHINE ($PLATFORM); this machine is $arch_here" \
                "Build a bundle for this machine's platform."
            ;;
    esac
}

check_processor() {
    [ -n "$CPU_FEATURES" ] && [ -r /proc/cpuinfo ] || return 0
    cpu_here=$(sed -n '/^flags[[:space:]]*:/{s/^[^:]*://p;q;}' /proc/cpuinfo)
    cpu_lacking=
    for cpu_feature in $CPU_FEATURES; do
        case " $cpu_here " in
            *" $cpu_feature "*) ;;
            *) cpu_lacking="$cpu_lacking $cpu_feature" ;;
        esac
    done
    [ -z "$cpu_lacking" ] ||
        problem "this processor does not support $CPU: it lacks$cpu_lacking" \
            "Build the bundle for a lower level: archspec in [platforms.$PLATFORM]."
}

check_kernel() {
    [ -n "$KERNEL" ] || return 0
    kernel_here=$(uname -r)
    at_least "${kernel_here%%[!0-9.]*}" "$KERNEL" ||
        problem "Linux $kernel_here is too old" "The bundle needs Linux $KERNEL or later: use a newer distribution."
}

check_glibc() {
    [ -n "$GLIBC" ] || return 0
    glibc_here=$(glibc_version)
    if [ -z "$glibc_here" ]; then
        problem "this machine's C library is not glibc, or hides its version" \
            "The bundle needs glibc $GLIBC or later."
    elif ! at_least "$glibc_here" "$GLIBC"; then
        problem "glibc $glibc_here is too old" "The bundle needs glibc $GLIBC or later: use a newer distribution."
    fi
}

glibc_version() {
    glibc_said=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed -n 's/^glibc \([0-9.]\{1,\}\).*$/\1/p') || :
    # Without getconf: ldd of glibc ends its first line with the version; musl's writes to stderr only.
    [ -n "$glibc_said" ] ||
        glibc_said=$(ldd --version 2>/dev/null | sed -n '1s/^ldd .* \([0-9]\{1,\}\.[0-9.]*\)$/\1/p') || :
    printf '%s\n' "$glibc_said"
}

# The kernel's module says its version to everybody, and each branch of it supports the CUDA of its time. Where that
# tells nothing (a Tegra's module counts otherwise, a CUDA is newer than this bundle) nvidia-smi knows.
check_gpu() {
    [ -n "$CUDA$CUDA_ARCH$GPU" ] || return 0
    gpu_version=$(nvidia_version)
    gpu_driver=${gpu_version%%.*}
    gpu_cuda=
    if [ "${gpu_driver:-0}" -lt 100 ] || [ "$CUDA_DRIVER" -eq 0 ]; then
        gpu_cuda=$(ask_nvidia)
    fi
    if [ -z "$gpu_driver$gpu_cuda" ]; then
        [ -z "$GPU" ] ||
            problem "there is no NVIDIA driver on this machine" \
                "Install one${CUDA:+ with CUDA $CUDA or later}, or build the bundle for machines without a GPU."
    elif [ -z "$CUDA" ]; then
        :
    elif [ -n "$gpu_cuda" ]; then
        at_least "$gpu_cuda" "$CUDA" ||
            problem "the NVIDIA driver supports only CUDA $gpu_cuda" "The bundle needs CUDA $CUDA or later: install a newer driver."
    elif [ "$gpu_driver" -lt 100 ] || [ "$CUDA_DRIVER" -eq 0 ]; then
        warn "the NVIDIA driver does not say which CUDA it supports" "The bundle needs CUDA $CUDA or later."
    elif [ "$gpu_driver" -lt "$CUDA_DRIVER" ]; then
        problem "the NVIDIA driver $gpu_driver is too old" \
            "The bundle needs CUDA $CUDA or later: driver $CUDA_DRIVER or later."
    fi
    [ -z "$CUDA_ARCH" ] || [ -z "$gpu_driver$gpu_cuda" ] || check_gpu_generation
}

# Only nvidia-smi knows what the GPUs themselves can do; the weakest counts.
check_gpu_generation() {
    gpu_archs=$(run_nvidia_smi --query-gpu=compute_cap --format=csv,noheader |
        sed -n 's/^ *\([0-9]\{1,\}\.[0-9]\{1,\}\) *$/\1/p')
    [ -n "$gpu_archs" ] ||
        warn "the GPU's compute capability cannot be determined" "The bundle needs $CUDA_ARCH or higher."
    for gpu_arch in $gpu_archs; do
        at_least "$gpu_arch" "$CUDA_ARCH" || {
            problem "a GPU of this machine has only compute capability $gpu_arch" \
                "The bundle needs $CUDA_ARCH or higher: use a newer GPU, or a bundle that is locked for this one."
            return 0
        }
    done
}

at_least() { # VERSION FLOOR: numbers with dots between them
    at_have=$1.
    at_floor=$2.
    while [ -n "$at_floor" ]; do
        at_here=${at_have%%.*}
        at_there=${at_floor%%.*}
        [ "${at_here:-0}" -le "${at_there:-0}" ] || return 0
        [ "${at_here:-0}" -ge "${at_there:-0}" ] || return 1
        at_have=${at_have#*.}
        at_floor=${at_floor#*.}
    done
}
