"""From which difference an anomaly is told to people: the setting LEAST_EFFECTS.

A day may lie many standard deviations away from a very even person's usual and still mean nothing: 140 g of
weight, ten minutes of sleep. Such an anomaly is stored all the same; pages leave it out until they are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.health import METRICS

DEFAULT: Final = "weight=1,sleepHours=1,others=50%"
_OTHERS: Final = "others"


@dataclass(frozen=True, slots=True)
class LeastEffect:
    """The least difference from the usual value that is told, in the metric's unit or as a share of it."""

    least: float
    is_share: bool

    def reached(self, value: float, usual: float) -> bool:
        """Whether the difference of `value` from `usual` is at least this."""
        difference = abs(value - usual)
        return difference >= (self.least * abs(usual) if self.is_share else self.least)


def checked(text: str) -> str:
    """Returns `text` where it is a list of least effects; raises ValueError where it is none."""
    parse(text)
    return text


def parse(text: str) -> Mapping[str, LeastEffect]:
    """The least effect of each metric of METRICS, from `weight=1,sleepHours=1,others=50%`.

    Raises ValueError with what is wrong.
    """
    found = {}
    for part in text.split(","):
        name, _, least = (piece.strip() for piece in part.partition("="))
        if name not in METRICS and name != _OTHERS:
            raise ValueError(f"{name!r} is none of {', '.join([*METRICS, _OTHERS])}")
        found[name] = _effect(name, least)
    if missing := [name for name in METRICS if name not in found and _OTHERS not in found]:
        raise ValueError(f"lacks {missing[0]}: name it, or `{_OTHERS}` for all that are not named")
    return {name: found.get(name) or found[_OTHERS] for name in METRICS}


def _effect(name: str, text: str) -> LeastEffect:
    number, percent, rest = text.partition("%")
    try:
        least = float(number)
    except ValueError:
        least = -1.0
    if rest or not 0 <= least <= 1e6:
        raise ValueError(f"{name}={text!r} is neither an amount such as 1 nor a share such as 50%")
    return LeastEffect(least / 100, True) if percent else LeastEffect(least, False)
