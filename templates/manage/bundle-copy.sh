
# --- a copy of the bundle --------------------------------------------------------------------------------
# Other users may be able to change the bundle after it was checked. So all of it is copied to a directory in the root
# that only root can access; the copy is checked and used.

COPY=    # a directory: TOP is in it
TAR_AT=0 # where in the file the tar begins
MEMBERS_BYTES=1048576

drop_copy() {
    [ -z "$COPY" ] || rm -rf "$COPY"
}

# Those of killed runs: there is no process with their number any more.
remove_old_copies() {
    for old_copy in "$ROOT"/.upgrade.*.????????; do
        old_pid=${old_copy##*/.upgrade.}
        old_pid=${old_pid%.*}
        case $old_pid in
            "$$") ;;
            '' | *[!0-9]*) continue ;;
            *) [ ! -d "/proc/$old_pid" ] || continue ;;
        esac
        rm -rf "$old_copy"
    done
}

copy_bundle() {
    COPY=$(umask 077 && mktemp -d "$ROOT/.upgrade.$$.XXXXXXXX") || die 12 "cannot create a directory in $ROOT"
    say "copying $BUNDLE_NAME"
    if [ -d "$BUNDLE" ]; then
        copy_directory
    else
        copy_file
        list_members
        unpack_copy
    fi
    [ -n "$STATEMENT" ] || want_sums
}

cannot_copy() {
    die 12 "$BUNDLE_NAME cannot be copied to $ROOT" "Check for a full or read-only disk: df -h $ROOT"
}

need_space() { # KIB
    space_kib=$(free_of k "$ROOT")
    [ -z "$space_kib" ] || [ "$space_kib" -ge "$1" ] ||
        die 12 "$ROOT has $((space_kib / 1024)) MiB free; $(($1 / 1024 + 1)) MiB are needed to check $BUNDLE_NAME" \
            "Free some space on that filesystem."
}

bytes_of() { # FILE
    # shellcheck disable=SC2012 # one file, and a number of its line
    bytes_line=$(ls -lndL "$1" 2>/dev/null | sed -n '1s/^[^ ]* *[0-9]* *[0-9]* *[0-9]* *\([0-9]\{1,18\}\) .*/\1/p')
    printf '%s\n' "${bytes_line:-0}"
}

# --- a file

copy_file() {
    copy_bytes=$(bytes_of "$BUNDLE")
    need_space $((copy_bytes / 512)) # for the file and its contents
    head -c "$copy_bytes" <"$BUNDLE" >"$COPY/bundle" || cannot_copy
    if [ -n "$STATEMENT" ]; then
        copy_wanted=$(signed_digest "$BUNDLE_NAME")
        [ -n "$copy_wanted" ] || die 11 "$BUNDLE_NAME is not in ${STATEMENT##*/}" \
            "Rename the file to what it was called when it was signed."
        [ "$(digest_of "$COPY/bundle")" = "$copy_wanted" ] || changed "$BUNDLE_NAME"
    fi
    case $(head -c 9 "$COPY/bundle" | tr -cd '\040-\176') in
        '#!/bin/sh') TAR_AT=$(head -c 65536 "$COPY/bundle" | sed -n '/^TAR=/{s/^TAR=\([0-9]\{1,6\}\) .*/\1/p;q;}') ;;
    esac
    case $TAR_AT in
        '' | *[!0-9]*) odd_bundle "it does not contain the offset of its tar" ;;
    esac
}

changed() { # PATH
    if [ -n "$STATEMENT" ]; then
        die 11 "$1 was changed after it was signed" "Copy the bundle again, or get it from whoever signed it."
    fi
    die 11 "$1 does not match its checksum" "Copy the bundle again and compare its .sha256 file."
}

odd_bundle() { # SENTENCE
    die 11 "$BUNDLE_NAME is not a valid bundle: $1" "Do not use it. Get the bundle from whoever built it."
}

tar_bytes() {
    tail -c "+$((TAR_AT + 1))" <"$COPY/bundle"
}

# Before anything is unpacked: there may be only files and directories, below one directory, each once.
list_members() {
    tar_bytes | tar -tvf - 2>"$WORK/tar" | sed 's/^\(.\).*/\1/' | sort -u >"$WORK/kinds" || odd_bundle "it is not a tar file"
    case $(tr -d '\012' <"$WORK/kinds") in
        - | -d) ;;
        '') odd_bundle "it is not a tar file, or it is empty" ;;
        *) odd_bundle "it contains links or devices" ;;
    esac
    tar_bytes | tar -tf - 2>"$WORK/tar" | head -c "$((MEMBERS_BYTES + 1))" >"$WORK/members" || odd_bundle "it is not a tar file"
    [ "$(wc -c <"$WORK/members")" -le "$MEMBERS_BYTES" ] || odd_bundle "it has too many members"
    sed "s|/\$||; s|^|$(printf '%064d' 0)  |" "$WORK/members" >"$WORK/member-lines"
    check_lines "$WORK/member-lines" odd_bundle
    members_top=$(sed 's|/.*||' "$WORK/members" | sort -u)
    [ -z "$STATEMENT" ] || [ "$members_top" = "$TOP" ] || odd_bundle "it contains files outside $TOP"
    case $members_top in
        *"
"*) odd_bundle "it has more than one top-level directory" ;;
    esac
    TOP=$members_top
}

unpack_copy() {
    tar_bytes | tar -xof - -C "$COPY" >/dev/null 2>"$WORK/tar" ||
        die 12 "$BUNDLE_NAME cannot be unpacked in $ROOT: $(head_of "$WORK/tar")" "Check for a full or read-only disk: df -h $ROOT"
    rm -f "$COPY/bundle"
}

# --- a directory

# Only the listed files are copied. Any others are refused.
copy_directory() {
    if [ -z "$STATEMENT" ]; then
        TOP=bundle
        mkdir "$COPY/$TOP" || cannot_copy
        if [ -L "$BUNDLE/SHA256SUMS" ] || [ ! -f "$BUNDLE/SHA256SUMS" ]; then
            odd_bundle "it has no SHA256SUMS"
        fi
        take_small "$BUNDLE/SHA256SUMS" "$STATEMENT_BYTES" "$COPY/$TOP/SHA256SUMS"
        want_sums
    fi
    (cd "$BUNDLE" && find . ! -type d) | head -c "$MEMBERS_BYTES" | sed "s|^\\.|$TOP|" | sort >"$WORK/there"
    sed 's/^.\{66\}//' "$WORK/wanted" | sort >"$WORK/paths"
    refuse_extra "$WORK/there" "$WORK/paths"
    directory_bytes=0
    while read -r _ directory_path <&8; do
        directory_path=${directory_path#"$TOP/"}
        if [ -L "$BUNDLE/$directory_path" ] || [ ! -f "$BUNDLE/$directory_path" ]; then
            die 11 "$directory_path is missing from the bundle, or is not a regular file" "Copy the bundle again."
        fi
        directory_bytes=$((directory_bytes + $(bytes_of "$BUNDLE/$directory_path")))
    done 8<"$WORK/wanted"
    need_space $((directory_bytes / 1024))
    while read -r _ directory_path <&8; do
        copy_path "${directory_path#"$TOP/"}"
    done 8<"$WORK/wanted"
}

copy_path() { # PATH in the bundle
    case $1 in
        */*) mkdir -p "$COPY/$TOP/${1%/*}" || cannot_copy ;;
        *) mkdir -p "$COPY/$TOP" || cannot_copy ;;
    esac
    copy_bytes=$(bytes_of "$BUNDLE/$1")
    head -c "$copy_bytes" <"$BUNDLE/$1" >"$COPY/$TOP/$1" || cannot_copy
}

# --- the copy

# Without a statement, the bundle's own checksums list its files.
want_sums() {
    sums_file=$COPY/$TOP/SHA256SUMS
    if [ -L "$sums_file" ] || [ ! -f "$sums_file" ]; then
        odd_bundle "it has no SHA256SUMS"
    fi
    is_plain_text "$sums_file" || odd_bundle "its SHA256SUMS does not consist of lines of printable ASCII"
    cat "$sums_file" >"$WORK/lines"
    check_lines "$WORK/lines" odd_bundle
    {
        sed "s|^\(.\{66\}\)|\1$TOP/|" "$WORK/lines"
        printf '%s  %s\n' "$(digest_of "$sums_file")" "$TOP/SHA256SUMS"
    } | sort -k 2 >"$WORK/wanted"
}

check_copy() {
    copy_odd=$(find "$COPY/$TOP" ! -type f ! -type d | sed -n 1p)
    [ -z "$copy_odd" ] || odd_bundle "${copy_odd#"$COPY/"} is a link or a device"
    copy_odd=$(find "$COPY/$TOP" -type f -links +1 | sed -n 1p)
    [ -z "$copy_odd" ] || odd_bundle "${copy_odd#"$COPY/"} is a hard link"
    (cd "$COPY" && find "$TOP" -type f -exec sha256sum {} +) >"$WORK/found" || die 12 "cannot read the copy in $COPY"
    sed 's/^.\{66\}//' "$WORK/found" | sort >"$WORK/there"
    sed 's/^.\{66\}//' "$WORK/wanted" | sort >"$WORK/paths"
    refuse_extra "$WORK/there" "$WORK/paths"
    copy_missing=$(sort "$WORK/paths" "$WORK/there" "$WORK/there" | uniq -u | sed -n 1p)
    [ -z "$copy_missing" ] || die 11 "$copy_missing is missing from the bundle" "Copy the bundle again."
    sort -k 2 "$WORK/found" >"$WORK/now"
    cmp -s "$WORK/now" "$WORK/wanted" ||
        changed "$(sort "$WORK/wanted" "$WORK/now" "$WORK/now" | uniq -u | sed 's/^.\{66\}//' | sort | sed -n 1p)"
    [ -f "$COPY/$TOP/install.sh" ] || die 11 "install.sh is missing from the bundle" "Copy the bundle again."
}

refuse_extra() { # FILE FILE: of the paths that are there, and of those that should be
    extra_path=$(sort "$1" "$2" "$2" | uniq -u | head_of)
    [ -z "$extra_path" ] || die 11 "$extra_path does not belong to the bundle: it is not in its list of files" \
        "Copy the bundle again, to an empty directory."
}
