"""Anomalies of one person and day are one event, told in a sentence."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.health.unusual import Unusual, events_of, sentence
from analytics.health.words import amount, compared, listed
from contracts.effects import parse
from contracts.health_metrics import METRICS

_LEAST = parse("", METRICS)
_DAY = date(2026, 11, 25)
_numbers = st.floats(0, 1e5, allow_nan=False)
_unusual = st.builds(
    Unusual,
    user=st.sampled_from(["a", "b"]),
    day=st.sampled_from([_DAY, date(2026, 11, 26)]),
    metric=st.sampled_from([*METRICS, "mood"]),
    value=_numbers,
    usual=_numbers,
    deviation=st.floats(-20, 20),
    severity=st.sampled_from(["low", "medium", "high"]),
)


def _of(metric: str, value: float, usual: float, deviation: float = 5.0) -> Unusual:
    return Unusual("a", _DAY, metric, value, usual, deviation, "high")


@given(st.lists(_unusual, max_size=20))
def test_each_anomaly_is_in_one_event_or_counted_as_hidden(found: list[Unusual]) -> None:
    """One event for each person and day, with exactly the anomalies of enough effect, the latest first."""
    events, hidden = events_of(found, _LEAST)
    keys = [(event.user, event.day) for event in events]
    assert len(keys) == len(set(keys))
    parts = [part for event in events for part in event.parts]
    told = [
        one for one in found if one.metric not in _LEAST or _LEAST[one.metric].reached(one.value, one.usual)
    ]
    assert sorted(map(repr, parts)) == sorted(map(repr, told))
    assert hidden == len(found) - len(told)
    assert all((part.user, part.day) == (event.user, event.day) for event in events for part in event.parts)
    order = [(event.day, event.deviation) for event in events]
    assert order == sorted(order, reverse=True)
    assert events_of(reversed(found), _LEAST)[1] == hidden


@given(st.lists(_unusual, min_size=1, max_size=8))
def test_a_sentence_names_each_metric_of_its_event_once(found: list[Unusual]) -> None:
    """What a metric did, or its name among those that follow; never a σ or a line break."""
    events, _ = events_of(found, _LEAST)
    for event in events:
        told = sentence(event, _LEAST)
        assert "σ" not in told
        assert "\n" not in told
        for name in {part.metric for part in event.parts} & set(METRICS):
            verb = METRICS[name].did.partition("{}")[0]
            assert verb in told or METRICS[name].label.lower() in told


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (
            [_of("calories", 5000, 2000), _of("steps", 29_763, 9_900), _of("distance", 21.4, 7.0)],
            "walked 29,763 steps, three times the usual; distance and calories follow",
        ),
        (
            [_of("sleepHours", 4.216, 7.9), _of("steps", 400, 9_000), _of("activeMinutes", 3, 60)],
            (
                "walked 400 steps, 96\xa0% less than usual; active minutes follow; slept 4.22 hours, "
                "3.68\xa0h less than usual"
            ),
        ),
        ([_of("weight", 83.0, 81.642)], "weighed 83 kg, 1.36\xa0kg more than usual"),
        ([_of("steps", 0, 8_000)], "walked 0 steps, usually it is 8,000\xa0steps"),
        ([_of("mood", 9, 3)], "had 9 of mood, three times the usual"),
    ],
)
def test_events_are_told_in_words(parts: list[Unusual], told: str) -> None:
    """The movement of one walk together, other things in clauses of their own."""
    (event,), _ = events_of(parts, _LEAST)
    assert sentence(event, _LEAST) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (29_763.0, "29,763"), (9771.43, "9,771"), (62.542, "62.5"), (7.0, "7"), (0.12345, "0.123"), (0, "0"),
        (-1.5, "−1.5"), (100.04, "100"), (float("inf"), "–"),
    ],
)  # fmt: skip
def test_a_figure_has_three_significant_digits_and_whole_numbers_are_whole(value: float, told: str) -> None:
    """62.542 kg claims a precision that no scale has."""
    assert amount(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (200, "twice the usual"), (310, "three times the usual"), (250, "2.5 times the usual"),
        (50, "half the usual"), (33, "a third of the usual"), (140, "40\xa0% more than usual"),
        (70, "30\xa0% less than usual"), (2500, "25 times the usual"),
    ],
)  # fmt: skip
def test_a_ratio_is_told_in_words_where_there_are_some(value: float, told: str) -> None:
    """Against a usual of 100."""
    assert compared(value, 100, "steps", in_units=False) == told


def test_lists_read_as_sentences() -> None:
    """One, two, three."""
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
