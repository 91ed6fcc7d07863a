"""The catalogue of messages, tests/unit/messages.txt: a change of words is seen in it."""

from __future__ import annotations

from messages import CATALOGUE, catalogue, of_shell

_SCRIPT = r"""
# say 'a comment is no message'
misuse() { die 2 "$1" "See: $HELP"; }
cannot_start() { unhealthy "$1" 'it did not start'; }
check() { # that "this is a comment"
    case $1 in
        *" "*) misuse "not the name of a service: $1" ;;
        *) [ -n "$1" ] || misuse 'a name is required' # the user's own, not "made by us"
    esac
    problem "$ROOT is missing" \
        "Create it: mkdir $(printf '%s\n' "$ROOT")."
    claim "unit $UNIT_DIR/$1"
    reason='it is not up yet'
    wait_for "$reason" || "$sink" 'nothing answered in time'
}
usage() {
    cat <<EOF
Usage: check NAME
The name of a service.
EOF
}
"""


def test_the_catalogue_is_up_to_date() -> None:
    assert CATALOGUE.read_text(encoding="utf-8").splitlines() == catalogue().splitlines(), "run: make messages"


def test_messages_that_reach_die_through_other_functions_are_found() -> None:
    functions = ["misuse", "cannot_start", "check", "unhealthy", "claim"]
    assert [(one.kind, one.text) for one in of_shell("check.sh", _SCRIPT, functions)] == [
        ("remedy", "See: $HELP"),
        ("unhealthy", "it did not start"),
        ("misuse", "not the name of a service: $1"),
        ("misuse", "a name is required"),
        ("problem", "$ROOT is missing"),
        ("remedy", "Create it: mkdir $(printf '%s\\n' \"$ROOT\")."),
        ("text", "it is not up yet"),
        ("$sink", "nothing answered in time"),
        ("cat", "Usage: check NAME"),
        ("cat", "The name of a service."),
    ]
