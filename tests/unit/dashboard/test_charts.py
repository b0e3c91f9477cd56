"""The charts: colours that can be told from both backgrounds, legends and axes."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard.charts import COLORS, batch_durations, daily_values

# Streamlit's own, light and dark (`streamlit config show`).
_BACKGROUNDS = ("#ffffff", "#171614")


def _luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2, definition)."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("background", _BACKGROUNDS)
def test_colours_stand_out(color: str, background: str) -> None:
    """At least 3:1, as graphics need (WCAG 1.4.11)."""
    darker, lighter = sorted(map(_luminance, (color, background)))
    assert (lighter + 0.05) / (darker + 0.05) >= 3


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
