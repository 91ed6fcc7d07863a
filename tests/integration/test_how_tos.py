"""The how-to guides' shell lines: each is run here, or it is said why not and where the same is tested."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from docskit import DOCS, Builder, Line, shell_lines
from examplekit import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

LINES = [line for page in sorted(DOCS.glob("how-to/*.md")) for line in shell_lines(page)]
HERE = {
    "air-gap.md": (
        "sha256sum hello-1.2.0-linux-64.tar",
        "tar -xf hello-1.2.0-linux-64.tar",
        "cd hello-1.2.0-linux-64",
        "sha256sum --strict -c SHA256SUMS",
    ),
    "elixir.md": ("conda-bundler init --from elixir visits",),
    "notebook-server.md": ("conda-bundler init --from jupyter notebooks",),
    "private-channels.md": ("conda-bundler lock", "conda-bundler build --offline"),
    "sign.md": (
        "ssh-keygen -t ed25519 -f release_key -C release@example.org",
        "conda-bundler sign --key release_key dist/hello-0.1.0-linux-64.tar",
        "conda-bundler verify --allowed-signers allowed_signers dist/hello-0.1.0-linux-64.tar",
        (
            "ssh-keygen -Y verify -f allowed_signers -I release@example.org -n conda-bundler "
            "-s hello-0.1.0-linux-64.tar.statement.sig < hello-0.1.0-linux-64.tar.statement"
        ),
        "sha256sum --check --ignore-missing hello-0.1.0-linux-64.tar.statement",
        "openssl ecparam -name prime256v1 -genkey -noout -out release.key",
        "openssl pkey -in release.key -pubout -out release@example.org.pem",
        "conda-bundler sign --key openssl:release.key dist/hello-0.1.0-linux-64.tar",
        "head -n 1 hello-0.1.0-linux-64.tar.statement.openssl | openssl base64 -d -A -out signature",
        "openssl dgst -sha256 -verify release@example.org.pem -signature signature hello-0.1.0-linux-64.tar.statement",
    ),
}
"""Commands that the tests below run as they are written."""

ELSEWHERE = {
    "air-gap.md": {
        "less install.sh units/*": "a pager",
        "sh install.sh --check": "a server: tests/e2e/test_tutorial.py",
        "sh install.sh --dry-run": "a server: tests/e2e/test_places.py",
        "sh install.sh": "a server: tests/e2e/test_tutorial.py",
    },
    "elixir.md": {
        "sh install.sh --cookie-file /root/cluster.cookie": "a server: tests/e2e/test_beam.py",
        "echo ERL_DIST_LISTEN=10.0.0.5 >> /etc/visits/visits.env": "two servers: tests/e2e/test_beam.py",
        "/opt/visits/manage restart": "a server: tests/e2e/test_tutorial.py",
        "/opt/visits/manage exec visits visits/bin/visits rpc 'Visits.Release.migrate()'": (
            "a server: tests/e2e/test_beam.py"
        ),
        "/opt/visits/manage exec visits visits/bin/visits remote": "a terminal on a server",
    },
    "gpu-inference.md": {
        "/opt/api/manage status": "a GPU",
        "/opt/api/manage exec api python -c 'import torch; print(torch.cuda.is_available())'": "a GPU",
    },
    "images.md": {
        "sh hello-1.2.0-linux-64/install.sh --root /mnt/image": "an image: tests/e2e/test_places.py",
        "systemd-nspawn --boot --directory /mnt/image": "an image with an operating system",
    },
    "nightly-job.md": {
        "systemctl start report": "a server: tests/e2e/test_services.py",
        "systemctl list-timers report.timer": "a server: tests/e2e/test_services.py",
    },
    "sign.md": {
        'sudo "$(command -v conda-bundler)" smoke dist/hello-0.1.0-linux-64.tar --attest --sign-key release_key': (
            "a machine: tests/e2e/test_smoke_bundle.py"
        ),
        "conda-bundler verify dist/hello-0.1.0-linux-64.tar --rebuild hello --sign-key rebuild_key": (
            "a second build: tests/integration/test_rebuild.py"
        ),
        "install -D -m 0644 allowed_signers /etc/conda-bundler/allowed_signers": (
            "a server: tests/e2e/test_signed_upgrade.py"
        ),
        "install -D -m 0644 release@example.org.pem /etc/conda-bundler/allowed_keys/release@example.org.pem": (
            "a server: tests/integration/test_upgrade_sh.py"
        ),
        "/opt/hello/manage upgrade hello-0.1.1-linux-64.tar": "a server: tests/e2e/test_signed_upgrade.py",
    },
    "troubleshooting.md": {
        "/opt/hello/manage status": "a server: tests/e2e/test_tutorial.py",
        "journalctl -u hello -n 50": "a server: tests/e2e/test_tutorial.py",
        "/opt/hello/manage exec hello python -m hello": "a server: tests/e2e/test_exec.py",
        "/opt/hello/manage support-bundle hello-support.tar.gz": "a server: tests/e2e/test_manage.py",
    },
    "upgrade.md": {
        "conda-bundler diff hello-1.2.0-linux-64.tar hello-1.3.0-linux-64.tar --html update.html": (
            "two bundles: tests/integration/test_report.py"
        ),
        "sh hello-1.3.0-linux-64/install.sh": "a server: tests/e2e/test_upgrade.py",
        "/opt/hello/manage upgrade hello-1.3.0-linux-64.tar": "a server: tests/e2e/test_signed_upgrade.py",
        "/opt/hello/manage releases": "a server: tests/e2e/test_tutorial.py",
        "/opt/hello/manage rollback": "a server: tests/e2e/test_tutorial.py",
        "/opt/hello/manage rotate-secret API_TOKEN": "a server: tests/e2e/test_secrets.py",
        "/opt/hello/manage rotate-secret API_TOKEN --from /root/new-token": "a server: tests/e2e/test_manage.py",
        "/opt/hello/manage verify": "a server: tests/e2e/test_manage.py",
    },
}
"""What a line needs that is not here, and the test that does the same, if there is one. That its commands and options
exist is tested in test_docs.py."""


def _name(line: Line) -> str:
    return line.page.rpartition("/")[2]


def test_each_line_is_run_or_it_is_said_why_not() -> None:
    known = {(page, command) for page, commands in (*HERE.items(), *ELSEWHERE.items()) for command in commands}
    assert known == {(_name(line), re.sub(r"\s+", " ", line.command)) for line in LINES if line.run}
    for command, reason in (item for commands in ELSEWHERE.values() for item in commands.items()):
        if test := re.search(r"tests/\S+\.py", reason):
            there = (CHECKOUT / test[0]).read_text("utf-8")
            if test[0].endswith("/test_tutorial.py"):
                there += (DOCS / "tutorial.md").read_text("utf-8")
            assert [word for word in _words(command) if word not in there] == [], f"{command}: {reason}"


def _words(command: str) -> list[str]:
    """What of manage, and which options, a test of the line has to have."""
    return re.findall(r"manage ([a-z-]+)", command) + re.findall(r" (--[a-z-]+)", command)


@pytest.fixture
def builder(local_channel: Path, tmp_path: Path) -> Builder:
    return Builder(tmp_path, local_channel)


@pytest.mark.parametrize(("page", "name"), [("elixir.md", "visits"), ("notebook-server.md", "notebooks")])
def test_projects_to_start_from(builder: Builder, page: str, name: str) -> None:
    (command,) = HERE[page]
    builder.run(command)
    assert (builder.place / name / "bundle.toml").is_file()


def test_a_build_without_a_network_and_the_checks_before_anything_runs(builder: Builder, tmp_path: Path) -> None:
    builder.run("conda-bundler init hello && cd hello && conda-bundler lock && conda-bundler build")  # fills the cache
    for command in HERE["private-channels.md"]:
        builder.run(command)
    builder.run("conda-bundler build --bundle-version 1.2.0 && cd dist")
    for command in HERE["air-gap.md"]:
        builder.run(command)
    assert builder.place == tmp_path / "hello" / "dist" / "hello-1.2.0-linux-64"
    (builder.place / "install.sh").write_text("changed")
    with pytest.raises(AssertionError, match=r"install\.sh: FAILED|sha256sum"):
        builder.run(HERE["air-gap.md"][-1])


def test_signing(builder: Builder) -> None:
    builder.run("conda-bundler init hello && cd hello && conda-bundler lock && conda-bundler build")
    make_key, sign, verify, look_at_signature, compare, *by_openssl = HERE["sign.md"]
    builder.run(make_key)
    builder.run(sign)
    # As the page says: a name, restrictions, and the public key.
    public = (builder.place / "release_key.pub").read_text()
    (builder.place / "allowed_signers").write_text(f'release@example.org namespaces="conda-bundler" {public}')
    builder.run(verify)
    builder.run("cp allowed_signers dist && cd dist")
    for command in (look_at_signature, compare):
        builder.run(command)
    (builder.place / "allowed_signers").write_text(f'release@example.org namespaces="other" {public}')
    with pytest.raises(AssertionError):
        builder.run(look_at_signature)
    builder.run("cd ..")
    for command in by_openssl[:3]:
        builder.run(command)
    builder.run("mv release@example.org.pem dist && cd dist")
    for command in by_openssl[3:]:
        builder.run(command)
