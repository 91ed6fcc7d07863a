
# --- environments ----------------------------------------------------------------------------------------
# envs/<id> is content: it is unpacked once, verified once and never written to again. Each release that has it leads to
# it with a link "env", a relative one, so that it holds in an image. What is known of an environment is in itself, in
# .conda-bundler/. Older versions have put a release's environment into the release: then env is a directory.

environment_of() { # RELEASE, or its stage: the environment's id; nothing if the release has it in itself
    environment_link=$(readlink "$ROOT/releases/$1/env" 2>/dev/null) || return 0
    environment_link=${environment_link#../../envs/}
    case $environment_link in
        *[!0-9a-f]*) ;;
        ????????????) printf '%s\n' "$environment_link" ;;
    esac
}

environment_dir() { # RELEASE: where its environment really is
    environment_id=$(environment_of "$1")
    printf '%s\n' "$ROOT/${environment_id:+envs/}${environment_id:-releases/$1/env}"
}

is_environment() { # ID: there is a complete one
    [ ! -L "$ROOT/envs" ] && [ ! -L "$ROOT/envs/$1" ] && [ -d "$ROOT/envs/$1" ] &&
        [ -f "$ROOT/envs/$1/.conda-bundler/complete" ]
}

has_environment() { # RELEASE
    environment_id=$(environment_of "$1")
    if [ -n "$environment_id" ]; then
        is_environment "$environment_id"
    else
        [ ! -L "$ROOT/releases/$1/env" ]
    fi
}

environment_record() { # ID: "TREE-DIGEST LIST-DIGEST"
    owned environment | sed -n "s/^$1 //p" | tail -n 1
}

environment_list_is_ours() { # ID
    environment_digest=$(environment_record "$1")
    [ -f "$ROOT/envs/$1/.conda-bundler/list" ] &&
        [ "$(digest_of "$ROOT/envs/$1/.conda-bundler/list")" = "${environment_digest#* }" ]
}

environment_is_intact() { # ID
    environment_list_is_ours "$1" || return 1
    environment_now=$(tree_lines "$ROOT/envs/$1" | sort -u | sha256sum)
    [ "${environment_now%% *}" = "${environment_digest#* }" ]
}
