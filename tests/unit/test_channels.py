"""Which address stands for which."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError
from bundler.fetch.channels import Access, has_secret, public_url, variables_of, with_variables, written_out
from bundler.fetch.credentials import own_request

ACCESS = Access(
    mirrors=(
        ("https://127.0.0.1/conda", ("https://127.0.0.2/all",)),
        ("https://127.0.0.1/conda/forge", ("file:///srv/forge", "https://127.0.0.1/conda/forge")),
    )
)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://127.0.0.1/conda/main/noarch/a.conda", ["https://127.0.0.2/all/main/noarch/a.conda"]),
        ("https://127.0.0.1/conda", ["https://127.0.0.2/all"]),
        ("https://127.0.0.1/condaforge/a", ["https://127.0.0.1/condaforge/a"]),
        ("http://127.0.0.1/conda/a", ["http://127.0.0.1/conda/a"]),
        ("https://127.0.0.1/conda/forge/a", ["file:///srv/forge/a", "https://127.0.0.1/conda/forge/a"]),
        (
            "https://${U}:${P}@127.0.0.1/t/$T/conda/forge/a",
            ["file:///srv/forge/a", "https://${U}:${P}@127.0.0.1/t/$T/conda/forge/a"],
        ),
        ("https://${U}:${P}@127.0.0.1/conda/main/a", ["https://127.0.0.2/all/main/a"]),
    ],
)
def test_the_longest_beginning_decides_and_no_mirror_gets_a_password(url: str, asked: list[str]) -> None:
    base = "https://127.0.0.1/conda/forge"
    own = [base + "/a" if item.endswith("/conda/forge/a") and "${U}" not in url else item for item in asked]
    assert list(ACCESS.addresses(url)) == own


@pytest.mark.parametrize(
    ("url", "public", "secret"),
    [
        ("https://me:word@127.0.0.1/c", "https://127.0.0.1/c", True),
        ("https://${U}:${P}@127.0.0.1/c", "https://127.0.0.1/c", False),
        ("https://127.0.0.1/t/word/c", "https://127.0.0.1/c", True),
        ("https://127.0.0.1/t/$T/c", "https://127.0.0.1/c", False),
        ("https://127.0.0.1/t", "https://127.0.0.1/t", False),
        ("file:///home/t/word/c", "file:///home/t/word/c", False),
        ("conda-forge", "conda-forge", False),
    ],
)
def test_what_of_a_url_is_secret(url: str, public: str, secret: bool) -> None:
    assert public_url(url) == public
    assert has_secret(url) is secret


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_WORD", "p@ss")
    assert with_variables("https://${CHANNEL_WORD}/$CHANNEL_WORD", where="x") == "https://p@ss/p@ss"
    with pytest.raises(ConfigError, match="CHANNEL_ELSE, which is not set") as caught:
        with_variables("https://${CHANNEL_ELSE}", where="package x")
    assert caught.value.where == "package x"
    assert "Set CHANNEL_ELSE" in str(caught.value.remedy)
    with pytest.raises(ConfigError, match="CHANNEL_ELSE, which is not set"):
        variables_of("https://${CHANNEL_WORD}@127.0.0.1/$CHANNEL_ELSE", where="x")
    assert variables_of("https://${CHANNEL_WORD}@127.0.0.1/$CHANNEL_WORD", where="x") == {"CHANNEL_WORD": "p@ss"}
    assert variables_of("https://127.0.0.1/c", where="x") == {}
    with pytest.raises(ConfigError, match="ord, which is not set") as caught:
        variables_of("https://me:pass$ord@127.0.0.1", where="x")
    assert "pass" not in caught.value.format_message(), "a password may have such a sign in it"


def test_who_wrote_a_password_out_is_not_told_it_again() -> None:
    said = written_out(
        "https://me:word@127.0.0.1:8443/t/word/c", of="a channel", where="environment.yml"
    ).format_message()
    assert "the URL of a channel on https://127.0.0.1, and" in said
    assert "word@" not in said
    assert "/t/word" not in said


def test_a_user_in_a_url_becomes_a_header() -> None:
    request = own_request("https://me:a%40b@127.0.0.1:8443/c?d")
    assert (request.url, request.authorization) == ("https://127.0.0.1:8443/c?d", "Basic bWU6YUBi")
    assert own_request("https://127.0.0.1/c").authorization is None
