"""What is new about a person's metric, and that nothing is new twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.health.plain import runs
from analytics.health.transitions import NEWS_DAYS, Figures, Known, Transition, silence, transitions
from contracts.effects import LeastEffect
from contracts.health_metrics import METRICS
from tests.support.catalogues import catalogue

_TODAY = 20_000
# Small numbers, so that each rule is reached.
_RULES = "[steps]\ntell_anomalies_from = low\ntell_streaks = 3, 5\ntell_silent_days = 4\n"
_ANY = LeastEffect(0, True)
_NOTHING = Known()
_USUAL = (5_000.0, 5_100.0, 4_900.0)


def _figures(values: Mapping[int, float]) -> Figures:
    """Of `values` by the age of their day."""
    series = {_TODAY - age: value for age, value in sorted(values.items(), reverse=True)}
    found = runs(series, METRICS["steps"].streak)
    last = max(series, default=0)
    return Figures(series, found[-1][1] if found and sum(found[-1]) == last + 1 else 0)


def _usual(ages: Sequence[int]) -> dict[int, float]:
    return {age: _USUAL[age % 3] for age in ages}


def _look(
    values: Mapping[int, float], known: Known = _NOTHING, today: int = _TODAY
) -> tuple[list[Transition], Known]:
    with catalogue(_RULES):
        return transitions("steps", _figures(values), known, today, _ANY)


def _kinds(found: Sequence[Transition]) -> list[str]:
    return [f"{one.kind} {one.about}" for one in found]


_BEFORE = _usual(range(1, 40))
_WITHOUT_STREAK = {age: value / 10 for age, value in _BEFORE.items()}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        pytest.param(_BEFORE, {**_BEFORE, 0: 9_000.0}, [f"anomaly {_TODAY}"], id="new"),
        pytest.param({**_BEFORE, 1: 9_000.0}, {**_BEFORE, 1: 9_000.0, 0: 5_000.0},
                     [f"anomaly_over {_TODAY - 1}"], id="over"),
        pytest.param({**_BEFORE, 1: 9_000.0}, {**_BEFORE, 1: 5_000.0}, [f"anomaly_over {_TODAY - 1}"],
                     id="corrected"),
        pytest.param({**_BEFORE, 1: 9_000.0}, {**_BEFORE, 1: 9_000.0, 0: 12_000.0}, [f"anomaly {_TODAY}"],
                     id="goes on"),
        pytest.param(_BEFORE, {**_BEFORE, 0: 5_000.0}, [], id="as usual"),
        pytest.param(_BEFORE, {**_BEFORE, NEWS_DAYS + 1: 9_000.0}, [], id="too old"),
        pytest.param({**_WITHOUT_STREAK, 2: 5_000.0, 1: 5_000.0},
                     {**_WITHOUT_STREAK, 2: 5_000.0, 1: 5_000.0, 0: 5_000.0},
                     [f"anomaly {_TODAY}", f"streak {_TODAY - 2} 3"], id="milestone"),
        pytest.param(_BEFORE, {**_BEFORE, 0: 200.0}, [f"anomaly {_TODAY}", f"streak_broken {_TODAY - 39}"],
                     id="broken"),
    ],
)  # fmt: skip
def test_a_change_is_told(
    before: Mapping[int, float], after: Mapping[int, float], told: Sequence[str]
) -> None:
    """And the same results again are not."""
    _, known = _look(before)
    found, then = _look(after, known)
    assert _kinds(found) == list(told)
    assert _look(after, then)[0] == []


def test_the_first_look_tells_nothing_of_long_ago() -> None:
    """Neither a streak that was reached last month nor an anomaly; when it ends, that is news."""
    values = {**_BEFORE, 30: 9_000.0}
    found, known = _look(values)
    assert _kinds(found) == []
    found, _ = _look({**values, 0: 0.0}, known)
    assert "streak_broken" in _kinds(found)[-1]


def test_a_late_day_at_its_beginning_makes_no_other_streak() -> None:
    """Its first milestone was told under its name."""
    days = {**_WITHOUT_STREAK, 3: 5_000.0, 2: 5_000.0, 1: 5_000.0}
    found, known = _look(days)
    assert f"streak {_TODAY - 3} 3" in _kinds(found)
    found, _ = _look({**days, 5: 5_000.0, 4: 5_000.0}, known)
    assert f"streak {_TODAY - 3} 5" in _kinds(found)


@pytest.mark.parametrize(("days", "told"), [(3, False), (4, True), (4 + NEWS_DAYS, False)])
def test_silence_is_told_after_its_days(days: int, told: bool) -> None:
    """Once for a last day, and not where it began long ago."""
    with catalogue(_RULES):
        found, known = silence("steps", Known(last=_TODAY), _TODAY + days)
        assert [one.kind for one in found] == ["silent"] * told
        assert silence("steps", known, _TODAY + days)[0] == []


_VALUES = st.sampled_from([100.0, 5_000.0, 5_050.0, 30_000.0])
_CHANGES = st.dictionaries(st.integers(0, 12), _VALUES | st.none(), min_size=1, max_size=4)


@given(st.lists(_CHANGES, min_size=1, max_size=12))
def test_nothing_is_new_twice(changes: Sequence[Mapping[int, float | None]]) -> None:
    """Whatever changes, in whatever order: without a change nothing is new, and no anomaly is told again."""
    values, known, ids = dict(_usual(range(13, 50))), Known(), list[str]()
    for change in changes:
        for age, value in change.items():
            if value is None:
                values.pop(age, None)
            else:
                values[age] = value
        found, known = _look(values, known)
        assert _look(values, known)[0] == []
        ids += [one.id("somebody") for one in found if one.kind.startswith("anomaly")]
        assert all(one.day > _TODAY - NEWS_DAYS for one in found)
    assert len(ids) == len(set(ids))


def test_ids_are_of_a_person_and_a_transition() -> None:
    """The same ones in each process, and others for anybody else."""
    one = Transition("anomaly", "steps", "20000", 20_000, "")
    assert one.id("a") == Transition("anomaly", "steps", "20000", 1, "other words").id("a")
    other = Transition("anomaly_over", "steps", "20000", 20_000, "")
    assert len({one.id("a"), one.id("b"), other.id("a")}) == 3


def test_each_message_is_one_that_people_read() -> None:
    """A sentence of the metric's own words, with its rule."""
    days = {**_WITHOUT_STREAK, 3: 5_000.0, 2: 5_000.0, 1: 5_000.0}
    found, known = _look(days)
    told = {one.kind: one.message for one in found}
    assert told["streak"] == "3 days in a row with more than 1,000 steps"
    found, known = _look({**days, 0: 300.0}, known)
    told = {one.kind: one.message for one in found}
    assert told["streak_broken"].startswith("the row of days with more than 1,000 steps has ended; 3 days")
    found, _ = _look({**_BEFORE, 0: 9_000.0}, _look(_BEFORE)[1])
    assert found[0].message.startswith("walked 9,000 steps on 2024-10-04 (usual: 5,0")
