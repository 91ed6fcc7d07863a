
# --- bytecode --------------------------------------------------------------------------------------------
# What could not be compiled where the bundle was built: sources that carry the prefix, or all of them. The
# environment's own Python does it, verified by now, without site-packages, .pth files or the environment. Yet a package
# may have brought what it imports: nobody runs it (nobody.sh), it writes into a directory beside the release, and of
# what is there plain files that were asked for are taken.

BYTECODE= # where it writes
BYTECODE_SECONDS=7200

compile_bytecode() {
    [ -s "$STAGE/share/bytecode" ] || return 0
    say "compiling $(wc -l <"$STAGE/share/bytecode") modules"
    BYTECODE=${STAGE%.partial}.bytecode.partial
    mkdir -m 0700 "$BYTECODE" || die 12 "cannot create the directory $BYTECODE"
    if ! prepare_nobody "$STAGE" "$BYTECODE"; then
        warn "some modules were not compiled: $NOBODY_WHY"
    else
        NOBODY_BLOCKS=unlimited
        # compileall fails when one source is for another Python; what it could compile is there.
        ask_nobody "$BYTECODE_SECONDS" env -i PATH="$PATH" LANG=C.UTF-8 HOME="$NOBODY_HOME" PYTHONNOUSERSITE=1 \
            "$(seen_by_nobody in)/env/bin/python" -I -S -B -X pycache_prefix="$(seen_by_nobody out)" \
            -m compileall -q -f --invalidation-mode unchecked-hash -i share/bytecode >"$WORK/compileall" 2>&1 ||
            warn "some modules were not compiled: $(head_of "$WORK/compileall")"
        take_bytecode "$BYTECODE$(bytecode_place)"
        dismiss_nobody
    fi
    rm -rf "$BYTECODE" || die 12 "cannot remove $BYTECODE"
}

# What it sees of a directory that prepare_nobody was given.
seen_by_nobody() { # in|out
    case $NOBODY_ROOMED,$1 in
        yes,*) printf '%s\n' "$NOBODY_DIR/$1" ;;
        *,in) printf '%s\n' "$NOBODY_IN" ;;
        *,out) printf '%s\n' "$NOBODY_OUT" ;;
    esac
}

bytecode_place() { # below it: Python puts what it makes where the source's own path leads to
    if [ -n "$NOBODY_ROOMED" ]; then
        seen_by_nobody in
    else
        (cd "$STAGE" && pwd -P)
    fi
}

# None of its processes is left, so what is there stays as it is while root looks at it.
take_bytecode() { # DIR
    bytecode_odd=$(find "$BYTECODE" \( ! -type d ! -type f -o -type f -links +1 \) | sed -n 1p)
    if [ -n "$bytecode_odd" ]; then
        refuse_bytecode "something else than plain files"
        return 0
    fi
    [ -d "$1" ] || return 0 # nothing was made
    if ! find "$BYTECODE" -exec chown -h 0:0 {} + || ! find "$BYTECODE" -type f -exec chmod 0644 {} +; then
        die 12 "cannot change what is in $BYTECODE"
    fi
    (cd "$1" && find . -type f) | sed -e 's|^\./||' -e 's|\.[^./]*\.pyc$|.py|' | sort -u >"$WORK/compiled"
    sort -u "$STAGE/share/bytecode" >"$WORK/asked"
    if [ -n "$(sort "$WORK/compiled" "$WORK/asked" "$WORK/asked" | uniq -u | sed -n 1p)" ]; then
        refuse_bytecode "what was not asked for"
        return 0
    fi
    (cd "$1" && find . -type d) >"$WORK/compiled"
    while IFS= read -r bytecode_dir; do
        place_bytecode "$1/$bytecode_dir" "$STAGE/$bytecode_dir/__pycache__"
    done <"$WORK/compiled"
}

place_bytecode() { # FROM TO
    bytecode_into=$2
    set -- "$1"/*.pyc
    [ -f "$1" ] || return 0 # nothing fits the pattern
    if [ ! -d "$bytecode_into" ]; then
        mkdir -m 0755 "$bytecode_into" || die 12 "cannot create $bytecode_into"
    fi
    [ ! -L "$bytecode_into" ] || return 0
    mv -f "$@" "$bytecode_into/" || die 12 "cannot move bytecode to $bytecode_into"
}

refuse_bytecode() { # WHAT
    warn "some modules were not compiled: the compiler created $1" \
        "A package changes how Python compiles; check which one installs files in lib/python*/."
}
