"""The least effect of a metric from which people are told of an anomaly: the setting LEAST_EFFECTS."""

from __future__ import annotations

import pytest

from contracts import ConfigurationError
from contracts.effects import parse
from contracts.health_metrics import METRICS
from settings import load


@pytest.mark.parametrize(
    ("metric", "value", "usual", "is_told"),
    [
        ("weight", 81.5, 81.64, False),
        ("weight", 82.64, 81.64, True),
        ("sleepHours", 6.9, 7.5, False),
        ("sleepHours", 6.5, 7.5, True),
        ("steps", 14_999, 10_000, False),
        ("steps", 15_000, 10_000, True),
        ("steps", 5_000, 10_000, True),
        ("hydration", 0.0, 2.0, True),
    ],
)
def test_by_default_small_differences_are_left_out(
    metric: str, value: float, usual: float, is_told: bool
) -> None:
    """A kilogram, an hour, half of what is usual; the limit itself is told."""
    assert parse("", METRICS)[metric].reached(value, usual) == is_told


def test_each_metric_has_one() -> None:
    """The named ones, and one for all others."""
    found = parse("weight = 2 , others=10%", METRICS)
    assert set(found) == set(METRICS)
    assert (found["weight"].least, found["weight"].is_share) == (2, False)
    assert (found["steps"].least, found["steps"].is_share) == (0.1, True)


def test_what_is_not_named_keeps_the_effect_of_the_catalogue() -> None:
    """Unless `others` names all that are left."""
    found = parse("weight=2", METRICS)
    assert {name: found[name] for name in METRICS if name != "weight"} == {
        name: metric.least for name, metric in METRICS.items() if name != "weight"
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wieght=1", "'wieght' is none of steps"),
        ("weight=1,", "'' is none of steps"),
        ("others=much", "others='much' is neither an amount"),
        ("others=-1", "others='-1' is neither an amount"),
        ("others=nan", "others='nan' is neither an amount"),
        ("others=5%%", "others='5%%' is neither an amount"),
    ],
)
def test_a_wrong_list_is_refused_at_the_start(text: str, told: str) -> None:
    """With the part that is wrong and the setting's name."""
    with pytest.raises(ValueError, match=told[:20]) as error:
        parse(text, METRICS)
    assert told in str(error.value)
    with pytest.raises(ConfigurationError, match="LEAST_EFFECTS"):
        load(env_file=None, least_effects=text)
