"""Quiet hours by the clock on a person's wall, whatever is done to that clock."""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import ConfigurationError
from contracts.quiet_hours import QuietHours, parse
from settings import load

_MINUTE = timedelta(minutes=1)
_FIRST = datetime(2011, 1, 1, tzinfo=timezone.utc)
# With clocks that change at midnight, by half an hour, and that once skipped a whole day.
_ZONES = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia"]
_TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))


@given(
    moment=st.integers(0, 10_000_000).map(lambda minutes: _FIRST + minutes * _MINUTE),
    zone=st.sampled_from(_ZONES),
    hours=st.tuples(_TIMES, _TIMES).filter(lambda pair: pair[0] != pair[1]),
)
@example(datetime(2025, 3, 30, 0, 59, tzinfo=timezone.utc), "Europe/Berlin", (time(1), time(2, 30)))
@example(datetime(2025, 10, 26, 0, 10, tzinfo=timezone.utc), "Europe/Berlin", (time(1), time(2, 30)))
@example(datetime(2025, 10, 26, 1, 10, tzinfo=timezone.utc), "Europe/Berlin", (time(1), time(2, 30)))
@example(datetime(2011, 12, 30, 9, 0, tzinfo=timezone.utc), "Pacific/Apia", (time(22), time(7)))
def test_what_is_held_is_held_until_the_end_and_no_longer(
    moment: datetime, zone: str, hours: tuple[time, time]
) -> None:
    """Every minute before it is quiet by the wall clock, the end itself is not, and a day is the longest."""
    quiet, place = QuietHours(*hours), ZoneInfo(zone)
    over = quiet.over(moment, place)
    assert moment <= over < moment + timedelta(hours=25)
    assert not _is_quiet(over, place, *hours)
    step = moment
    while step < over:
        assert _is_quiet(step, place, *hours)
        step = step.replace(second=0, microsecond=0) + _MINUTE


def _is_quiet(moment: datetime, zone: ZoneInfo, start: time, end: time) -> bool:
    """By minutes of the day that are counted round from the start, which is another way to say it."""
    local = moment.astimezone(zone)
    since = (60 * local.hour + local.minute - 60 * start.hour - start.minute) % 1_440
    return since < (60 * (end.hour - start.hour) + end.minute - start.minute) % 1_440


@pytest.mark.parametrize("text", ["22-7", "22:00-22:00", "24:00-07:00", "22:00 - 07:00", "7:00-8:00"])
def test_other_texts_are_refused_at_the_start(text: str) -> None:
    """With what is right."""
    with pytest.raises(ConfigurationError, match="NOTIFY_QUIET_HOURS: must be two different times of day"):
        load(env_file=None, notify_quiet_hours=text)
    assert parse("") is None
