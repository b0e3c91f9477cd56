"""Live and ready: what counts as progress and what as fresh; a long batch is neither stalled nor stale."""

from __future__ import annotations

from monitoring.run_state import STALL_SECONDS, RunState
from tests.unit.sinks.health.test_circuit_breaker import Time


def state_at(now: Time) -> RunState:
    """A run that has just begun."""
    return RunState(10.0, now)


def test_not_ready_before_the_first_success() -> None:
    """Live already, and the reason says what is missing."""
    now = Time()
    state = state_at(now)
    assert state.stall_reasons() == []
    assert state.stale_reasons() == ["no batch has succeeded yet"]
    state.begin()
    state.end(succeeded=True)
    assert state.stale_reasons() == []


def test_stale_after_three_intervals_without_success() -> None:
    """Failed batches do not help, and are counted."""
    now = Time()
    state = state_at(now)
    state.begin()
    state.end(succeeded=True)
    for _ in range(3):
        now.seconds += 10
        assert state.stale_reasons() == []
        state.begin()
        state.end(succeeded=False)
    now.seconds += 1
    assert state.stale_reasons() == [
        "no batch succeeded for 31 s, allowed are 30 s",
        "the last 3 batches failed; the log says why",
    ]
    state.begin()
    state.end(succeeded=True)
    assert state.stale_reasons() == []


def test_a_long_batch_is_not_stale_while_it_runs() -> None:
    """Only the time between batches counts; whether it moves is another question."""
    now = Time()
    state = state_at(now)
    state.begin()
    state.end(succeeded=True)
    now.seconds += 10
    state.begin()
    now.seconds += 300
    assert state.stale_reasons() == []
    assert state.stall_reasons() == []


def test_stalled_when_nothing_moves() -> None:
    """Each piece of a batch, and each trigger, is progress."""
    now = Time()
    state = state_at(now)
    state.begin()
    now.seconds += STALL_SECONDS
    state.progress()
    now.seconds += STALL_SECONDS + 10
    assert state.stall_reasons() == []
    now.seconds += 1
    assert state.stall_reasons() == ["no progress for 611 s, allowed are 610 s"]
    state.end(succeeded=False)
    assert state.stall_reasons() == []
    now.seconds += STALL_SECONDS + 11
    assert state.stall_reasons() != []
