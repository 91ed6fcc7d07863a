
# --- what processes use -----------------------------------------------------------------------------------

is_in_use() { # RELEASE: a program, a library, an open file or a working directory of a process is there
    use_path=$(seen "$ROOT/releases/$1")
    grep -qF "$use_path/" /proc/[0-9]*/maps 2>/dev/null && return 0
    use_path=$(pattern "$use_path")
    links_in /proc/[0-9]*/exe /proc/[0-9]*/cwd /proc/[0-9]*/fd | grep -q -e " -> $use_path\$" -e " -> $use_path/"
}
