"""From which difference an anomaly is told to people: an entry of the catalogue, or of LEAST_EFFECTS.

A day may lie many standard deviations away from a very even person's usual and still mean nothing: 140 g of
weight, ten minutes of sleep. Such an anomaly is stored all the same; pages leave it out until they are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

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


class _WithLeast(Protocol):
    @property
    def least(self) -> LeastEffect: ...


def parse(text: str, metrics: Mapping[str, _WithLeast]) -> Mapping[str, LeastEffect]:
    """The least effect of each of `metrics`: its own, unless `text` says otherwise.

    `text` is like `weight=1,sleepHours=1,others=50%`; `others` are all that it does not name. Raises
    ValueError with what is wrong.
    """
    found = {}
    for part in text.split(",") if text else []:
        name, _, least = (piece.strip() for piece in part.partition("="))
        if name not in metrics and name != _OTHERS:
            raise ValueError(f"{name!r} is none of {', '.join([*metrics, _OTHERS])}")
        try:
            found[name] = least_effect(least)
        except ValueError as error:
            raise ValueError(f"{name}={least!r} is {error}") from None
    return {name: found.get(name) or found.get(_OTHERS) or metric.least for name, metric in metrics.items()}


def least_effect(text: str) -> LeastEffect:
    """`1`, an amount in the metric's unit, or `50%`, a share. Raises ValueError with what `text` is."""
    number, percent, rest = text.partition("%")
    try:
        least = float(number)
    except ValueError:
        least = -1.0
    if rest or not 0 <= least <= 1e6:
        raise ValueError("neither an amount such as 1 nor a share such as 50%")
    return LeastEffect(least / 100, True) if percent else LeastEffect(least, False)
