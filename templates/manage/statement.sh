
# --- the statement ---------------------------------------------------------------------------------------
# What is signed, as `conda-bundler sign` writes it beside the bundle: which bundle it is, and a line of sha256sum(1) for
# each of its files. It is read from a copy in memory, and anything in it that we would not have written is refused: what
# two readers could take for two things is nothing that one can have signed.

BUNDLE=      # as it was given
BUNDLE_NAME= # its last part
STATEMENT=   # beside it; empty: there is none, or nobody asks for it
TOP=         # the directory that all its files are in
SIGNED_NAME=
SIGNED_RELEASE=
SIGNED_PLATFORM=
STATEMENT_BYTES=1048576
SIGNATURE_BYTES=262144

find_bundle() {
    BUNDLE=$OPERAND
    if [ -d "$BUNDLE" ]; then
        BUNDLE=$(cd -P "$BUNDLE" && pwd -P) || die 12 "cannot enter $OPERAND"
        set -- "" .tar .run
    elif [ -f "$BUNDLE" ]; then
        case $BUNDLE in
            */*) ;;
            *) BUNDLE=./$BUNDLE ;;
        esac
        set -- ""
    else
        die 2 "there is no such bundle: $BUNDLE" "Give a .tar, a .run, or the directory that was unpacked from it."
    fi
    BUNDLE_NAME=${BUNDLE##*/}
    for find_ending in "$@"; do # a directory that was unpacked from a signed file need have no statement of its own
        [ -z "$STATEMENT" ] || break
        if [ -e "$BUNDLE$find_ending.statement" ] || [ -L "$BUNDLE$find_ending.statement" ]; then
            STATEMENT=$BUNDLE$find_ending.statement
        fi
    done
}

take_statement() {
    [ -f "$SIGNERS" ] || has_openssl_keys || die 10 "this server has no allowed signers: $SIGNERS is missing" \
        "List them in it (see ALLOWED SIGNERS in ssh-keygen(1))$(other_way)."
    take_small "$STATEMENT" "$STATEMENT_BYTES" "$WORK/statement"
    [ -e "$STATEMENT.sig" ] || [ -e "$STATEMENT.openssl" ] ||
        die 17 "$BUNDLE_NAME is not signed: ${STATEMENT##*/}.sig is missing" \
            "Copy it to the server, too; conda-bundler sign creates it."
    take_signatures sig
    take_signatures openssl
}

take_signatures() { # ENDING
    if [ -e "$STATEMENT.$1" ]; then
        take_small "$STATEMENT.$1" "$SIGNATURE_BYTES" "$WORK/signatures.$1"
    else
        : >"$WORK/signatures.$1"
    fi
}

take_small() { # FILE BYTES COPY
    [ -f "$1" ] || die 11 "$1 is not a regular file" "Copy the bundle again, with its .statement and its signatures."
    head -c "$(($2 + 1))" <"$1" >"$3" || die 12 "cannot copy $1 to $WORK"
    [ "$(wc -c <"$3")" -le "$2" ] || die 11 "$1 is too large" "Sign the bundle again: conda-bundler sign."
}

no_statement() { # SENTENCE
    die 11 "${STATEMENT##*/} is not a conda-bundler statement: $1" "Sign the bundle again: conda-bundler sign."
}

# Writes the lines for the bundle's files, "DIGEST  PATH", sorted, to $WORK/wanted.
check_statement() {
    is_plain_text "$WORK/statement" || no_statement "it does not consist of lines of printable ASCII"
    {
        IFS= read -r statement_format
        IFS= read -r statement_bundle
    } <"$WORK/statement" || no_statement "it ends after its first line"
    [ "$statement_format" = "# conda-bundler statement 1" ] || no_statement "its first line is not '# conda-bundler statement 1'"
    case $statement_bundle in
        "# bundle "?*" "?*" "?*) ;;
        *) no_statement "its second line does not name the bundle" ;;
    esac
    statement_words=${statement_bundle#"# bundle "}
    SIGNED_NAME=${statement_words%% *}
    SIGNED_PLATFORM=${statement_words##* }
    SIGNED_RELEASE=${statement_words#* }
    SIGNED_RELEASE=${SIGNED_RELEASE% *}
    case $SIGNED_RELEASE in
        *' '*) no_statement "its second line does not name the bundle" ;;
    esac
    sed 1,2d "$WORK/statement" >"$WORK/lines"
    check_lines "$WORK/lines" no_statement
    grep -c / "$WORK/lines" >/dev/null || no_statement "it lists no files of a bundle"
    [ "$(grep -vc / "$WORK/lines")" -le 1 ] || no_statement "it covers more than one bundle file"
    TOP=$(sed -n 's|^.\{66\}\([^/]*\)/.*|\1|p' "$WORK/lines" | sort -u)
    case $TOP in
        *"
"*) no_statement "it covers more than one directory" ;;
    esac
    grep / "$WORK/lines" | sort -k 2 >"$WORK/wanted"
    refuse_other "$SIGNED_NAME" "$SIGNED_RELEASE" "$SIGNED_PLATFORM"
}

is_plain_text() { # FILE: printable ASCII, each line ended
    [ "$(tr -d '\012\040-\176' <"$1" | wc -c)" -eq 0 ] && [ "$(tail -c 1 "$1" | wc -l)" -eq 1 ]
}

# Lines of sha256sum(1): each path once, none outside the bundle, and without characters that a tool could interpret.
check_lines() { # FILE REFUSE: a command, which gets a sentence
    ! grep -qv '^[0-9a-f]\{64\}  [0-9A-Za-z@._+:,=~/-]\{1,\}$' "$1" || "$2" "it has a line that is not a digest and a path"
    sed 's/^.\{66\}//' "$1" >"$WORK/paths"
    ! grep -q -e '^/' -e '//' -e '/$' -e '^\.\{1,2\}$' -e '^\.\{1,2\}/' -e '/\.\{1,2\}/' -e '/\.\{1,2\}$' "$WORK/paths" ||
        "$2" "it has a path outside the bundle"
    lines_twice=$(sort "$WORK/paths" | uniq -d | sed -n 1p)
    [ -z "$lines_twice" ] || "$2" "$lines_twice is listed twice"
}

signed_digest() { # PATH
    while read -r signed_line signed_path; do
        [ "$signed_path" != "$1" ] || printf '%s\n' "$signed_line"
    done <"$WORK/lines"
}
