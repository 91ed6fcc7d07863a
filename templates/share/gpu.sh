#!/bin/sh
# Makes the device files of NVIDIA's driver, as root, before a service that uses a GPU is started. The driver does not make
# them itself: after a boot the first program that asks for CUDA has them made, by a setuid program that a confined service
# may not run, and systemd allows a service only the devices that the kernel knows when the service starts.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 022

PROC=/proc
DEV=/dev

main() {
    # Whoever says yes to one of these has loaded the module.
    for module in nvidia nvidia-uvm; do
        modprobe "$module" 2>/dev/null || :
    done
    ! command -v nvidia-modprobe >/dev/null 2>&1 || ask_nvidia_modprobe || :
    [ -r "$PROC/driver/nvidia/version" ] || stop "NVIDIA's driver is not loaded: modprobe nvidia tells why"
    # The driver says whether its device files are the administrator's own affair.
    [ "$(value_of ModifyDeviceFiles "$PROC/driver/nvidia/params")" != 0 ] || exit 0
    mode=$(octal "$(value_of DeviceFileMode "$PROC/driver/nvidia/params")")
    frontend=$(major nvidia-frontend)
    frontend=${frontend:-$(major nvidia)}
    make "$DEV/nvidiactl" "${mode:-666}" "$frontend" 255
    for minor in $(minors); do
        make "$DEV/nvidia$minor" "${mode:-666}" "$frontend" "$minor"
    done
    unified=$(major nvidia-uvm)
    make "$DEV/nvidia-uvm" "${mode:-666}" "$unified" 0
    make "$DEV/nvidia-uvm-tools" "${mode:-666}" "$unified" 1
    each_capability
}

stop() { # SENTENCE
    echo "$1" >&2
    exit 1
}

# Newer drivers have devices that this script does not know: NVIDIA's own program, where it is, goes first.
ask_nvidia_modprobe() {
    nvidia-modprobe -c 0 -u >/dev/null 2>&1 || return 0
    for asked in $(minors); do
        nvidia-modprobe -c "$asked" >/dev/null 2>&1 || :
    done
}

minors() { # of all GPUs
    for information in "$PROC"/driver/nvidia/gpus/*/information; do
        [ ! -r "$information" ] || sed -n 's/^Device Minor:[[:space:]]*\([0-9]\{1,\}\)[[:space:]]*$/\1/p' "$information"
    done
}

major() { # NAME: of a character device; nothing if the kernel has none of that name
    sed -n "/^Block/q;s/^ *\([0-9]\{1,\}\) $1\$/\1/p" "$PROC/devices"
}

value_of() { # KEY FILE
    [ ! -r "$2" ] || sed -n "s/^$1:[[:space:]]*\([0-9]\{1,\}\)[[:space:]]*\$/\1/p" "$2"
}

octal() { # NUMBER: the driver writes modes in decimal
    [ -z "$1" ] || printf '%o\n' "$1"
}

# Parts of a GPU (MIG) have capabilities, whose files say which device stands for each and who may open it.
each_capability() {
    capabilities=$(major nvidia-caps)
    [ -n "$capabilities" ] && [ -d "$PROC/driver/nvidia/capabilities" ] || return 0
    mkdir -p "$DEV/nvidia-caps"
    find "$PROC/driver/nvidia/capabilities" -type f | while read -r capability; do
        minor=$(value_of DeviceFileMinor "$capability")
        mode=$(octal "$(value_of DeviceFileMode "$capability")")
        [ -z "$minor" ] || [ -z "$mode" ] ||
            make "$DEV/nvidia-caps/nvidia-cap$minor" "$mode" "$capabilities" "$minor"
    done
}

make() { # PATH MODE MAJOR MINOR
    [ -n "$3" ] && [ ! -e "$1" ] || return 0
    mknod -m "$2" "$1" c "$3" "$4" 2>/dev/null || [ -e "$1" ] || stop "cannot make $1"
}

main
