"""The smaller tables of bundle.toml: ``[secrets]``, ``[release]`` (Erlang nodes), ``[channels]`` and ``[lock]``."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bundler.config.fields import Line, Model
from bundler.cooldown import parse_age
from bundler.errors import without_credentials
from bundler.fetch.channels import LONGEST_READ, MOST_RETRIES, Access, Priority, has_secret
from bundler.fetch.secrets import is_http_url

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ChannelsTable", "LockTable", "ReleaseTable", "Secret", "SecretForm"]


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret's name, how the server generates it, and how services get it.

    ``bytes`` is how many are read from the kernel's random source, ``length`` is the number of characters of its value
    (0: the hexadecimal digits of ``bytes``).
    """

    name: str
    bytes: int
    format: str
    length: int = 0
    delivery: str = "environment"

    @property
    def characters(self) -> int:
        return self.length or self.bytes * 2


_BITS = {"hex": 4.0, "base32": 5.0, "base64url": 6.0, "alphanumeric": math.log2(62)}
"""Bits of randomness per character of each format."""
_ENOUGH = 128
"""The minimum number of random bits of a secret."""


class SecretForm(Model):
    """How a secret is generated on the server, and how services get it.

    It consists of ``bytes`` random bytes, encoded without padding (for ``alphanumeric``: so many characters as have the
    same randomness), or of ``length`` random characters.
    """

    format: Literal["hex", "base32", "base64url", "alphanumeric"] = "hex"
    """The encoding of the random bytes, without padding."""
    bytes: Annotated[int, Field(ge=16, le=1024)] | None = None
    """The number of random bytes; default: 32. Mutually exclusive with ``length``."""
    length: Annotated[int, Field(le=4096)] | None = None
    """The number of random characters, instead of ``bytes``; together at least 128 bits."""
    delivery: Literal["environment", "credential"] = "environment"
    """How services get it: as an environment variable, or as a file (systemd's LoadCredential)."""

    @model_validator(mode="after")
    def _is_enough(self) -> Self:
        if self.bytes is not None and self.length is not None:
            raise ValueError("bytes and length are mutually exclusive")
        least = math.ceil(_ENOUGH / _BITS[self.format])
        if self.length is not None and self.length < least:
            raise ValueError(f"{self.length} characters of {self.format} are too short; minimum {least}")
        return self

    def named(self, name: str) -> Secret:
        """The secret of this form."""
        bits = _BITS[self.format]
        size = 32 if self.bytes is None else self.bytes
        length = math.ceil(size * 8 / bits) if self.length is None else self.length
        if self.format == "alphanumeric":
            size = length  # each character is chosen separately
        elif self.length is not None:
            size = math.ceil(length * bits / 8)
        return Secret(name=name, bytes=size, format=self.format, length=length, delivery=self.delivery)


def _address(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        raise ValueError("not an IPv4 address; write one such as 127.0.0.1, or 0.0.0.0 for all addresses") from None


class ReleaseTable(Model):
    """How Erlang nodes of ``beam`` services are distributed: without epmd, on one address and port."""

    distribution: Literal["none", "sname", "name"] = "none"
    """Whether nodes are distributed, and whether their names are short (``sname``) or full (``name``)."""
    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    """The IPv4 address that nodes listen on; ``0.0.0.0`` for all addresses."""
    port: Annotated[int, Field(ge=1024, le=65535)] = 4370
    """The port of all nodes of a cluster, which has to be the same, since there is no epmd."""


def _channel_address(value: str) -> str:
    if not (value.startswith("file:///") or is_http_url(value)):
        raise ValueError(f"{without_credentials(value)!r} is not a URL; write https://…, http://… or file:///…")
    if has_secret(value):
        raise ValueError(
            "the URL contains a password, token or query; use an environment variable instead "
            "(https://${TOKEN}@…), or store the credentials in netrc, the keyring or rattler's auth file"
        )
    return value.rstrip("/")


_ChannelAddress = Annotated[str, AfterValidator(_channel_address)]
_ChannelAddresses = Annotated[tuple[_ChannelAddress, ...], Field(min_length=1)]


def _age(value: str) -> str:
    parse_age(value)
    return value


def _place(value: str) -> str:
    if has_secret(value):
        raise ValueError("the URL contains a password, token or query; remove it")
    return value.rstrip("/")


_Age = Annotated[str, AfterValidator(_age)]
_Place = Annotated[Line, Field(min_length=1), AfterValidator(_place)]


class LockTable(Model):
    """Which packages may be locked."""

    exclude_newer: _Age | dict[_Place, _Age | Literal[False]] | None = None
    """An age (``14d``, ``2w``, ``36h``) or a date; packages that were uploaded later are not used. Or a table of ages,
    dates or false, by the names or URLs of channels and indexes; ``default`` is for all others."""


class ChannelsTable(Model):
    """How the environment's channels are accessed."""

    mirrors: dict[_ChannelAddress, Annotated[tuple[_ChannelAddress, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Mirrors that replace URLs with this prefix, in order of preference; the lockfile keeps the channel's own URLs."""
    default: Line = "conda-forge"
    """The channel for environment files without channels."""
    priority: Priority = Access.priority
    """``strict``: a package is taken from the first channel that has it in any version; ``flexible``: if possible."""
    relations: bool = False
    """Whether packages may also come from related channels, which channels name in their repodata (CEP 42)."""
    retries: Annotated[int, Field(ge=0, le=MOST_RETRIES)] = Access.retries
    """How often a failed download is retried."""
    read_timeout: Annotated[float, Field(gt=0, le=LONGEST_READ)] = Access.read_timeout
    """Seconds without data after which a download is aborted."""

    def access(self, *, offline: bool = False) -> Access:
        return Access(
            mirrors=tuple(self.mirrors.items()),
            priority=self.priority,
            retries=self.retries,
            read_timeout=self.read_timeout,
            offline=offline,
        )
