"""The charts: legends and axes. Their colours: test_theme.py."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard.charts import batch_durations


@pytest.mark.parametrize(("hours", "has_day"), [(2, False), (200, True)])
def test_the_ends_of_batches_have_a_day_where_it_matters(hours: int, has_day: bool) -> None:
    """Within a day hours and minutes alone, by a clock of 24 hours."""
    ends = pd.to_datetime(["2026-01-01T07:00Z", "2026-01-01T07:00Z"]) + pd.to_timedelta([0, hours], unit="h")
    frame = pd.DataFrame({"end": ends, "seconds": 1.0, "status": "x", "changes": 1})
    ticks = batch_durations(frame).to_dict()["encoding"]["x"]["axis"]["format"]
    assert "%H:%M" in ticks
    assert ("%d" in ticks) == has_day
