"""Which address stands for which."""

from __future__ import annotations

import pytest

from bundler.errors import ConfigError, without_credentials
from bundler.fetch.channels import Access, has_secret, public_url, server_of, variables_of, with_variables, written_out
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
        ("https://word@127.0.0.1/c", "https://127.0.0.1/c", True),
        ("https://word:@127.0.0.1/c", "https://127.0.0.1/c", True),
        ("HTTPS://word@127.0.0.1/c", "HTTPS://127.0.0.1/c", True),
        ("https://me:a$b@127.0.0.1/c", "https://127.0.0.1/c", True),
        ("https://a@b@127.0.0.1/c", "https://127.0.0.1/c", True),
        ("https://$T@127.0.0.1/c", "https://127.0.0.1/c", False),
        ("https://${A}$B:@127.0.0.1/c", "https://127.0.0.1/c", False),
        ("https://me:$P@127.0.0.1/c", "https://127.0.0.1/c", False),
        ("https://127.0.0.1/c?sig=word", "https://127.0.0.1/c", True),
        ("https://127.0.0.1/c?sig=$T", "https://127.0.0.1/c", True),
        ("https://127.0.0.1?word", "https://127.0.0.1", True),
        ("https://127.0.0.1/t", "https://127.0.0.1/t", False),
        ("file:///home/t/word/c", "file:///home/t/word/c", False),
        ("conda-forge", "conda-forge", False),
    ],
)
def test_what_of_a_url_is_secret(url: str, public: str, secret: bool) -> None:
    assert public_url(url) == public
    assert has_secret(url) is secret


@pytest.mark.parametrize(
    ("own", "url", "filled"),
    [
        (
            "https://$USED@127.0.0.1/c",
            "https://${USED}@127.0.0.1/c/noarch/a.conda",
            "https://word@127.0.0.1/c/noarch/a.conda",
        ),
        ("https://127.0.0.1/t/${USED}/c", "https://127.0.0.1/t/${USED}/c/a", "https://127.0.0.1/t/word/c/a"),
        ("https://127.0.0.1/$USED/simple", "https://127.0.0.1/$USED/files/a", "https://127.0.0.1/word/files/a"),
        ("conda-forge", "https://127.0.0.1/c/a", "https://127.0.0.1/c/a"),
        ("https://$USED@127.0.0.1/c", "https://127.0.0.1/c/a-1-$USED.conda", None),
        ("https://$USED@127.0.0.1/c", "https://$USED@127.0.0.1/c/$USED/a", None),
        ("https://$USED@127.0.0.1/c", "https://$USED@127.0.0.1:8000/c/a", None),
        ("https://$USED@127.0.0.1/c", "http://$USED@127.0.0.1/c/a", None),
        ("https://$USED@127.0.0.1", "https://$USED@127.0.0.1.example.org/c/a", None),
        ("https://$OTHER@127.0.0.1/c", "https://$USED@127.0.0.1/c/a", None),
        ("https://127.0.0.1/$USED", "https://127.0.0.1/${USED}b/c/a", None),
        ("https://127.0.0.1/c", "https://127.0.0.1/c/$USED/a", None),
    ],
)
def test_only_what_the_user_names_is_sent(
    own: str, url: str, filled: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who writes a channel or a lockfile learns a variable of the build machine by its name."""
    monkeypatch.setenv("USED", "word")
    mirrored = Access(mirrors=(("https://127.0.0.9", (own,)),))
    for access in (Access(own=(own,)), mirrored):
        if filled:
            assert access.filled(url, where="x") == filled
            continue
        with pytest.raises(ConfigError, match="contains an environment variable") as caught:
            access.filled(url, where="package a")
        assert caught.value.where == "package a"
        assert "word" not in caught.value.format_message()


def test_a_server_is_scheme_host_and_port() -> None:
    access = Access(own=("https://$T@h.example/c", "http://h.example:8080/c"), mirrors=(("https://m", ("http://m",)),))
    assert access.servers == {
        "https://h.example:443",
        "http://h.example:8080",
        "https://m:443",
        "http://m:80",
    }
    assert server_of("HTTPS://u@[::1]:8/c") == "https://[::1]:8"
    assert server_of("file:///c") == ""


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


def test_who_wrote_a_password_out_is_not_told_it_again() -> None:
    said = written_out(
        "https://me:word@127.0.0.1:8443/t/word/c", of="a channel", where="environment.yml"
    ).format_message()
    assert "the URL of a channel on https://127.0.0.1 contains" in said
    assert "word@" not in said
    assert "/t/word" not in said
    for url in ("https://word@127.0.0.1/c", "https://127.0.0.1/c?sig=word"):
        said = written_out(url, of="a channel", where="environment.yml").format_message()
        assert "the URL of a channel on https://127.0.0.1 " in said.replace(",", " ")
        assert "word" not in said.replace("password", "")


def test_messages_have_no_secret() -> None:
    said = without_credentials(
        "https://word@h/c, https://me:word@h/t/word/c?sig=word&x=word) or http://h?word, 'https://a:w@word@h/c'"
    )
    assert said == "https://…@h/c, https://…@h/t/…/c?…) or http://h?…, 'https://…@h/c'"


def test_a_user_in_a_url_becomes_a_header() -> None:
    request = own_request("https://me:a%40b@127.0.0.1:8443/c?d")
    assert (request.url, request.authorization) == ("https://127.0.0.1:8443/c?d", "Basic bWU6YUBi")
    assert own_request("https://127.0.0.1/c").authorization is None
