"""Live and ready: what counts as progress and what as fresh; a long batch is neither stalled nor stale."""

from __future__ import annotations

import pytest

from monitoring import run_state
from monitoring.run_state import STALL_SECONDS, RunState
from tests.support.clock import Clock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """When it is."""
    return Clock(monkeypatch, run_state)


@pytest.fixture
def state(now: Clock) -> RunState:
    """A run that has just begun."""
    return RunState(10.0)


def test_not_ready_before_the_first_success(state: RunState) -> None:
    """Live already, and the reason says what is missing."""
    assert state.stall_reasons() == []
    assert state.stale_reasons() == ["no batch has succeeded yet"]
    state.begin()
    state.end(succeeded=True)
    assert state.stale_reasons() == []


def test_stale_after_three_intervals_without_success(state: RunState, now: Clock) -> None:
    """Failed batches do not help, and are counted."""
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


def test_a_long_batch_is_not_stale_while_it_runs(state: RunState, now: Clock) -> None:
    """Only the time between batches counts; whether it moves is another question."""
    state.begin()
    state.end(succeeded=True)
    now.seconds += 10
    state.begin()
    now.seconds += 300
    assert state.stale_reasons() == []
    assert state.stall_reasons() == []


def test_stalled_when_nothing_moves(state: RunState, now: Clock) -> None:
    """Each piece of a batch, and each trigger, is progress."""
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


def test_signs_of_work_are_progress(state: RunState, now: Clock) -> None:
    """Tasks of Spark that end, or a server that is at work: a batch of hours is no standstill."""
    done = [0]
    state.watch(lambda: done[0])
    state.begin()
    for _ in range(100):
        now.seconds += 60
        done[0] += 1
        assert state.stall_reasons() == []
    now.seconds += STALL_SECONDS + 11
    assert state.stall_reasons()


def test_a_sign_that_cannot_be_read_is_none(state: RunState, now: Clock) -> None:
    """Java may have ended."""
    state.watch(lambda: 0)
    state._sign = lambda: 1 / 0
    now.seconds += STALL_SECONDS + 11
    assert state.stall_reasons()
