"""A request is ended when too little comes of it, and not before; the clock is the test's."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from bundler.fetch import pace

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """A timer that goes off when the test says so."""

    def __init__(self, seconds: float, look: Callable[[], None]) -> None:
        self.seconds, self.go_off = seconds, look
        self.running = False
        ALARMS.append(self)

    def start(self) -> None:
        self.running = True

    def cancel(self) -> None:
        self.running = False


ALARMS: list[Alarm] = []


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ALARMS.clear()
    monkeypatch.setattr(pace, "Timer", Alarm)


def is_open(server: socket.socket) -> bool:
    server.setblocking(False)
    try:
        return server.recv(1) != b""
    except BlockingIOError:
        return True


@pytest.mark.parametrize(("read_timeout", "seconds"), [(30, 120), (600, 1200)])
def test_enough_has_to_come_in_every_window(read_timeout: float, seconds: float) -> None:
    client, server = socket.socketpair()
    with client, server, pace.Attempt(read_timeout=read_timeout) as attempt:
        attempt.uses(client)
        for _ in range(3):
            attempt.came(int(seconds) * pace.LEAST)
            ALARMS[-1].go_off()
            assert not attempt.is_slow
            assert is_open(server)
        attempt.came(int(seconds) * pace.LEAST - 1)
        ALARMS[-1].go_off()
        assert attempt.is_slow
        assert not is_open(server)
    assert [alarm.seconds for alarm in ALARMS] == [seconds] * 4


def test_what_follows_a_redirect_is_the_same_request() -> None:
    first, second = socket.socketpair(), socket.socketpair()
    with first[0], first[1], second[0], second[1], pace.Attempt(read_timeout=30) as attempt:
        attempt.uses(first[0])
        attempt.uses(second[0])
        ALARMS[0].go_off()
        assert is_open(first[1])
        assert not is_open(second[1])
    assert len(ALARMS) == 1


def test_a_connection_that_comes_after_the_end_is_shut() -> None:
    client, server = socket.socketpair()
    with client, server, pace.Attempt(read_timeout=30) as attempt:
        attempt.end()
        attempt.uses(client)
        assert not is_open(server)
    assert not ALARMS[0].running


def test_an_alarm_that_comes_late_ends_nothing() -> None:
    client, server = socket.socketpair()
    with client, server:
        with pace.Attempt(read_timeout=30) as attempt:
            attempt.uses(client)
        ALARMS[0].go_off()
        assert not attempt.is_slow
        assert is_open(server)
