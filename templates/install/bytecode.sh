
# --- bytecode --------------------------------------------------------------------------------------------
# What could not be compiled where the bundle was built: sources that carry the prefix, or all of them. The
# environment's own Python does it, verified by now, without site-packages, .pth files or the environment.

compile_bytecode() {
    [ -s "$STAGE/share/bytecode" ] || return 0
    say "compiling $(wc -l <"$STAGE/share/bytecode") modules"
    # compileall fails when one source is for another Python; what it could compile is there.
    (
        cd "$STAGE" && exec env -i PATH="$PATH" LANG=C.UTF-8 "$STAGE/env/bin/python" -I -S -B -m compileall \
            -q -f --invalidation-mode unchecked-hash -i share/bytecode
    ) >"$WORK/compileall" 2>&1 9>&- || warn "not every module was compiled: $(head_of "$WORK/compileall")"
}
