
# --- reuse -----------------------------------------------------------------------------------------------
# What the releases of this root have of the new one. Only complete ones count whose lists are those that our record
# knows, and of these only files that are what their lists say: each is read again. What is linked is never written to:
# whatever changes a file of the stage from there on puts a new one in its place.

TRUST_DISK= # yes: what is no younger than its release is not read again
REUSE_LINK= # how cp makes a second name, or a copy where the filesystem has no hard links

# Before anything is changed the releases' lists are taken at their word; their files are looked at by verify_base.
find_reusable() { # [FUNCTION]: is called with each RELEASE that has something, for a look at its files
    REUSED=
    reuse_wanted=' '
    each_segment want_segment
    for reuse_release in $(by_age); do
        reuse_runs=
        ! has_contents "$reuse_release" || find_runs "$ROOT/releases/$reuse_release/share/contents"
        [ -n "$reuse_runs" ] || continue
        "${1:-:}" "$reuse_release"
        add_reused "$reuse_release"
    done
}

want_segment() {
    [ "$segment_id" = - ] || reuse_wanted="$reuse_wanted$segment_id "
}

# Its lists have lines in the list that our record has the digest of.
has_contents() { # RELEASE
    contents_dir=$ROOT/releases/$1
    [ -f "$contents_dir/share/contents" ] && list_is_ours "$1" || return 1
    for contents_list in share/contents share/digests share/links; do
        [ -f "$contents_dir/$contents_list" ] && [ ! -L "$contents_dir/$contents_list" ] || return 1
        contents_digest=$(digest_of "$contents_dir/$contents_list") &&
            grep -qxF "$contents_digest  ./$contents_list" "$contents_dir/list" || return 1
    done
}

# The lines of a wanted segment are FIRST to LAST in share/digests, and in share/links.
find_runs() { # CONTENTS: sets reuse_runs, "ID FIRST LAST FIRST-LINK LAST-LINK NAME" a line
    run_file=0
    run_link=0
    while read -r run_id run_files run_links run_name <&8; do
        case $reuse_wanted in
            *" $run_id "*)
                is_reused "$run_id" || reuse_runs="$reuse_runs$run_id $((run_file + 1)) $((run_file + run_files)) $((run_link + 1)) $((run_link + run_links)) $run_name
"
                ;;
        esac
        run_file=$((run_file + run_files))
        run_link=$((run_link + run_links))
    done 8<"$1"
}

each_run() { # FUNCTION: it finds the fields in these variables
    while read -r run_id run_first run_last run_first_link run_last_link run_name <&8; do
        [ -z "$run_id" ] || "$1"
    done 8<<LINES
$reuse_runs
LINES
}

add_reused() { # RELEASE
    reuse_ids=$(printf '%s' "$reuse_runs" | sed "s/^\\([^ ]*\\) \\([^ ]* [^ ]* [^ ]* [^ ]*\\) .*/\\1 $1 \\2/")
    [ -z "$reuse_ids" ] || REUSED="$REUSED$reuse_ids
"
}

# --- a look at the files

# Leaves of reuse_runs those whose files and links are as they were installed; their paths go to WORK, for link_reused.
verify_base() { # RELEASE
    write_runs "$1"
    find_odd "$ROOT/releases/$1" || die 12 "cannot read $ROOT/releases/$1"
    [ -s "$WORK/odd" ] || return 0
    reuse_whole=
    each_run keep_whole_run
    reuse_runs=$reuse_whole
    write_runs "$1"
}

write_runs() { # RELEASE: the lines of its lists to WORK/digests.RELEASE, the paths to WORK/link.RELEASE
    runs_files=
    runs_links=
    runs_next=
    runs_next_link=
    each_run add_run_lines
    if ! sed -n "${runs_files:+$runs_files${runs_next}p}" "$ROOT/releases/$1/share/digests" >"$WORK/digests.$1" ||
        ! sed 's/^.\{66\}//' "$WORK/digests.$1" >"$WORK/link.$1" ||
        ! sed -n "${runs_links:+$runs_links${runs_next_link}p}" "$ROOT/releases/$1/share/links" >>"$WORK/link.$1"; then
        die 12 "cannot read $ROOT/releases/$1"
    fi
}

# Runs that follow each other are one address of sed's, which asks each line for all of them.
add_run_lines() {
    if [ "$run_first" -le "$run_last" ]; then
        [ "$run_first" = "${runs_next:+$((runs_next + 1))}" ] || runs_files="$runs_files${runs_next:+${runs_next}p;}$run_first,"
        runs_next=$run_last
    fi
    if [ "$run_first_link" -le "$run_last_link" ]; then
        [ "$run_first_link" = "${runs_next_link:+$((runs_next_link + 1))}" ] ||
            runs_links="$runs_links${runs_next_link:+${runs_next_link}p;}$run_first_link,"
        runs_next_link=$run_last_link
    fi
}

# A path whose kind, mode, owner or target is not as in the list, or that is missing; and a file with another digest.
find_odd() { # DIR: the paths to WORK/odd
    find_unusual "$1" && tree_modes "$1" >"$WORK/modes" &&
        sed -n '/^[-dl][-rwxsStT]\{9\} /p' "$1/list" | sort - "$WORK/modes" "$WORK/modes" | uniq -u |
        sed 's/^[^ ]* [^ ]* [^ ]* //; s/ -> .*//' | sort -u >"$WORK/skip" &&
        sort "$WORK/link.${1##*/}" "$WORK/skip" | uniq -d >"$WORK/odd" || return 1
    [ -z "$TRUST_DISK" ] || skip_old_files "$1" || return 1
    sed 's/^.\{66\}//' "$WORK/digests.${1##*/}" | sort - "$WORK/skip" "$WORK/skip" | uniq -u >"$WORK/paths" &&
        hash_paths "$1" &&
        sort "$WORK/digests.${1##*/}" "$WORK/hashed" "$WORK/hashed" | uniq -u | sed 's/^.\{66\}//' |
        sort - "$WORK/skip" "$WORK/skip" | uniq -u >>"$WORK/odd"
}

skip_old_files() { # DIR
    say "--trust-disk: of ${1##*/} only files with a new modification time are checked"
    (cd "$1" && find . -type f ! -newer share/digests) >>"$WORK/skip" && sort -u "$WORK/skip" >"$WORK/skipped" &&
        mv -f "$WORK/skipped" "$WORK/skip"
}

# By as many processes as there are processors.
hash_paths() { # DIR: the files that WORK/paths has
    rm -f "$WORK"/hashed.*
    : >"$WORK/hashed.0"
    hash_processes=2
    ! have nproc || hash_processes=$(nproc)
    set -- "$1" -0 -n 500 # a start of openssl takes as long as to read many files
    ! printf 'x\0' | xargs -0 -P 2 -n 1 true 2>/dev/null || set -- "$@" -P "$hash_processes"
    # shellcheck disable=SC2016 # for that shell: each writes to a file of its own
    (cd "$1" && shift && tr '\n' '\000' <"$WORK/paths" |
        xargs "$@" sh -c "$(payload_hasher) \"\$@\" >>\"\$0.\$\$\"" "$WORK/hashed") || return 1
    cat "$WORK"/hashed.* | sed 's/^\(.\{64\}\) [* ]/\1  /' >"$WORK/hashed"
    rm -f "$WORK"/hashed.*
}

keep_whole_run() {
    run_odd=$({
        [ "$run_first" -gt "$run_last" ] ||
            sed -n "$run_first,${run_last}{s/^.\{66\}//;p;}" "$ROOT/releases/$reuse_release/share/digests"
        [ "$run_first_link" -gt "$run_last_link" ] ||
            sed -n "$run_first_link,${run_last_link}p" "$ROOT/releases/$reuse_release/share/links"
    } | sort - "$WORK/odd" | uniq -d | sed -n 1p)
    if [ -n "$run_odd" ]; then
        warn "release $reuse_release: ${run_odd#./} was changed since it was installed; $run_name is not taken from there"
    else
        reuse_whole="$reuse_whole$run_id $run_first $run_last $run_first_link $run_last_link $run_name
"
    fi
}

# --- links

# Whether there are hard links is tried with what would be linked: a quota of a directory's or a mount can forbid them.
choose_link() {
    REUSE_LINK=
    if ! mkdir -p "$STAGE/.links/share"; then
        die 12 "cannot create a directory in $STAGE" "Check for a full or read-only disk: df -h $ROOT; df -i $ROOT"
    fi
    for link_way in -lP '-P --preserve=timestamps --reflink=auto' -pP; do
        if link_works; then
            REUSE_LINK=$link_way
            break
        fi
    done
    rm -rf "$STAGE/.links"
    [ -n "$REUSE_LINK" ] ||
        warn "this cp cannot link or copy files with their directories (--parents); everything is unpacked"
}

makes_copies() {
    case $REUSE_LINK in
        '' | -lP) return 1 ;;
    esac
}

link_works() {
    for link_release in $(by_age); do
        [ -f "$ROOT/releases/$link_release/share/contents" ] || continue
        rm -f "$STAGE/.links/share/contents"
        # shellcheck disable=SC2086 # words
        (cd "$ROOT/releases/$link_release" && cp $link_way --parents ./share/contents "$STAGE/.links") 2>/dev/null &&
            [ -f "$STAGE/.links/share/contents" ] || return 1
    done
}

link_reused() {
    for link_release in $(printf '%s' "$REUSED" | sed 's|^[^ ]* \([^ ]*\) .*|\1|' | sort -u); do
        refuse_missing_directories "$link_release"
        refuse_other_digests "$link_release"
        # shellcheck disable=SC2086,SC2016 # words, and for that shell
        (cd "$ROOT/releases/$link_release" && tr '\n' '\000' <"$WORK/link.$link_release" |
            xargs -0 sh -c 'cp '"$REUSE_LINK"' --parents "$@" "$0"' "$STAGE") 2>"$WORK/linking" ||
            die 12 "cannot link files of $link_release: $(head_of "$WORK/linking")" \
                "Check for a full or read-only disk: df -h $ROOT; df -i $ROOT"
    done
}

# They are in the segments that are always unpacked. A link in the place of one would lead out of the stage.
refuse_missing_directories() { # RELEASE
    sed 's|/[^/]*$||' "$WORK/link.$1" | sort -u >"$WORK/needed"
    (cd "$STAGE" && find . -type d) >"$WORK/there" || die 12 "find failed below $STAGE"
    link_missing=$(sort "$WORK/needed" "$WORK/there" "$WORK/there" | uniq -u | sed -n 1p | tr -cd '\040-\176')
    [ -z "$link_missing" ] || die 11 "the payload lacks the directory ${link_missing#./}" \
        "The bundle was not built correctly and is not installed."
}

# A release may say of its files whatever it likes: only the new one's list says what they have to be. Of an update that
# list is made of the releases' own, and compared as a whole.
refuse_other_digests() { # RELEASE
    [ -z "$UPDATE" ] || return 0
    link_other=$(sort "$WORK/digests.$1" "$STAGE/share/digests" "$STAGE/share/digests" | uniq -u | sed -n 1p |
        tr -cd '\040-\176')
    [ -z "$link_other" ] || die 11 "${link_other#*  ./} has another checksum in $RELEASE than in the release $1, which says that it is the same" \
        "One of the two was not built correctly. Nothing is installed."
}
