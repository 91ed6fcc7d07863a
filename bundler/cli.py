"""Click only: options -> configuration, results -> text or JSON.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundler.commandline.group import NearChoice, cli
from bundler.commandline.group import command as _command
from bundler.commandline.options import (
    BUILDER,
    BUNDLE,
    DIRECTORY,
    KEY_FILE,
    LOCK_TIMEOUT,
    SIGNING_KEY,
    load,
    overrides,
    project_options,
)
from bundler.commandline.reports import check_report_options, report_options
from bundler.fetch.trust import adopt_certificates
from bundler.printable import counted

if TYPE_CHECKING:
    from bundler.audit.report import Audit
    from bundler.config.overrides import Overrides
    from bundler.progress import Progress
    from bundler.signing.bundles import Key

__all__ = ["cli", "main"]

_EXIT_FOUND = 7
_EXIT_SMOKE = 8
_EXIT_MISSING = 9


def main() -> None:
    """The command ``conda-bundler``."""
    # A CI job that is cancelled gets SIGTERM, Ctrl-C is SIGINT: as an exception it lets temporary directories and
    # machines go. So does a terminal that is closed: what we have started is in sessions of its own, and ends by us.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    adopt_certificates()
    try:
        cli(prog_name="conda-bundler")
    except SystemExit as end:
        if "rattler" not in sys.modules:
            raise
        # Not through the interpreter's own end: py-rattler's threads still use it then, and now and then a build that
        # is done dies with SIGSEGV. All that is ours is closed by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


@_command
@click.argument("directory", type=DIRECTORY, default=".", metavar="[DIR]")
@click.option(
    "--from",
    "starting_point",
    type=NearChoice(["asgi", "elixir", "job", "jupyter", "service"]),
    default="service",
    show_default=True,
    help="Choose the kind of project.",
)
def init(directory: Path, quiet: bool, starting_point: str) -> Any:
    """Write a project to start from.

    DIR gets a commented bundle.toml, an environment.yml and a small program. Files that exist are never overwritten.
    """
    from bundler.project_templates import start

    written = [str(path) for path in start(directory, starting_point)]
    return [f"wrote {path}" for path in written], {"written": written}


@_command
@click.argument(
    "subject",
    default="bundle.toml",
    metavar="[SUBJECT]",
    type=NearChoice(
        [
            *("audit", "bundle.toml", "build", "completion", "diff", "docs", "doctor", "error", "init", "inspect"),
            *("lock", "progress", "provenance", "sbom", "sign", "smoke", "verify"),
        ]
    ),
)
def schema(subject: str, quiet: bool) -> Any:
    """Print a JSON schema, of bundle.toml by default.

    SUBJECT is bundle.toml (the default), a command, for what it prints with --json, `error`, for what any command
    prints with --json when it fails, or `progress`, for a line of --progress json.
    """
    if subject == "bundle.toml":
        from bundler.config.schema import make_schema

        document = make_schema()
    else:
        from bundler.outputs import output_schema

        document = output_schema(subject)
    return [json.dumps(document, indent=2, sort_keys=True)], document


@_command
@project_options
@click.option("--check", is_flag=True, help="Check that the lockfile is up to date; exit 4 if not.")
@click.option("--update", multiple=True, metavar="PACKAGE", help="Update only this package; repeatable.")
@LOCK_TIMEOUT
def lock(directory: Path, quiet: bool, check: bool, update: tuple[str, ...], solver: str, **options: Any) -> Any:
    """Lock environment.yml for every platform.

    conda-lock.yml then names every package by URL and checksum. Commit it: `build` takes exactly these packages.
    """
    from dataclasses import replace

    timeout = options.pop("lock_timeout")
    if check:
        return _check_lock(directory, overrides(directory, options), solver, timeout)

    from bundler.lock.freshness.check import refuse_foreign
    from bundler.lock.request import lock_request

    config = load(directory, options)
    request = lock_request(config, solver, timeout)

    from bundler.lock.condalock import write_lockfile
    from bundler.lockfiles.read import read_lock
    from bundler.progress import make_progress

    refuse_foreign(config.lockfiles)
    # An update leaves other platforms as they are; a whole lockfile is for all of them.
    platforms = config.platforms if update else config.project_platforms
    progress = make_progress(quiet=quiet)
    progress.step(f"Locking {config.spec_name} for {', '.join(platforms)}")
    write_lockfile(replace(request, platforms=platforms), progress, update=update)
    lockfiles = replace(config.lockfiles, wheels=None)
    counts = {platform: len(read_lock(lockfiles, platform).packages) for platform in platforms}
    told = ", ".join(f"{counted(count, 'package')} for {platform}" for platform, count in counts.items())
    return [f"{config.lockfile}: {told}"], {"lockfile": str(config.lockfile), "packages": counts}


def _check_lock(directory: Path, given: Overrides, solver: str, timeout: float) -> Any:
    from dataclasses import replace

    from bundler.lock.freshness.check import check_fits
    from bundler.lock.freshness.quick import NotPlainError, plain_request

    try:
        request, lockfiles = plain_request(directory, given, solver)
        return check_fits(replace(request, timeout=timeout), lockfiles)
    except NotPlainError:
        from bundler.config.project import load_config
        from bundler.lock.request import injected_lockfiles, lock_request

        config = load_config(directory, given)
        return check_fits(lock_request(config, solver, timeout), injected_lockfiles(config))


@_command
@project_options
@click.option(
    "--format",
    "form",
    type=NearChoice(["tar", "run", "dir"]),
    default="tar",
    show_default=True,
    help="Write a tar, a self-extracting .run file or a directory.",
)
@click.option(
    "--output-dir",
    "output",
    type=DIRECTORY,
    default=Path("dist"),
    show_default=True,
    help="Write the bundle to this directory.",
)
@click.option(
    "--compression",
    type=NearChoice(["gzip", "zstd", "xz", "none"]),
    help="Compress the payload with this; default: zstd if the bundle can include a zstd program, else gzip.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Compress with this many threads; default: one per processor.")
@click.option(
    "--category",
    "--extras",
    "categories",
    multiple=True,
    metavar="NAME",
    help="Include the dependencies of this category; repeatable.",
)
@click.option(
    "--dev-dependencies/--no-dev-dependencies", default=False, help="Include the dependencies of category dev."
)
@click.option("--sign-key", type=SIGNING_KEY, help="Sign the bundles with this key, as `sign` does.")
@BUILDER
@click.option("--relock", is_flag=True, help="Lock again if the lockfile is out of date, instead of exiting with 4.")
@LOCK_TIMEOUT
def build(directory: Path, quiet: bool, output: Path, sign_key: Key | None, **options: Any) -> Any:
    """Build a bundle from a project.

    Locks first if there is no lockfile. An interrupted build leaves no partial bundle behind.
    """
    from bundler.build import BuildOptions
    from bundler.build import build as run_build
    from bundler.progress import make_progress
    from bundler.reader.summary import summary

    config = load(directory, options)
    choices = BuildOptions(output=output.resolve(), **options)
    bundles = run_build(config, choices, make_progress(quiet=quiet))
    if sign_key:
        from bundler.signing.bundles import sign_bundle

        for bundle in bundles:
            sign_bundle(bundle.path, sign_key)
    lines = [line for bundle in bundles for line in summary(bundle)]
    return lines, {"bundles": [bundle.document() for bundle in bundles]}


def _audited(bundle: Path, options: dict[str, Any], progress: Progress) -> Audit | None:
    """What the dump of --db knows of a bundle; None without one."""
    if options["database"] is None:
        return None
    from bundler.audit.command import AuditOptions
    from bundler.audit.command import audit as run_audit

    return run_audit(bundle, AuditOptions(**options), progress)


@_command
@click.argument("bundle", type=BUNDLE)
@report_options("html")
def inspect(bundle: Path, quiet: bool, html: Path | None, **options: Any) -> Any:
    """Show what a bundle contains.

    Packages and their sizes, units and their sandboxing, defaults, names of secrets, and what the server must have.
    BUNDLE is a .tar, a .run or a directory; nothing is unpacked or run. With --html all of it is a page that also has
    dependencies, licenses and a map of the sizes.
    """
    from bundler.reader.inspect import inspect as look

    check_report_options(options, html)
    inspection = look(bundle)
    if html is None:
        return inspection.lines(), inspection.document()

    from bundler.inventory import write_document
    from bundler.progress import make_progress
    from bundler.report.page import inspect_page

    progress = make_progress(quiet=quiet)
    audit = _audited(bundle, options, progress)
    write_document(html, inspect_page(bundle, progress, audit))
    return [f"wrote {html}"], inspection.document()


@_command
@click.argument("bundle", type=BUNDLE)
@click.option(
    "--allowed-signers",
    "allowed",
    type=KEY_FILE,
    help="Also require a signature of somebody in this file (ssh-keygen's allowed signers).",
)
@click.option(
    "--revoked-keys", "revoked", type=KEY_FILE, help="Ignore the signatures of these keys (ssh-keygen's KRL)."
)
@click.option(
    "--allowed-keys",
    "keys",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also accept signatures by openssl of the keys in this directory (NAME.pem).",
)
@click.option(
    "--signatures",
    "threshold",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Require this many signers, each with a key of their own.",
)
@click.option(
    "--rebuild",
    "project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Rebuild it from this project and its own lockfile, and require the same bytes.",
)
@click.option("--sign-key", type=SIGNING_KEY, help="With --rebuild: sign it with this key if the bytes are the same.")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="URL",
    help="With --rebuild: replace environment.yml's channels, as `build` was told; repeatable.",
)
def verify(bundle: Path, quiet: bool, project: Path | None, **options: Any) -> Any:
    """Verify the integrity of a bundle.

    Compares all checksums in BUNDLE with its content, and install.sh and manage with this version's templates.
    Exits with 7 and names what is wrong. Installs nothing. With --allowed-signers or --allowed-keys it also says who
    signed the bundle, and what a statement of `smoke --attest` beside it says; with --rebuild whether it is what its
    sources make, or
    which file differs first.
    """
    from dataclasses import replace

    from bundler.progress import make_progress
    from bundler.reader.verify import verify as compare

    signers: tuple[Any, ...] = ()
    test = None
    sign_key, channels = options.pop("sign_key"), options.pop("channels")
    if sign_key and not project:
        raise click.UsageError("--sign-key needs --rebuild; `conda-bundler sign` signs without it.")
    if channels and not project:
        raise click.UsageError("--channel needs --rebuild.")
    if options["allowed"] or options["keys"]:
        from bundler.signing.bundles import Trust, check_signed

        signers = check_signed(bundle, Trust(**options))
    elif options["threshold"] > 1:
        raise click.UsageError("--signatures needs --allowed-signers or --allowed-keys.")
    if options["revoked"] and not options["allowed"]:
        raise click.UsageError("--revoked-keys needs --allowed-signers.")
    progress = make_progress(quiet=quiet)
    verification = compare(bundle, progress)
    if signers:
        from bundler.smoke.attest import tested

        test = tested(bundle, Trust(**options))
    verification = replace(verification, signers=tuple(map(str, signers)), tested=test)
    if project:
        from bundler.rebuild import rebuild

        rebuilt = rebuild(bundle, project, progress, channels=channels, key=sign_key)
        verification = replace(verification, rebuilt=rebuilt)
    return verification.lines(), verification.document()


@_command
@click.argument("bundle", type=BUNDLE)
@click.option(
    "--key",
    type=SIGNING_KEY,
    required=True,
    help="Sign with this SSH key: a private key, or a public one in ssh-agent. openssl:KEY signs with openssl.",
)
def sign(bundle: Path, quiet: bool, key: Key) -> Any:
    """Sign a bundle with an SSH key.

    Writes BUNDLE.statement, with the checksum of every file, and BUNDLE.statement.sig beside BUNDLE. Signing again with
    another key adds a signature. With an RSA or ECDSA key of openssl's (openssl:KEY, a file or a URI such as pkcs11:…)
    it writes BUNDLE.statement.openssl, for servers whose ssh-keygen cannot verify signatures.
    """
    from bundler.signing.bundles import sign_bundle

    signed = sign_bundle(bundle, key)
    return signed.lines(), signed.document()


@_command
@click.argument("bundle", type=BUNDLE, metavar="BUNDLE|LOCKFILE")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
@click.option("--platform", metavar="SUBDIR", help="Take this platform of a lockfile; default: linux-64.")
def sbom(bundle: Path, quiet: bool, output: Path | None, platform: str | None) -> Any:
    """Print the SBOM of a bundle or lockfile.

    CycloneDX, as JSON: every package with its package URLs, digests, license and dependencies. A bundle has its own; of
    a lockfile it is made of what the cache has of its packages.
    """
    from bundler.inventory import take_inventory, write_document
    from bundler.progress import make_progress

    inventory = take_inventory(bundle, platform)
    for note in inventory.notes:
        make_progress(quiet=quiet).step(f"note: {note}")
    document = json.loads(inventory.document)
    if output is None:
        lines = inventory.document.decode().splitlines()
    else:
        write_document(output, inventory.document)
        components = counted(len(inventory.sbom.components), "component")
        lines = [f"{output}: CycloneDX {inventory.sbom.version}, {components}"]
    return lines, {"output": str(output) if output else None, "notes": list(inventory.notes), "sbom": document}


@_command
@click.argument("bundle", type=BUNDLE)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def provenance(bundle: Path, quiet: bool, output: Path | None) -> Any:
    """Print what a bundle was built from.

    The in-toto statement in BUNDLE, as JSON: its inputs by their checksums, what `build` was told, and the files that
    came of it (SLSA provenance). `verify` compares it with the bundle.
    """
    from bundler.inventory import take_provenance, write_document

    content = take_provenance(bundle)
    document = json.loads(content)
    if output is None:
        lines = content.decode().splitlines()
    else:
        write_document(output, content)
        files = counted(len(document["subject"]), "file")
        lines = [f"{output}: provenance of {files}"]
    return lines, {"output": str(output) if output else None, "provenance": document}


@_command
@click.argument("bundle", type=BUNDLE, metavar="BUNDLE|LOCKFILE")
@click.option(
    "--db",
    "database",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Compare with this dump of OSV's database: a zip file or a directory.",
)
@click.option(
    "--ignore",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read from this TOML file which advisories do not apply, and why.",
)
@click.option(
    "--fail-on",
    type=NearChoice(["any", "low", "medium", "high", "critical", "never"]),
    default="any",
    show_default=True,
    help="Exit with 7 for vulnerabilities of this severity or higher; one that is unknown counts as high as any.",
)
@click.option(
    "--require-coverage",
    is_flag=True,
    help="Exit with 7 also if a component is not covered, or is a project only by its name.",
)
@click.option(
    "--sarif", "report", type=click.Path(dir_okay=False, path_type=Path), help="Write SARIF 2.1.0 to this file, too."
)
@click.option("--platform", metavar="SUBDIR", help="Take this platform of a lockfile; default: linux-64.")
def audit(bundle: Path, quiet: bool, **options: Any) -> Any:
    """Look for known vulnerabilities, offline.

    Compares the projects of PyPI in BUNDLE or LOCKFILE, those in conda packages too, with a dump of OSV's database.
    What the dump says nothing of is listed as not covered.
    """
    from bundler.audit.command import AuditOptions
    from bundler.audit.command import audit as run_audit
    from bundler.progress import make_progress

    choices = AuditOptions(**options)
    found = run_audit(bundle, choices, make_progress(quiet=quiet))
    document = found.document(choices.fail_on, require_coverage=choices.require_coverage)
    return found.lines(), document, _EXIT_FOUND if document["failed"] else 0


@_command
@click.argument("old", type=BUNDLE)
@click.argument("new", type=BUNDLE)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if the bundles differ.")
@report_options("html", "markdown")
def diff(old: Path, new: Path, quiet: bool, exit_code: bool, **options: Any) -> Any:
    """Compare two bundles.

    Shows what changes from OLD to NEW: packages, sizes, units, defaults, secrets and your own files. With --html and
    --markdown also what the operator has to know, and what services may do then.
    """
    html, markdown = options.pop("html"), options.pop("markdown")
    check_report_options(options, html, markdown)
    if html is None and markdown is None:
        from bundler.reader.diff import diff as compare

        difference = compare(old, new)
        return difference.lines(), difference.document(), int(exit_code and difference.different)

    from bundler.inventory import write_document
    from bundler.progress import make_progress
    from bundler.report.changes import changes
    from bundler.report.diffpage import diff_page
    from bundler.report.markdown import diff_markdown

    progress = make_progress(quiet=quiet)
    before, after = _audited(old, options, progress), _audited(new, options, progress)
    found = changes(old, new, (before, after) if before and after else None)
    lines = []
    for file, written in ((html, diff_page), (markdown, lambda found: diff_markdown(found).encode())):
        if file is not None:
            write_document(file, written(found))
            lines.append(f"wrote {file}")
    return lines, found.difference.document(), int(exit_code and found.difference.different)


@_command
@click.argument("bundle", type=BUNDLE)
@click.option(
    "--suite", default="bookworm", show_default=True, help="Boot this Debian release: bookworm, bullseye or trixie."
)
@click.option(
    "--rootfs",
    type=click.Path(exists=True, path_type=Path),
    help="Boot this directory or tar instead of a Debian release.",
)
@click.option(
    "--include", multiple=True, metavar="PACKAGE", help="Install this Debian package on the machine first; repeatable."
)
@click.option(
    "--timeout", type=float, default=180, show_default=True, help="Stop the installation after this many seconds."
)
@click.option("--keep-going", is_flag=True, help="Start and check every service even if the installation fails.")
@click.option("--shell", is_flag=True, help="Open a root shell on the machine after the checks.")
@click.option("--attest", is_flag=True, help="Write the result to BUNDLE.smoke.json, an in-toto statement.")
@click.option("--sign-key", type=SIGNING_KEY, help="With --attest: sign the statement with this key.")
def smoke(bundle: Path, quiet: bool, attest: bool, sign_key: Key | None, **options: Any) -> Any:
    """Install a bundle on a throwaway machine.

    Boots a Debian with real systemd and no network, installs BUNDLE there, waits for its health checks and reports.
    Needs root, systemd-nspawn and mmdebstrap. The machine is gone afterwards.
    """
    from functools import partial

    from bundler.progress import make_progress
    from bundler.smoke.run import SmokeOptions
    from bundler.smoke.run import smoke as run_smoke

    if sign_key and not attest:
        raise click.UsageError("--sign-key needs --attest.")
    progress = make_progress(quiet=quiet)
    run = partial(run_smoke, bundle, SmokeOptions(**options), progress)
    if attest:
        from bundler.smoke.attest import attested

        report = attested(bundle, run, progress, key=sign_key)
    else:
        report = run()
    return report.lines(), report.document(), 0 if report.healthy else _EXIT_SMOKE


@_command
@click.argument("shell", type=NearChoice(["bash", "zsh", "fish"]))
def completion(shell: str, quiet: bool) -> Any:
    """Print a shell completion script.

    The script completes commands, options and their values in bash (4.4 or later), zsh or fish.
    """
    from bundler.commandline.completion import completion_script

    script = completion_script(cli, "conda-bundler", shell)
    return [script], {"shell": shell, "script": script}


@_command
@click.option("--no-open", is_flag=True, help="Print where its first page is; open no browser.")
def docs(no_open: bool, quiet: bool) -> Any:
    """Open the documentation in a browser.

    The documentation is part of the installation: it needs no network. In a terminal it is served on a port of
    127.0.0.1, so that its search works, until Ctrl-C. Elsewhere the file of its first page is printed.
    """
    from bundler.resources import documentation

    page = documentation()
    if not no_open and _is_terminal():
        from bundler.commandline.website import served

        with served(page.parent) as address:
            click.echo(f"{address} until Ctrl-C", err=True)
            click.launch(address)
            signal.pause()
    url = page.as_uri()
    return [url], {"url": url}


def _is_terminal() -> bool:
    return sys.stdout.isatty()


@_command
@click.option(
    "--for",
    "purposes",
    multiple=True,
    type=NearChoice(["build", "smoke", "server"]),
    help="Check only what this needs, and exit 9 if any of it is missing; repeatable.",
)
def doctor(purposes: tuple[str, ...], quiet: bool) -> Any:
    """Check this machine for missing tools.

    Lists what is here to build bundles, to try them with `smoke` and to install them on this machine as a server, and
    how to get what is missing. Without --for only what `build` needs decides the exit code.
    """
    from bundler.doctor import diagnose

    diagnosis = diagnose(purposes)
    return diagnosis.lines(), diagnosis.document(), 0 if diagnosis.healthy else _EXIT_MISSING
