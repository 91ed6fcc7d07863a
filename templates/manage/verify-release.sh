
# --- verify ----------------------------------------------------------------------------------------------

verify() {
    RELEASE=${OPERAND:-$(current_release)}
    if [ -z "$RELEASE" ] || ! is_complete "$RELEASE"; then
        die 10 "there is no complete release $RELEASE in $ROOT" "See: manage releases; or install the bundle again."
    fi
    list_is_ours "$RELEASE" || die 11 "the list of the files of $RELEASE was modified or is missing" \
        "Nothing can be compared with it: install the bundle again."
    list_tree "$ROOT/releases/$RELEASE" tree_lines
    if [ "$(digest_of "$WORK/list")" = "${list_digest#* }" ]; then
        say "every file matches what was installed"
        return 0
    fi
    tell_differences "$ROOT/releases/$RELEASE/list" "$WORK/list"
    die 11 "the files of $RELEASE have been modified" "Install the bundle again: that repairs it."
}

# A line for each path and kind: extra, missing, mode (or owner), changed (content, what a link points to, what kind of
# file it is). Lines that only one of the two lists has are first written "PATH was|is MODE OWNER [TARGET]", or "PATH
# was|is digest", with tabs between: no name has a tab, or anything that sorts before it, so all that is said of a path
# comes together.
tell_differences() { # LIST-THEN LIST-NOW
    told_tab=$(printf '\t')
    {
        sort "$1" "$2" "$2" | uniq -u | by_path was
        sort "$2" "$1" "$1" | uniq -u | by_path is
    } | sort | tell_paths | harmless
}

by_path() { # was|is
    sed -e "s/^\\\\\\{0,1\\}[0-9a-f]\\{64\\}  \\(.*\\)\$/\\1$told_tab$1${told_tab}digest/" -e t \
        -e "/^l/s/ -> /$told_tab/" \
        -e "s/^\\([^ ]*\\) \\([^ ]* [^ ]*\\) \\([^$told_tab]*\\)\\(.*\\)\$/\\3$told_tab$1$told_tab\\1$told_tab\\2\\4/" -e t \
        -e "s/\$/$told_tab$1${told_tab}digest/"
}

tell_paths() {
    told_path=
    while IFS=$told_tab read -r path_line when_line mode_line owner_line target_line; do
        [ "$path_line" = "$told_path" ] || begin_path "$path_line"
        case $when_line$mode_line in
            *digest) told_changed=yes ;;
            was*) mode_was=$mode_line owner_was=$owner_line target_was=$target_line ;;
            is*) mode_is=$mode_line owner_is=$owner_line target_is=$target_line ;;
        esac
    done
    begin_path ""
}

begin_path() { # PATH: all is known of the one before it
    [ -z "$told_path" ] || tell_path "${told_path#./}"
    told_path=$1
    told_changed=
    mode_was='' owner_was='' target_was=''
    mode_is='' owner_is='' target_is=''
}

tell_path() { # PATH
    if [ -z "$mode_was$mode_is" ]; then
        printf 'changed %s\n' "$1"
    elif [ -z "$mode_is" ]; then
        printf 'missing %s\n' "$1"
    elif [ -z "$mode_was" ]; then
        printf 'extra %s\n' "$1"
    else
        # The first character is the kind of file.
        if [ "${mode_was%"${mode_was#?}"}$target_was" != "${mode_is%"${mode_is#?}"}$target_is" ]; then
            told_changed=yes
        elif [ "$mode_was $owner_was" != "$mode_is $owner_is" ]; then
            printf 'mode %s\n' "$1"
        fi
        [ -z "$told_changed" ] || printf 'changed %s\n' "$1"
    fi
}
