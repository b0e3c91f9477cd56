"""The sign of a card's trend: an arrow that goes its way, green for what is better."""

from __future__ import annotations

import pytest

from dashboard.health.person_cards import sign
from tests.support.catalogues import PULSE, catalogue


@pytest.mark.parametrize(
    ("metric", "trend", "shown"),
    [
        ("steps", "up", ("green", "up")),
        ("steps", "down", ("red", "down")),
        ("steps", "stable", ("off", "off")),
        ("restingHeartRate", "up", ("red", "up")),
        ("restingHeartRate", "down", ("green", "down")),
        ("weight", "down", ("off", "down")),
        ("steps", "a trend of another program", ("off", "off")),
    ],
)
def test_what_is_better_is_green(metric: str, trend: str, shown: tuple[str, str]) -> None:
    """By the catalogue: of some metrics less, of weight neither."""
    with catalogue(PULSE):
        assert sign(metric, trend) == shown
