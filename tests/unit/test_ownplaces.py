"""Which directories of a service's systemd makes, and which the service's user makes itself."""

from __future__ import annotations

import pytest

from bundler.units.ownplaces import made_by_itself, nested

STATE = ("StateDirectory", "hello")
INSIDE = ("WorkingDirectory", "/var/lib/hello/a/b")
START = ("ExecStart", "/opt/x serve")
SECRET = ("LoadCredential", "KEY:/etc/hello/credentials/KEY")
MADE = '/bin/sh -c "mkdir -p \\"$$0\\" && cd \\"$$0\\" && unset PWD OLDPWD && exec \\"$$@\\"" /var/lib/hello/a/b'


def test_what_is_inside_another() -> None:
    assert nested(("a", "a/b", "ab", "c/d", "/a/e/")) == ("a/b", "a/e")


def test_a_service_without_such_directories_stays_as_it_is() -> None:
    for lines in (
        (STATE, START),
        (STATE, ("WorkingDirectory", "/var/lib/hello"), START),
        (STATE, ("WorkingDirectory", "/var/lib/hello2/a"), START),
        (("StateDirectory", "hello other/x"), START),
    ):
        assert made_by_itself(lines) == lines


def test_systemd_makes_nothing_in_what_is_the_services() -> None:
    made = made_by_itself((("StateDirectory", "hello hello/a hello/b"), ("CacheDirectory", "hello/a"), START))
    assert made == (
        ("StateDirectory", "hello"),
        ("CacheDirectory", "hello/a"),  # no other is above it
        ("ExecStartPre", "/bin/mkdir -p /var/lib/hello/a /var/lib/hello/b"),
        START,
    )


def test_the_working_directory_is_made_before_the_first_program() -> None:
    before = ("ExecStartPre", "/opt/x prepare")
    assert made_by_itself((STATE, INSIDE, before, START)) == (
        STATE,
        ("WorkingDirectory", "-/var/lib/hello/a/b"),
        ("ExecStartPre", "/bin/mkdir -p /var/lib/hello/a/b"),
        before,
        START,
    )


@pytest.mark.parametrize(
    ("command", "wrapped"),
    [
        ("/opt/x serve", f"{MADE} /opt/x serve"),
        ("-/opt/x serve", f"-{MADE} /opt/x serve"),
        (":/opt/x $y", f":{MADE.replace('$$', '$')} /opt/x $y"),
        *((same, same) for same in ("+/opt/x", "-+/opt/x", "!/opt/x", "!!/opt/x", "@/opt/x y", "|/opt/x", "/x ; /y")),
    ],
)
@pytest.mark.parametrize("directive", ["ExecStart", "ExecStartPre"])
def test_with_credentials_each_program_makes_it(directive: str, command: str, wrapped: str) -> None:
    """systemd 247 starts no second program of such a unit; root makes nothing in a directory of the service's."""
    made = made_by_itself((STATE, INSIDE, SECRET, (directive, command)))
    assert made == (STATE, ("WorkingDirectory", "-/var/lib/hello/a/b"), SECRET, (directive, wrapped))
