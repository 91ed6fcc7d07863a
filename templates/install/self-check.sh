
# --- self-check ------------------------------------------------------------------------------------------

case $0 in
    /*) SELF=$0 ;;
    *) SELF=./$0 ;; # a name that starts with - is no option
esac
BUNDLE=${SELF%/*}
SELF_DIGEST=

# SELF_SHA256 is the digest of this file with that one value left empty.
self_check() {
    for self_tool in sed sha256sum; do
        have "$self_tool" || die 10 "$self_tool is missing" "Install coreutils and sed, or busybox."
    done
    if [ ! -f "$SELF" ] || [ ! -r "$SELF" ]; then
        die 11 "install.sh cannot read itself ($0)" \
            "Run it from its directory: sh install.sh. It cannot be piped into a shell."
    fi
    self_actual=$(sed "s/^SELF_SHA256='[0-9a-f]*'\$/SELF_SHA256=''/" <"$SELF" | sha256sum)
    [ "${self_actual%% *}" = "$SELF_SHA256" ] ||
        die 11 "install.sh itself is damaged" "Copy the bundle again and compare its .sha256 file."
    SELF_DIGEST=$(digest_of "$SELF")
}
