"""The look: every text that the theme colours has contrast, and nothing is fetched for it."""

from __future__ import annotations

import re
import sys
from itertools import product
from typing import Any

import pytest

from dashboard.charts import COLORS
from tests.support.contrast import contrast
from tests.support.documents import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = ROOT / "dashboard" / ".streamlit" / "config.toml"
_THEME: dict[str, Any] = tomllib.loads(_FILE.read_text(encoding="utf-8"))["theme"]
_MODES = ("light", "dark")
_GROUNDS = ("backgroundColor", "secondaryBackgroundColor")
_HUES = ("green", "blue", "orange", "red", "gray")


@pytest.mark.parametrize("mode", _MODES)
def test_text_has_a_contrast_of_four_and_a_half(mode: str) -> None:
    """On the page, on the sidebar and on the ground of each pill (WCAG 1.4.3)."""
    theme = _THEME[mode]
    grounds = [theme[name] for name in _GROUNDS] + [theme["sidebar"][name] for name in _GROUNDS]
    texts = [theme[name] for name in ("textColor", "linkColor", "primaryColor")]
    pairs = list(product(texts, grounds))
    pairs += [(theme[f"{hue}TextColor"], theme[f"{hue}BackgroundColor"]) for hue in _HUES]
    pairs += [(theme[f"{hue}TextColor"], theme["backgroundColor"]) for hue in _HUES]
    assert [(text, ground) for text, ground in pairs if contrast(text, ground) < 4.5] == []


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("color", COLORS)
def test_what_charts_draw_stands_out(color: str, mode: str) -> None:
    """At least 3:1, as graphics need (WCAG 1.4.11)."""
    assert contrast(color, _THEME[mode]["backgroundColor"]) >= 3


def test_both_modes_have_the_same_colours_of_their_own() -> None:
    """One that is missing would be Streamlit's, chosen for another ground."""
    assert _THEME["light"].keys() == _THEME["dark"].keys()


def test_fonts_are_the_readers_own() -> None:
    """No address, and no font that Streamlit would have to load."""
    assert "fontFaces" not in _THEME
    assert re.search("https?:|url\\(", _FILE.read_text(encoding="utf-8").partition("[theme]")[2]) is None
    assert _THEME["font"].endswith("sans-serif")
