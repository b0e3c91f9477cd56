"""The memory between pages and servers: fresh, kept while reading fails, asked once, bounded."""

from __future__ import annotations

from datetime import datetime, timezone
from threading import Barrier, Thread

import pytest

from dashboard.data.remembered import Remembered
from tests.support.clock import Clock


class _Server:
    """Answers with the number of the question; `down` makes it fail."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = False
        self.memory = Remembered(lambda error: f"away: {error}", (OSError,))

    def read(self) -> int:
        self.asked += 1
        if self.down:
            raise OSError("no route")
        return self.asked


def test_a_value_is_read_again_when_it_is_old(clock: Clock) -> None:
    """Within the age that the caller allows nothing is asked; afterwards once."""
    server = _Server()
    assert server.memory.get("k", server.read, 30).value == 1
    clock.seconds += 29
    assert server.memory.get("k", server.read, 30).value == 1
    clock.seconds += 1
    assert server.memory.get("k", server.read, 30).value == 2


def test_the_last_value_stays_with_its_age_while_reading_fails(clock: Clock) -> None:
    """The value, when it was read, and why it is not newer; the fault goes with the first success."""
    server = _Server()
    first = server.memory.get("k", server.read, 30)
    clock.seconds += 60
    server.down = True
    kept = server.memory.get("k", server.read, 30)
    assert (kept.value, kept.as_of, kept.fault) == (1, first.as_of, "away: no route")
    clock.seconds += 60
    server.down = False
    back = server.memory.get("k", server.read, 30)
    assert back.fault is None
    assert first.as_of
    assert back.as_of
    assert first.as_of < back.as_of <= datetime.now(timezone.utc)


def test_nothing_read_yet_is_no_value_and_a_fault() -> None:
    """A dashboard started while the server is away has nothing to show, and says why."""
    server = _Server()
    server.down = True
    loaded = server.memory.get("k", server.read, 30)
    assert (loaded.value, loaded.as_of, loaded.fault) == (None, None, "away: no route")


def test_a_server_that_is_away_is_asked_once_in_a_while(clock: Clock) -> None:
    """All parts of a page share one time-out; the next try comes five seconds later."""
    server = _Server()
    server.down = True
    for key in "abc":
        assert server.memory.get(key, server.read, 30).fault
    assert server.asked == 1
    clock.seconds += 5
    server.memory.get("a", server.read, 30)
    assert server.asked == 2


def test_errors_that_nobody_expects_are_raised() -> None:
    """A bug must not look like a server that is away."""
    with pytest.raises(ZeroDivisionError):
        _Server().memory.get("k", lambda: 1 // 0, 30)


def test_many_readers_ask_once() -> None:
    """Twenty pages opened at the same moment cost one read."""
    server = _Server()
    together = Barrier(20)

    def page() -> None:
        together.wait()
        server.memory.get("k", server.read, 30)

    pages = [Thread(target=page) for _ in range(20)]
    for thread in pages:
        thread.start()
    for thread in pages:
        thread.join()
    assert server.asked == 1


def test_the_memory_is_bounded() -> None:
    """Of many users looked at, the ones longest not read are forgotten."""
    server = _Server()
    for number in range(500):
        server.memory.get(str(number), server.read, 30)
    server.memory.get("499", server.read, 30)
    assert server.asked == 500
    server.memory.get("0", server.read, 30)
    assert server.asked == 501
