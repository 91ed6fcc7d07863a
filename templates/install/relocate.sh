
# --- relocate --------------------------------------------------------------------------------------------
# The release's files carry the path that they have below the default root. For another root they are rewritten, once
# and on the fresh stage: where a short path stands, nothing tells it from other text later. Which files, and where in
# them, is in share/relocation/ (written at build time: bundler/pack/relocation.py).

relocate() { # STAGE OLD-ROOT NEW-ROOT
    [ "$2" != "$3" ] || return 0
    relocate_stage=$1
    relocate_table=$1/share/relocation
    relocate_old=$2/releases/$RELEASE
    relocate_new=$3/releases/$RELEASE
    check_new_root "$3"
    check_limits "$3"
    check_relocate_tools
    say "adapting its files to $3"
    relocate_text
    relocate_binaries
    relocate_own_files "$2" "$3"
}

# These characters stand for themselves wherever the root is written: in sed, in units, in shell.
check_new_root() { # ROOT
    case $1 in
        [!/]* | *[!A-Za-z0-9._/+-]* | '' | */ | *//* | */./* | */../* | */. | */..)
            die 2 "not a valid root directory: '$1'" \
                "Use an absolute path of the characters A-Z a-z 0-9 . _ / + - without . or .. or an empty name in it."
            ;;
    esac
}

# Everything that does not fit is found here, before a file is touched.
check_limits() { # NEW-ROOT
    limit_baked=
    limit_longest=
    limit_shebang=
    [ -f "$relocate_table/limits" ] || die 11 "the payload has no relocation table" "Use the default root."
    while read -r limit_name limit_value; do
        case $limit_name in
            baked) limit_baked=$limit_value ;;
            longest) limit_longest=$limit_value ;;
            shebang) limit_shebang=$limit_value ;;
        esac
    done <"$relocate_table/limits"
    if [ "$limit_baked" != "$relocate_old" ] || [ -z "$limit_longest" ] || [ -z "$limit_shebang" ]; then
        die 11 "the payload's relocation table belongs to another release" "Use the default root."
    fi
    [ "$limit_longest" -eq 0 ] || check_length "$1" $((${#relocate_new} - limit_longest)) "its programs have no room"
    [ "$limit_shebang" -ne 0 ] || return 0
    limit_kernel=$(uname -r)
    limit_line=127
    ! at_least "${limit_kernel%%[!0-9.]*}" 5.1 || limit_line=255
    check_length "$1" $((${#relocate_new} + limit_shebang - limit_line)) \
        "this kernel reads $limit_line bytes of a script's first line"
}

check_length() { # ROOT BYTES-TOO-MANY WHY
    [ "$2" -le 0 ] || die 10 \
        "the path $1 is too long for this bundle: it has ${#1} bytes, the maximum is $((${#1} - $2)) ($3)" \
        "Choose a shorter one."
}

# A sed that ends the last line, or stops at a NUL, would damage what it is given.
check_relocate_tools() {
    for relocate_tool in cp dd find grep mv od sed tr uname wc xargs; do
        have "$relocate_tool" || die 10 "$relocate_tool is missing" "Install the package that provides it, or busybox."
    done
    [ "$(printf 'a\0a' | sed 's|a|b|g' | od -An -tx1 | tr -d ' \n')" = 620062 ] ||
        die 10 "this sed does not preserve all bytes" "Install GNU sed or busybox."
    [ "$(printf 'a b\0c\0' | xargs -0 printf '%s,' 2>/dev/null)" = "a b,c," ] ||
        die 10 "this xargs has no option -0" "Install GNU findutils or busybox."
}

# sed -i writes each file anew, with its mode, and renames it.
relocate_text() {
    [ -s "$relocate_table/text" ] || return 0
    in_each_text sed -i "s|$(pattern "$relocate_old")|$relocate_new|g" ||
        die 12 "cannot rewrite the release's text files" "Check for a full or read-only disk."
    case $relocate_new in
        *"$relocate_old"*) # what is left of the old path beside the new one
            in_each_text sed -n "s|$(pattern "$relocate_new")|#|g; \\|$(pattern "$relocate_old")|p" >"$WORK/left"
            ;;
        *) in_each_text sh -c 'grep -lF "$@" || [ $? -eq 1 ]' sh "$relocate_old" >"$WORK/left" ;;
    esac || die 12 "cannot read the release's text files again"
    [ ! -s "$WORK/left" ] || die 12 "text files of the release still contain $relocate_old"
}

in_each_text() { # COMMAND...
    (cd "$relocate_stage" && xargs -0 "$@") <"$relocate_table/text"
}

# The table has each string with a @ where the prefix stands. It is written over a copy, which then takes the file's
# name.
relocate_binaries() {
    binary_prefix=$((${#relocate_new} + 4)) # with /env
    binary_copy=$relocate_stage/.relocating # beside env/, app/ and share/ the payload has no names
    binary_path=
    sed "s|@|$relocate_new/env|g" "$relocate_table/binary" >"$WORK/binary" ||
        die 12 "cannot read $relocate_table/binary"
    while read -r binary_word binary_1 binary_2 binary_3 binary_4 binary_5; do
        case $binary_word in
            file)
                end_binary
                begin_binary "$binary_1" "$binary_2"
                ;;
            string)
                binary_rest=$((binary_2 - binary_3 - binary_4 * binary_prefix))
                [ "$binary_rest" -ge 0 ] || die 11 "the relocation table does not match $binary_path" "Use the default root."
                rewrite_string "$binary_1" "$binary_5" "$binary_rest"
                ;;
        esac
    done <"$WORK/binary"
    end_binary
}

begin_binary() { # SIZE PATH, encoded for printf %b
    binary_size=$1
    binary_path=$2
    case $2 in
        *\\*)
            binary_path=$(printf '%bx' "$2") # the x keeps line breaks at the end
            binary_path=${binary_path%x}
            ;;
    esac
    cp -p "$relocate_stage/$binary_path" "$binary_copy" || die 12 "cannot copy $binary_path"
}

rewrite_string() { # OFFSET TEXT, encoded for printf %b NULS
    {
        # dd leaves the descriptor, which it shares with the shell, at the string
        dd bs=1 seek="$1" count=0 conv=notrunc 2>/dev/null && printf '%b' "$2" && nulls "$3"
    } 1<>"$binary_copy" || die 12 "cannot rewrite $binary_path" "Check for a full or read-only disk."
}

nulls() { # COUNT: without a process
    nulls_left=$1
    nulls_unit='\000'
    nulls_all=
    while [ "$nulls_left" -gt 0 ]; do
        [ $((nulls_left % 2)) -eq 0 ] || nulls_all=$nulls_all$nulls_unit
        nulls_unit=$nulls_unit$nulls_unit
        nulls_left=$((nulls_left / 2))
    done
    # shellcheck disable=SC2059 # the NULs are the format
    printf "$nulls_all"
}

end_binary() {
    [ -n "$binary_path" ] || return 0
    [ "$(wc -c <"$binary_copy")" -eq "$binary_size" ] || die 12 "$binary_path has changed its size"
    mv -fT "$binary_copy" "$relocate_stage/$binary_path" || die 12 "cannot write $binary_path"
}

# Units and settings name the root as well, and the release by it: each where it stands as a path of its own and is
# not the middle of another one, such as /srv/opt/hello or /opt/hello-data.
relocate_own_files() { # OLD-ROOT NEW-ROOT
    own_root=$(pattern "$1")
    own_release=$(pattern "$relocate_old")
    own_name='A-Za-z0-9._~'
    own_mark=$(printf '\001') # first the marks, then what they stand for: the new root may hold the old one
    own_mark_release=$(printf '\002')
    for own_dir in units config launch; do
        [ -d "$relocate_stage/$own_dir" ] || continue
        find "$relocate_stage/$own_dir" -type f -exec sed -i \
            -e "s|$own_release|$own_mark_release|g" \
            -e "s|$own_root|$own_mark|g" \
            -e "s|\\([$own_name]\\)$own_mark|\\1$1|g" \
            -e "s|$own_mark\\([$own_name+-]\\)|$1\\1|g" \
            -e "s|$own_mark|$2|g" \
            -e "s|$own_mark_release|$relocate_new|g" {} + || die 12 "cannot rewrite the files in $own_dir/"
    done
}
