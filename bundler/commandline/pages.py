"""What ``--help`` and the man pages say beside Click's own: examples, and the exit codes of each command."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EXIT_CODES", "OVERVIEW", "PAGES", "Page"]

EXIT_CODES = {
    0: "done",
    1: "a bug in conda-bundler",
    2: "wrong usage or configuration",
    3: "the environment cannot be locked",
    4: "the lockfile is out of date",
    5: "a download failed or a checksum does not match",
    6: "packing or a link script failed",
    7: "not a bundle, or a damaged one",
    8: "the bundle is unhealthy on the throwaway machine",
    9: "a program or a permission is missing",
    130: "interrupted with Ctrl-C",
}
_ALWAYS = (0, 1, 2, 130)


@dataclass(frozen=True, kw_only=True)
class Page:
    """``examples`` are pairs of what it does and a command line; ``exits`` the codes beside those of every command."""

    examples: tuple[tuple[str, str], ...]
    exits: tuple[int, ...] = ()
    special: tuple[tuple[int, str], ...] = ()
    """Codes that mean something else here."""

    @property
    def exit_codes(self) -> tuple[tuple[int, str], ...]:
        """All codes of the command in order, with their meaning."""
        meanings = EXIT_CODES | dict(self.special)
        return tuple((code, meanings[code]) for code in sorted({*_ALWAYS, *self.exits}))


OVERVIEW = Page(
    examples=(
        ("Start a project and build its bundle", "conda-bundler init hello && conda-bundler build hello"),
        ("Try the bundle before it goes to a server", "conda-bundler smoke dist/hello-0.1.0-linux-64.tar"),
    ),
    exits=tuple(EXIT_CODES),
)
PAGES = {
    "init": Page(
        examples=(
            ("Start a web service", "conda-bundler init --from asgi api"),
            ("Start a notebook server", "conda-bundler init --from jupyter notebooks"),
        ),
    ),
    "schema": Page(
        examples=(
            ("Let an editor check bundle.toml", "conda-bundler schema > bundle.schema.json"),
            ("What `build --json` prints", "conda-bundler schema build"),
        ),
    ),
    "lock": Page(
        examples=(
            ("Fail in CI if the lockfile is out of date", "conda-bundler lock --check"),
            ("Update one package", "conda-bundler lock --update numpy"),
        ),
        exits=(3, 4, 9),
    ),
    "build": Page(
        examples=(
            ("Take the version from a tag", "conda-bundler build --bundle-version 1.2.0"),
            (
                "Build without a bundle.toml",
                "conda-bundler build --environment env.yml --name api --bundle-version 1.0 --command 'python -m api'",
            ),
        ),
        exits=(3, 4, 5, 6, 7, 9),
        special=((7, "[licenses] refuses a package"),),
    ),
    "inspect": Page(
        examples=(
            ("Show packages, units and sizes", "conda-bundler inspect hello-1.2.0-linux-64.tar"),
            ("The same as JSON, for a script", "conda-bundler inspect --json hello-1.2.0-linux-64.tar"),
            (
                "As a page, with known vulnerabilities",
                "conda-bundler inspect hello-1.2.0-linux-64.tar --html hello.html --db PyPI-all.zip",
            ),
        ),
        exits=(6, 7, 9),
        special=((6, "the page cannot be written"),),
    ),
    "verify": Page(
        examples=(
            ("Verify a bundle after a copy", "conda-bundler verify hello-1.2.0-linux-64.tar"),
            (
                "Require the signatures of two of those who may sign",
                "conda-bundler verify --allowed-signers allowed_signers --signatures 2 hello-1.2.0-linux-64.tar",
            ),
            ("Rebuild it from its sources", "conda-bundler verify hello-1.2.0-linux-64.tar --rebuild ."),
        ),
        exits=(3, 5, 6, 7, 9),
        special=((7, "not a bundle, a damaged one, or the rebuild is different"),),
    ),
    "sign": Page(
        examples=(
            ("Sign a bundle with a key of yours", "conda-bundler sign --key id_ed25519 hello-1.2.0-linux-64.tar"),
            (
                "For servers whose ssh-keygen cannot verify signatures",
                "conda-bundler sign --key openssl:release.key hello-1.2.0-linux-64.tar",
            ),
        ),
        exits=(7, 9),
    ),
    "sbom": Page(
        examples=(
            ("Take out a bundle's SBOM", "conda-bundler sbom hello-1.2.0-linux-64.tar -o hello.cdx.json"),
            ("Of a lockfile, before anything is built", "conda-bundler sbom conda-lock.yml"),
        ),
        exits=(3, 5, 6, 7, 9),
    ),
    "provenance": Page(
        examples=(
            ("Show what a bundle was built from", "conda-bundler provenance hello-1.2.0-linux-64.tar"),
            ("Take it out", "conda-bundler provenance hello-1.2.0-linux-64.tar -o hello.provenance.json"),
        ),
        exits=(6, 7, 9),
    ),
    "audit": Page(
        examples=(
            ("Compare a bundle with a dump that was carried in", "conda-bundler audit hello.tar --db PyPI-all.zip"),
            (
                "In CI: fail from severity high on, and write SARIF",
                "conda-bundler audit conda-lock.yml --db all.zip --fail-on high --sarif audit.sarif",
            ),
        ),
        exits=(3, 5, 6, 7, 9),
        special=((7, "vulnerabilities were found; or not a bundle, or a damaged one"),),
    ),
    "diff": Page(
        examples=(
            ("Show what an upgrade changes", "conda-bundler diff hello-1.1.0-linux-64.tar hello-1.2.0-linux-64.tar"),
            (
                "As a page, and as a comment on a pull request",
                "conda-bundler diff old.tar new.tar --html diff.html --markdown diff.md",
            ),
        ),
        exits=(6, 7, 9),
        special=(
            (1, "with --exit-code: the bundles differ; else a bug in conda-bundler"),
            (6, "the page cannot be written"),
        ),
    ),
    "smoke": Page(
        examples=(
            ("Install and start it on a throwaway Debian 12", "conda-bundler smoke hello-1.2.0-linux-64.tar"),
            (
                "On Debian 13 with nginx, and a shell to look around",
                "conda-bundler smoke hello-1.2.0-linux-64.tar --suite trixie --include nginx --shell",
            ),
            (
                "Write a signed statement on it beside the bundle",
                "conda-bundler smoke hello-1.2.0-linux-64.tar --attest --sign-key id_ed25519",
            ),
        ),
        exits=(7, 8, 9),
    ),
    "docs": Page(
        examples=(
            ("Read the documentation without a network", "conda-bundler docs"),
            ("Print its address, for a browser of your own", "conda-bundler docs --no-open"),
        ),
        exits=(9,),
    ),
    "doctor": Page(
        examples=(
            ("Check what building needs", "conda-bundler doctor"),
            ("Fail unless smoke tests can run here, too", "conda-bundler doctor --for build --for smoke"),
        ),
        exits=(9,),
    ),
    "completion": Page(
        examples=(
            ("bash: in ~/.bashrc", 'eval "$(conda-bundler completion bash)"'),
            ("zsh: in ~/.zshrc, after compinit", 'eval "$(conda-bundler completion zsh)"'),
            (
                "fish: once",
                "conda-bundler completion fish > ~/.config/fish/completions/conda-bundler.fish",
            ),
        ),
    ),
}
