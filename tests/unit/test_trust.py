from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bundler.fetch import trust
from bundler.fetch.trust import adopt_certificates, certificate_hint, proxy_hint
from bundler.lock.solver.explain import explain_channel

if TYPE_CHECKING:
    from pathlib import Path

ALL = ("SSL_CERT_FILE", "SSL_CERT_DIR", *trust._OTHERS)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALL:
        monkeypatch.setenv(name, "")  # set first, so that what is adopted goes with the test
        monkeypatch.delenv(name)
    monkeypatch.setattr(trust, "_ADOPTED", {})


@pytest.mark.parametrize(
    "name",
    [
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "PIP_CERT",
        "CONDA_SSL_VERIFY",
        "NIX_SSL_CERT_FILE",
        "GIT_SSL_CAINFO",
        "AWS_CA_BUNDLE",
        "CARGO_HTTP_CAINFO",
    ],
)
def test_what_others_read_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv(name, str(tmp_path / "ca.pem"))
    adopt_certificates()
    assert os.environ["SSL_CERT_FILE"] == str(tmp_path / "ca.pem")
    assert certificate_hint() == f"the certificate authorities of {name}={tmp_path / 'ca.pem'} are trusted"


def test_a_directory_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    adopt_certificates()
    assert os.environ["SSL_CERT_DIR"] == str(tmp_path)
    assert "SSL_CERT_FILE" not in os.environ


def test_ours_wins_and_the_other_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/gone.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    adopt_certificates()
    assert certificate_hint() == (
        "the certificate authorities of SSL_CERT_FILE=/gone.pem, which does not exist, are trusted; "
        "REQUESTS_CA_BUNDLE is ignored"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONDA_SSL_VERIFY", "false"), ("MAMBA_SSL_VERIFY", "<system>"), ("NODE_EXTRA_CA_CERTS", "/etc/company.pem")],
)
def test_what_is_not_read_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Node's adds to its own authorities, and nothing turns the check off."""
    monkeypatch.setenv(name, value)
    adopt_certificates()
    assert not any(os.environ.get(own) for own in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    assert certificate_hint().endswith(f"to trust others; {name} is ignored")


def test_with_none_the_variables_are_named() -> None:
    adopt_certificates()
    assert "SSL_CERT_FILE or REQUESTS_CA_BUNDLE" in certificate_hint()
    said = explain_channel("error sending request\nCaused by: invalid peer certificate: UnknownIssuer", channel="c")
    assert "SSL_CERT_FILE or REQUESTS_CA_BUNDLE" in said


def test_the_proxys_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert proxy_hint("https") == ""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert proxy_hint("https") == "set by ALL_PROXY"
