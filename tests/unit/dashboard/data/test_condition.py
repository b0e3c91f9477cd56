"""The state of a pipeline and the urgency of an age, by a clock of the test's."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import product

import pytest

from dashboard.data.condition import RED, WORKS, Signs, State, Tone, explained, state_of, tone

_NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
_INTERVAL = 60.0
_FRESH, _AMBER, _RED = 179, 181, 901


def _ago(seconds: float | None) -> datetime | None:
    return None if seconds is None else _NOW - timedelta(seconds=seconds)


def _signs(
    newest: float | None, worked: float | None, looked: float | None, written: float | None, fault: bool
) -> Signs:
    told = "It is away." if fault else None
    return Signs(_INTERVAL, _ago(newest), _ago(worked), _ago(looked), _ago(written), told)


# Ages in seconds: the newest result, the last good batch, the last look, the metrics file; a fault.
@pytest.mark.parametrize(
    ("ages", "state"),
    [
        ((None, None, None, None, False), "not started"),
        ((None, None, None, None, True), "unknown"),
        # Results say it alone, also where no file is readable.
        ((_FRESH, None, None, None, False), "running"),
        ((_AMBER, None, None, None, False), "unknown"),
        ((_RED, None, None, None, False), "unknown"),
        ((None, _FRESH, None, None, True), "running"),
        ((_RED, _FRESH, None, None, False), "running"),
        # A database that is away leaves what was read of it last.
        ((_FRESH, _RED, _RED, _RED, True), "running"),
        ((_RED, _RED, _FRESH, _FRESH, False), "waiting"),
        ((None, None, _FRESH, None, False), "waiting"),
        ((_AMBER, _AMBER, _AMBER, _AMBER, False), "stale"),
        ((_RED, _AMBER, _RED, _FRESH, False), "stale"),
        # Batches that fail write the metrics file, and nothing else.
        ((_RED, _RED, _RED, 1, False), "stopped"),
        ((None, None, _RED, None, True), "stopped"),
        # It has just been started, or never came further.
        ((None, None, None, _FRESH, False), "waiting"),
        ((None, None, None, _AMBER, False), "stale"),
        ((None, None, None, _RED, False), "stopped"),
    ],
)
def test_each_combination_of_signs_has_its_state(ages: tuple[float | None, ...], state: State) -> None:
    """The newest of what says that something succeeded decides."""
    assert state_of(_signs(*ages), _NOW) == state  # type: ignore[arg-type]


def test_time_makes_no_pipeline_healthier() -> None:
    """Of whatever signs: works → stale → stopped, and never back; each state has a sentence."""
    ranks = {"running": 0, "waiting": 1, "stale": 2, "stopped": 3, "unknown": 3, "not started": 0}
    for ages in product((None, 0, _FRESH, _RED), repeat=4):
        for fault in (False, True):
            signs = _signs(*ages, fault)  # type: ignore[call-arg, arg-type]
            states = [state_of(signs, _NOW + timedelta(seconds=later)) for later in range(0, 1_000, 60)]
            assert sorted(states, key=ranks.__getitem__) == states, signs
            assert all(explained(state) for state in states)
    assert set(WORKS) < ranks.keys()


@pytest.mark.parametrize(
    ("interval", "seconds", "expected"),
    [
        (60, 180, "fresh"),
        (60, 181, "amber"),
        (60, 900, "amber"),
        (60, 901, "red"),
        # A page shows what was read up to half a minute ago, also of a quick stream.
        (3, 60, "fresh"),
        (3, 61, "amber"),
        # No interval is so long that an hour is not red.
        (3_600, 900, "fresh"),
        (3_600, 901, "red"),
        # The writer's clock is ahead.
        (60, -5, "fresh"),
    ],
)
def test_an_age_is_amber_above_three_intervals_and_red_above_a_quarter(
    interval: float, seconds: float, expected: Tone
) -> None:
    """Three intervals are at least a minute."""
    assert tone(_NOW - timedelta(seconds=seconds), interval, _NOW) == expected
    assert timedelta(minutes=15) == RED
