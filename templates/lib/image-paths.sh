
# --- inside an image -------------------------------------------------------------------------------------
# An absolute link in an image leads to a file in the image when that is booted, but to one of this machine as long as we
# access it from outside. So nothing is written or read through a link that leads out of the image.

INSIDE=      # where a path leads, as the image will see it
INSIDE_LINK= # the link that led out, or in circles

# Missing parts of the path are taken literally. Fails if the kernel, from outside, would leave the image or loop.
stays_inside() { # PATH, as the image sees it
    inside_rest=${1#/}/
    INSIDE=
    INSIDE_LINK=
    inside_hops=0
    while [ -n "$inside_rest" ]; do
        inside_part=${inside_rest%%/*}
        inside_rest=${inside_rest#*/}
        case $inside_part in
            '' | .) continue ;;
            ..)
                [ -n "$INSIDE" ] || return 1
                INSIDE=${INSIDE%/*}
                continue
                ;;
        esac
        if [ ! -L "$IMAGE$INSIDE/$inside_part" ]; then
            INSIDE=$INSIDE/$inside_part
            continue
        fi
        INSIDE_LINK=$INSIDE/$inside_part
        inside_hops=$((inside_hops + 1))
        [ "$inside_hops" -le 40 ] || return 1 # as many as the kernel follows
        inside_target=$(readlink "$IMAGE$INSIDE_LINK") || return 1
        case $inside_target in
            /*) return 1 ;;
        esac
        inside_rest=$inside_target/$inside_rest
    done
    INSIDE_LINK=
}

keep_inside() { # PATH, below IMAGE: whatever leads us there
    stays_inside "${1#"$IMAGE"}" || die 10 "$1 leads out of the image: $(whither_outside)" "Make that link relative."
}

whither_outside() {
    if [ -z "$INSIDE_LINK" ]; then
        printf 'it contains too many ".."'
    elif [ "$inside_hops" -gt 40 ]; then
        printf '%s is part of a loop of links' "$INSIDE_LINK"
    else
        printf '%s is a link to %s' "$INSIDE_LINK" "$(readlink "$IMAGE$INSIDE_LINK")"
    fi
}

