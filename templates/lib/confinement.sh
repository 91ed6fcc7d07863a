
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

