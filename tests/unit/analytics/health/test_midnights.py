"""In which zone a set of dates would be midnights."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from analytics.health.midnights import look_at_midnights

# Summer time in the north and in the south, none, half and quarter hours, one that begins at midnight, and
# one whose winter is the whole year of another.
ZONES = [
    "Europe/London", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Sydney",
    "Africa/Lagos", "Africa/Cairo", "Atlantic/Azores",
]  # fmt: skip


def _midnights(zone: str, days: int = 365) -> list[datetime]:
    """As a writer stores its local days."""
    first = date(2025, 11, 1)
    return [
        datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
        for day in (first + timedelta(days=number) for number in range(days))
    ]


def _is_of(zone: str, found: Sequence[tuple[str, int]]) -> bool:
    names = found[0][0].partition(" ")[0]
    return _midnights(names) == _midnights(zone)


@pytest.mark.parametrize("zone", ZONES)
def test_the_zone_of_local_midnights_is_found(zone: str) -> None:
    """By name, or by that of one that behaves alike; once it is set nothing is odd any more."""
    dates = _midnights(zone)
    found = look_at_midnights(dates, "UTC")
    assert found.odd == sum(moment.hour != 0 or moment.minute != 0 for moment in dates)
    assert _is_of(zone, found.zones)
    assert found.zones[0][1] == found.odd
    assert look_at_midnights(dates, zone).odd == 0


def test_two_groups_of_users_are_two_zones() -> None:
    """The one with more dates comes first."""
    dates = [*_midnights("Europe/Berlin"), *_midnights("America/New_York", 200), *_midnights("UTC")]
    found = look_at_midnights(dates, "UTC")
    assert [names.partition(" ")[0] for names, _ in found.zones] == ["Europe/Berlin", "America/New_York"]


def test_moments_within_a_day_are_no_zone() -> None:
    """Of a writer that stores when it was measured; extreme dates are no fault either."""
    rng = random.Random(1)
    dates = [
        datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=rng.randrange(10**7))
        for _ in range(300)
    ]
    ends = [datetime.min.replace(tzinfo=timezone.utc), datetime.max.replace(tzinfo=timezone.utc)]
    assert look_at_midnights([*dates, *ends], "Asia/Tokyo").zones == ()
    assert look_at_midnights([], "UTC").dates == 0
