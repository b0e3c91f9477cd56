"""The charts: colours that can be told from both backgrounds, legends and axes."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard.charts import COLORS, batch_durations

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


@pytest.mark.parametrize(("hours", "has_day"), [(2, False), (200, True)])
def test_the_ends_of_batches_have_a_day_where_it_matters(hours: int, has_day: bool) -> None:
    """Within a day hours and minutes alone, by a clock of 24 hours."""
    ends = pd.to_datetime(["2026-01-01T07:00Z", "2026-01-01T07:00Z"]) + pd.to_timedelta([0, hours], unit="h")
    frame = pd.DataFrame({"end": ends, "seconds": 1.0, "status": "x", "changes": 1})
    ticks = batch_durations(frame).to_dict()["encoding"]["x"]["axis"]["format"]
    assert "%H:%M" in ticks
    assert ("%d" in ticks) == has_day
