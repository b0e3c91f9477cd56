"""The breaker: opens after failures in a row, probes once after a time, closes when the probe succeeds."""

from __future__ import annotations

from sinks.health.circuit_breaker import CircuitBreaker


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """A success between them starts the count again."""
    breaker = CircuitBreaker(failures=3)
    for outcome in "ff.ff":
        breaker.failed() if outcome == "f" else breaker.succeeded()
        assert not breaker.is_open
        assert breaker.wait_seconds() == 0
    breaker.failed()
    assert breaker.is_open


def test_one_probe_after_the_time_decides() -> None:
    """A probe that fails opens it for the whole time again; one that succeeds closes it."""
    now = Time()
    breaker = CircuitBreaker(failures=2, open_seconds=30, monotonic=now)
    breaker.failed()
    breaker.failed()
    now.seconds += 29
    assert breaker.wait_seconds() == 1
    now.seconds += 1
    assert breaker.wait_seconds() == 0
    assert breaker.is_open
    breaker.failed()
    assert breaker.wait_seconds() == 30
    now.seconds += 31
    breaker.succeeded()
    assert not breaker.is_open
    breaker.failed()
    assert not breaker.is_open
