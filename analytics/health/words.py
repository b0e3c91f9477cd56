"""Figures and comparisons as people say them: no more than three significant digits, words before numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from contracts.health_metrics import METRICS

_TIMES: Final = {2: "twice", 3: "three times", 4: "four times", 5: "five times", 6: "six times"}
_PARTS: Final = {2: "half", 3: "a third of", 4: "a quarter of"}
# A ratio this near to a whole one is told as that.
_NEAR: Final = 0.06


def amount(value: float) -> str:
    """`29,763`, `62.5`, `0.124`: whole numbers whole, decimals up to three significant digits."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    digits = min(6, max(0, 2 - math.floor(math.log10(abs(value)))))
    text = f"{value:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def with_unit(value: float, metric: str) -> str:
    """`62.5 kg`; without a unit for an unknown metric."""
    unit = METRICS[metric].unit if metric in METRICS else ""
    return f"{amount(value)}\xa0{unit}" if unit else amount(value)


def compared(value: float, usual: float, metric: str, in_units: bool) -> str:
    """How `value` stands to the `usual` one: `three times the usual`, `1.4 kg less than usual`.

    `in_units` tells the difference in the metric's unit, as for weight, where a ratio means nothing.
    """
    more = "more" if value > usual else "less"
    if in_units or usual <= 0:
        return f"{with_unit(abs(value - usual), metric)} {more} than usual"
    if value == 0:
        return f"usually it is {with_unit(usual, metric)}"
    ratio = value / usual
    for whole, words in _TIMES.items():
        if abs(ratio - whole) <= _NEAR * whole:
            return f"{words} the usual"
    for whole, words in _PARTS.items():
        if abs(ratio * whole - 1) <= _NEAR:
            return f"{words} the usual"
    if ratio >= 2:
        return f"{amount(ratio)} times the usual"
    return f"{abs(ratio - 1) * 100:.0f}\xa0% {more} than usual"


def listed(words: Sequence[str]) -> str:
    """`distance, calories and minutes`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def plural(count: int, word: str, words: str = "") -> str:
    """`1 day`, `7 days`; `words` is the plural where it is not `word` and an s."""
    return f"{count:,} {word if count == 1 else words or f'{word}s'}"
