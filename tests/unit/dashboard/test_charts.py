"""The charts: colours that can be told from both backgrounds, legends and axes."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard.charts import batch_durations, daily_values


def test_the_legend_names_what_is_drawn() -> None:
    """Of a young history neither averages nor an anomaly; of an older one what there is."""
    values = {"day": pd.date_range("2026-01-01", periods=2), "value": [1.0, 2.0], "average_30": [None, None]}
    for average, anomaly, named in (
        ([None, None], False, ["Daily value"]),
        ([None, 1.5], True, ["Daily value", "7-day average", "Anomaly"]),
    ):
        frame = pd.DataFrame({**values, "average_7": average, "is_anomaly": [False, anomaly]}).astype(
            {"average_7": float, "average_30": float}
        )
        layers = daily_values(frame, "steps", True).to_dict()["layer"]
        assert len(layers) == len(named)
        assert all(layer["encoding"]["color"]["scale"]["domain"] == named for layer in layers)


@pytest.mark.parametrize(("hours", "has_day"), [(2, False), (200, True)])
def test_the_ends_of_batches_have_a_day_where_it_matters(hours: int, has_day: bool) -> None:
    """Within a day hours and minutes alone, by a clock of 24 hours."""
    ends = pd.to_datetime(["2026-01-01T07:00Z", "2026-01-01T07:00Z"]) + pd.to_timedelta([0, hours], unit="h")
    frame = pd.DataFrame({"end": ends, "seconds": 1.0, "status": "x", "changes": 1})
    ticks = batch_durations(frame).to_dict()["encoding"]["x"]["axis"]["format"]
    assert "%H:%M" in ticks
    assert ("%d" in ticks) == has_day
