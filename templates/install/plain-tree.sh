
# --- plain tree ------------------------------------------------------------------------------------------
# GNU tar and busybox tar write nothing outside the directory that they unpack into: they strip or refuse names that
# lead out, and make links only after everything else, or refuse to write through them. What they do make is
# looked at here, before anybody but root can reach it.

not_plain() { # WHAT [EXAMPLE]
    die 11 "the payload contains $1: ${2-}" "The bundle was not built correctly and is not installed."
}

refuse_special_files() {
    for top in "$STAGE"/* "$STAGE"/.[!.]* "$STAGE"/..?*; do
        [ -e "$top" ] || [ -L "$top" ] || continue
        case ${top##*/} in
            env | app | share) is_directory "$top" && continue ;;
        esac
        not_plain "something beside env/, app/ and share/" "${top##*/}"
    done
    # One walk as long as all is well; only a refusal looks for the reason.
    special=$(find "$STAGE" ! -type d ! -type f ! -type l -o ! -type d -links +1 -o ! -user 0 -o ! -type l \
        \( -perm -4000 -o -perm -2000 -o -perm -1000 -o -perm -0020 -o -perm -0002 \)) ||
        die 12 "find failed below $STAGE"
    [ -n "$special" ] || return 0
    refuse_if "a device, FIFO or socket" ! -type d ! -type f ! -type l
    refuse_if "a hard link" ! -type d -links +1
    refuse_if "a setuid, setgid or sticky file" ! -type l \( -perm -4000 -o -perm -2000 -o -perm -1000 \)
    refuse_if "something that is writable by others" ! -type l \( -perm -0020 -o -perm -0002 \)
    not_plain "something that is not root's" "$special"
}

refuse_if() { # WHAT FIND-EXPRESSION...
    refused=$1
    shift
    special=$(find "$STAGE" "$@" | sed -n 1p | tr -cd '\040-\176')
    [ -z "$special" ] || not_plain "$refused" "${special#"$STAGE"/}"
}

# A relative target without ".." cannot leave. GNU find lets only the others through, and not the common ones of
# one ".." in front; busybox find cannot, and each link is looked at.
refuse_stray_links() {
    set -- -type l
    if find "$STAGE" -prune -lname x >/dev/null 2>&1; then
        set -- -type l \( -lname '/*' -o -lname '*..*' \) \
            ! \( -path "$STAGE/*/*/*" -lname '../*' ! -lname '../*..*' \)
    fi
    stray=$(find "$STAGE" "$@" -exec sh -c '
        stage=$1 final=$2
        shift 2
        for link; do
            # the x keeps line breaks at the end of a target
            target=$(readlink "$link"; echo x)
            target=${target%?x}
            case $target in
                "$final"/*/../* | "$final"/../* | "$final"/*/.. | "$final"/..) ;;
                "$final"/* | "$final") continue ;;
                /*) ;;
                *)
                    above=${link%/*}
                    rest=$target
                    while case $above/ in "$stage"/*) ;; *) false ;; esac; do
                        case $rest in
                            ../*) above=${above%/*} rest=${rest#../} ;;
                            ..) above=${above%/*} rest= ;;
                            *) break ;;
                        esac
                    done
                    case $above/ in
                        "$stage"/*)
                            case /$rest/ in
                                */../*) # in mid-path it depends on what the names before it are
                                    case $(readlink -f "$link") in "$stage"/*) continue ;; esac
                                    ;;
                                *) continue ;;
                            esac
                            ;;
                    esac
                    ;;
            esac
            printf "%s -> %s\n" "${link#"$stage"/}" "$target"
        done
    ' sh "$STAGE" "$PLACE/releases/$RELEASE" {} +) || die 12 "find failed below $STAGE"
    [ -z "$stray" ] || not_plain "a link that leaves it" "$(printf '%s\n' "$stray" | sed -n 1p | tr -cd '\040-\176')"
}
