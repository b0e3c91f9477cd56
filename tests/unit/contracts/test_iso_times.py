"""Times as texts: what one program writes another reads, with either way to say UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.iso_times import read_time, time_with_z

_MOMENTS = st.datetimes(
    # An offset leads beyond Python's first and last day.
    datetime(1, 1, 2),  # noqa: DTZ001  hypothesis adds the zones
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=5, minutes=45))]),
)


@given(_MOMENTS)
def test_what_is_written_is_read_again(moment: datetime) -> None:
    """To the millisecond, in UTC, in any year; and texts sort as the times do."""
    text = time_with_z(moment)
    assert (len(text), text[-1]) == (24, "Z")
    assert read_time(text) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert read_time(time_with_z(moment, "auto")) == moment


@pytest.mark.parametrize(
    "text", ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00", "2026-01-31T13:00:00+01:00"]
)
def test_both_ways_to_say_an_offset_are_read(text: str) -> None:
    """Also where Python itself is too old for the Z."""
    assert read_time(text) == datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
