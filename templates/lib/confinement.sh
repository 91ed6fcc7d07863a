
# --- what confines our own units --------------------------------------------------------------------------
# They run as root and change the machine, but without the privileges that they do not need.

confinement() { # WRITABLE-PATH...
    cat <<TEXT
# The installer's directory: its lock and its temporary files are there.
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

