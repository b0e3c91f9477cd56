"""What of a document counts: types, ranges, days, the phone-only rule."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import DatetimeMS, Decimal128, Int64, Timestamp
from bson.tz_util import utc

from analytics.health.history_table import history_table
from analytics.health.validation import DayRules, check_document
from contracts import ConfigurationError
from contracts.health_metrics import METRICS
from tests.support import worked_example as example
from tests.support.reference_input import LIMITS

RULES = DayRules(today=date(2025, 1, 15))
_EPOCH = date(1970, 1, 1)


def _reasons(document: dict[str, Any], rules: DayRules = RULES) -> list[tuple[str, str | None]]:
    return [(rejected.reason, rejected.field) for rejected in check_document(document, rules).rejections]


def _number(day: date) -> int:
    return (day - _EPOCH).days


def test_a_good_document_counts() -> None:
    """Its user, its day since 1970 and its values in the order of METRICS."""
    checked = check_document(example.steps_document(1, 7000), RULES)
    assert checked.user_id == example.USER
    assert checked.day == _number(date(2025, 1, 1))
    assert checked.values == (7000.0, *(None,) * 7)
    assert checked.counts
    assert checked.rejections == ()


def test_the_metrics_and_their_order() -> None:
    """The eight metrics of the contract, in the order in which they are put out, with its ranges."""
    assert list(METRICS) == [
        "steps", "distance", "calories", "activeMinutes", "weight", "sleepHours", "heartPoints", "hydration",
    ]  # fmt: skip
    assert {name: (metric.low, metric.high) for name, metric in METRICS.items()} == LIMITS


@pytest.mark.parametrize("owner", [None, "absent"])
def test_a_document_without_a_user_is_ignored(owner: str | None) -> None:
    """Missing or null `userId`: does not count, and is no error either."""
    document = example.steps_document(1, "bad", date="bad")
    document["userId"] = None
    if owner == "absent":
        del document["userId"]
    checked = check_document(document, RULES)
    assert (checked.user_id, checked.counts, checked.rejections) == (None, False, ())


@pytest.mark.parametrize("kind", ["userId", "date", "updatedAt"])
@pytest.mark.parametrize("value", ["2025-01-01", 7, True, {}, [], Timestamp(1, 1)])
def test_a_wrong_type_refuses_the_whole_document(kind: str, value: Any) -> None:
    """Of `userId`, `date`, `updatedAt`; the reason is a fixed word, the document is kept, no field."""
    document = example.steps_document(1, 7000, **{kind: value})
    checked = check_document(document, RULES)
    assert not checked.counts
    assert [(r.document, r.reason, r.field) for r in checked.rejections] == [
        (document, f"wrong_type_{kind}", None)
    ]


@pytest.mark.parametrize("kind", ["date", "updatedAt"])
def test_dates_that_python_cannot_hold_are_refused(kind: str) -> None:
    """pymongo gives DatetimeMS for years beyond 9999 or before 1."""
    fields: dict[str, Any] = {kind: DatetimeMS(10**17)}
    assert _reasons(example.steps_document(1, 1, **fields)) == [(f"out_of_range_{kind}", None)]
    last = datetime(9999, 12, 31, 23, 59, tzinfo=timezone.utc)
    far_east = DayRules("Pacific/Kiritimati", today=date(2025, 1, 15))
    assert _reasons(example.steps_document(1, 1, date=last), far_east) == [("out_of_range_date", None)]


def test_tomorrow_is_the_last_day() -> None:
    """Phones east of the zone are already there; the day after is refused."""
    assert _reasons(example.steps_document(16, 1)) == []
    assert _reasons(example.steps_document(17, 1)) == [("future_day", None)]
    assert RULES.last_day == _number(date(2025, 1, 16))


def test_today_is_that_of_the_zone() -> None:
    """At 23:00 UTC it is tomorrow in Berlin."""
    now = datetime(2025, 1, 14, 23, tzinfo=timezone.utc)
    assert DayRules.at(now).today == date(2025, 1, 14)
    assert DayRules.at(now, "Europe/Berlin") == DayRules("Europe/Berlin", today=date(2025, 1, 15))


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "/etc"])
def test_an_unknown_zone_is_a_configuration_error(name: str) -> None:
    """It names the setting and the remedy."""
    with pytest.raises(ConfigurationError, match=r"ANALYTICS_TIMEZONE.*IANA"):
        DayRules(name, today=date(2025, 1, 15))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Auckland"])
@pytest.mark.parametrize("tz", [utc, timezone.utc, None, timezone(timedelta(0))])
def test_midnight_utc_is_that_day_in_every_zone(zone: str, tz: Any) -> None:
    """The backend stores plain days as 00:00Z."""
    moment = datetime(2025, 1, 2, tzinfo=tz)
    assert DayRules(zone, today=date(2025, 1, 15)).day_of(moment) == _number(date(2025, 1, 2))


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        (datetime(2025, 1, 2, 0, 0, 0, 1000, tzinfo=utc), "America/New_York", date(2025, 1, 1)),
        (datetime(2025, 1, 1, 23, tzinfo=utc), "Europe/Berlin", date(2025, 1, 2)),
        (datetime(2025, 7, 1, 22, tzinfo=utc), "Europe/Berlin", date(2025, 7, 2)),
        (datetime(2025, 7, 1, 21, 59, 59, tzinfo=utc), "Europe/Berlin", date(2025, 7, 1)),
        (datetime(2025, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))), "Asia/Tokyo", date(2025, 1, 2)),
        (datetime(1955, 5, 5, 12, tzinfo=utc), "UTC", date(1955, 5, 5)),
    ],
)
def test_other_moments_are_local_days(moment: datetime, zone: str, day: date) -> None:
    """In ANALYTICS_TIMEZONE, summer time included; days before 1970 are negative numbers."""
    assert DayRules(zone, today=date(2025, 8, 1)).day_of(moment) == _number(day)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0), (100_000, 100_000.0), (12.5, 12.5), (Int64(7), 7.0), (Decimal128("8.25"), 8.25),
        (-0.0, 0.0), (None, None),
    ],
)  # fmt: skip
def test_numbers_of_every_bson_type_count(value: Any, expected: float | None) -> None:
    """Int, long, double and Decimal128; 0 is a value, null is none, and neither is an error."""
    document = example.steps_document(1, value)
    checked = check_document(document, RULES)
    assert checked.values[0] == expected
    assert checked.values[0] is None or math.copysign(1, checked.values[0]) == 1
    assert checked.rejections == ()
    assert history_table([document], [example.USER], RULES)["steps"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("7000", "not_a_number"), (True, "not_a_number"), (False, "not_a_number"), ({"a": 1}, "not_a_number"),
        ([1], "not_a_number"), (b"1", "not_a_number"), (datetime(2025, 1, 1, tzinfo=utc), "not_a_number"),
        (math.nan, "not_finite"), (math.inf, "not_finite"), (Decimal128("NaN"), "not_finite"),
        (Decimal128("sNaN"), "not_finite"), (Decimal128("-Infinity"), "not_finite"),
        (-1, "out_of_range"), (100_000.5, "out_of_range"), (10**9, "out_of_range"), (2**62, "out_of_range"),
        (Int64(2**62), "out_of_range"), (1e300, "out_of_range"), (Decimal128("1E+6000"), "out_of_range"),
        (Decimal128("100000.0000000000000001"), "out_of_range"),
    ],
)  # fmt: skip
def test_a_bad_value_costs_only_itself(value: Any, reason: str) -> None:
    """The metric is dropped with its reason and its path; the other metrics of the document still count."""
    document = example.steps_document(1, 0, metrics={"steps": value, "weight": 80, "sleepHours": 7.5})
    assert _reasons(document) == [(reason, "metrics.steps")]
    assert check_document(document, RULES).values == (None, None, None, None, 80.0, 7.5, None, None)
    row = history_table([document], [example.USER], RULES).to_pylist()[0]
    assert (row["steps"], row["weight"], row["sleepHours"]) == (None, 80.0, 7.5)


@pytest.mark.parametrize("name", METRICS)
def test_both_ends_of_a_range_belong_to_it(name: str) -> None:
    """And the next doubles beyond do not."""
    low, high = LIMITS[name]
    for inside in (low, high):
        assert _reasons(example.steps_document(1, 0, metrics={name: inside})) == []
    for outside in (math.nextafter(low, -math.inf), math.nextafter(high, math.inf)):
        document = example.steps_document(1, 0, metrics={name: outside})
        assert _reasons(document) == [("out_of_range", f"metrics.{name}")]
        assert history_table([document], [example.USER], RULES)[name].to_pylist() == [None]


@pytest.mark.parametrize("metrics", ["none", 5, [], True])
def test_metrics_must_be_a_document(metrics: Any) -> None:
    """Anything else refuses the document and names the field; null and absent are just empty."""
    document = example.steps_document(1, 0, metrics=metrics)
    assert _reasons(document) == [("metrics_not_a_document", "metrics")]
    assert not check_document(document, RULES).counts
    assert history_table([document], [example.USER], RULES).num_rows == 0
    assert check_document(example.steps_document(1, 0, metrics=None), RULES).counts


@pytest.mark.parametrize("source", ["import", "GoogleFit", "", None, 5, ["googlefit"], {"a": 1}])
def test_other_sources_do_not_count(source: Any) -> None:
    """Such a document is no error, whatever its metrics hold."""
    checked = check_document(example.steps_document(1, "bad", source=source), RULES)
    assert (checked.counts, checked.rejections) == (False, ())
    assert checked.user_id == example.USER
    assert checked.values == (None,) * 8


@pytest.mark.parametrize("name", ["heartRate", "oxygenSaturation", "bloodOxygen"])
@pytest.mark.parametrize("value", [61, 0, False, "", {}])
@pytest.mark.parametrize("nested", [True, False])
def test_a_wearable_reading_does_not_count(name: str, value: Any, nested: bool) -> None:
    """Anything but null or absent is a reading, 0 included, nested or at the top."""
    document = example.steps_document(1, 7000)
    (document["metrics"] if nested else document)[name] = value
    assert (check_document(document, RULES).counts, _reasons(document)) == (False, [])
    (document["metrics"] if nested else document)[name] = None
    assert check_document(document, RULES).counts
