
# --- what confines our own units --------------------------------------------------------------------------
# They are root's and change the machine, so root's user is not taken from them; what they do not need of root is.

confinement() { # WRITABLE-PATH...
    cat <<TEXT
# The installer's: its lock is there, and its scratch.
RuntimeDirectory=conda-bundler
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
ReadWritePaths=$*
TEXT
    each_confinement print_directive
}

print_directive() { # KEY VALUE
    printf '%s=%s\n' "$1" "$2"
}

# A file that not even its owner may read (/etc/shadow is one on Red Hat's), a group that root is not in.
confined_makes_user() {
    printf 'CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE\n'
}

# Its number is not root's; its processes are ended, its home is given to it. What scripts of packages do is their own
# affair: some compile while they run. setpriv calls capset before it gives its rights up.
confined_asks_nobody() {
    printf 'CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_KILL CAP_CHOWN\n'
    printf 'SystemCallFilter=@setuid capset\nMemoryDenyWriteExecute=no\n'
}
