"""The charts' colours can be told from both backgrounds."""

from __future__ import annotations

import pytest

from dashboard.charts import COLORS

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
