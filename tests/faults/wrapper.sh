#!/bin/sh
# Stands in install.sh's PATH before each tool that changes something (the name it is called by says which), counts the
# calls, and at the one that /run/faults/plan names ("KIND NUMBER", from 1) does what the kind says. install.sh and all
# that it starts are one process group, whose leader install.sh is.
room=/run/faults
newline='
'
tool=${0##*/}
call="$tool $*"
for real in "/usr/bin/$tool" "/usr/sbin/$tool" "/bin/$tool" "/sbin/$tool"; do
    [ ! -x "$real" ] || break
done
case $tool in
    systemctl | systemd-* | user* | group*) ;;
    *)
        if [ -e "$room/busybox" ]; then
            real=/bin/busybox
            set -- "$tool" "$@"
        fi
        ;;
esac

broken=
[ ! -e "$room/broken" ] || read -r broken <"$room/broken"
if [ "$tool" = "$broken" ]; then
    echo "$tool: broken" >&2
    exit 1
fi
# Not counted: what only reads, or asks as often as the machine is slow; and of a pipeline only one end, so that the
# numbers are the same each time.
case $call in
    "cat "?*) exec "$real" "$@" ;;
    # What drains a pipe, and what writes to the disk in the background.
    "cat " | "sync -f "*) [ "$(readlink "/proc/$$/fd/1")" != /dev/null ] || exec "$real" "$@" ;;
    systemctl*" show "* | systemctl*" is-"* | systemctl*--version | systemctl*"start "*-health.service | \
        systemctl*"reset-failed "*-health.service) exec "$real" "$@" ;;
esac
read -r kind at 2>/dev/null <"$room/plan" || exec "$real" "$@"
{
    flock 8 # what is unpacked at the same time calls at the same time
    read -r count <"$room/count"
    count=$((count + 1))
    echo "$count" >"$room/count"
    line=
    while [ "$call" != "${call%%"$newline"*}" ]; do
        line="$line${call%%"$newline"*} "
        call=${call#*"$newline"}
    done
    printf '%s\n' "$line$call" >>"$room/calls"
} 8>>"$room/lock"
[ "$count" -eq "$at" ] || exec "$real" "$@"

: >"$room/fired"
case $kind in
    kill-before) kill -9 0 ;;
    kill-after)
        "$real" "$@"
        kill -9 0
        ;;
    kill-torn) # when it has had only a part of its input
        case $tool in
            tar) head -c 4000 | "$real" "$@" ;;
            *) head -c 40 | "$real" "$@" ;;
        esac
        kill -9 0
        ;;
    kill-alone) # the shell that runs install.sh, and nobody else
        read -r _ _ _ _ leader _ </proc/self/stat
        kill -9 "$leader"
        exec "$real" "$@"
        ;;
    cut-before)
        : >"$room/cut"
        /bin/sleep 600 # the machine ends before that
        ;;
    cut-after)
        "$real" "$@"
        : >"$room/cut"
        /bin/sleep 600
        ;;
    fail)
        echo "$tool: this call fails" >&2
        exit 1
        ;;
    broken) # this call fails and all later ones of this tool
        echo "$tool" >"$room/broken"
        exit 1
        ;;
    full)
        /bin/cat /dev/zero >/var/tmp/filler 2>/dev/null
        exec "$real" "$@"
        ;;
    no-inodes)
        /bin/mkdir /var/tmp/fillers
        number=0
        while (: >"/var/tmp/fillers/$number") 2>/dev/null; do
            number=$((number + 1))
        done
        exec "$real" "$@"
        ;;
    read-only)
        mount -o remount,bind,ro /
        exec "$real" "$@"
        ;;
esac
