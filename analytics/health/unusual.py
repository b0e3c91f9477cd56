"""A person's unusual values of one day as one event, told in a sentence.

One long walk is an anomaly of steps, distance, calories and minutes; for people it is one thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from analytics.health.words import amount, compared, listed
from contracts.effects import LeastEffect
from contracts.health_metrics import METRICS


@dataclass(frozen=True, slots=True)
class Unusual:
    """One anomaly: the `value` of a user's `metric` on a `day`, and the `usual` one, the mean before."""

    user: str
    day: date
    metric: str
    value: float
    usual: float
    deviation: float
    severity: str

    @property
    def is_more(self) -> bool:
        """Whether the value is above the usual one."""
        return self.value > self.usual


@dataclass(frozen=True, slots=True)
class Event:
    """What was unusual about one user's day, in the order of METRICS."""

    user: str
    day: date
    parts: tuple[Unusual, ...]

    @property
    def severity(self) -> str:
        """That of the part that lies farthest from the usual."""
        return max(self.parts, key=lambda part: abs(part.deviation)).severity

    @property
    def deviation(self) -> float:
        """The greatest deviation of its parts, without its sign."""
        return max(abs(part.deviation) for part in self.parts)


def events_of(found: Iterable[Unusual], least: Mapping[str, LeastEffect]) -> tuple[list[Event], int]:
    """`found` as events, the latest day and then the greatest deviation first; and how many are left out.

    Those are the ones of a smaller effect than `least` of their metric; of an unknown one all are told.
    """
    days: dict[tuple[str, date], list[Unusual]] = {}
    hidden = 0
    for one in found:
        effect = least.get(one.metric)
        if effect is not None and not effect.reached(one.value, one.usual):
            hidden += 1
        else:
            days.setdefault((one.user, one.day), []).append(one)
    events = [Event(user, day, _ordered(parts)) for (user, day), parts in days.items()]
    return sorted(events, key=lambda event: (-event.day.toordinal(), -event.deviation, event.user)), hidden


def sentence(event: Event, least: Mapping[str, LeastEffect]) -> str:
    """`walked 29,763 steps, three times the usual; distance and calories follow`."""
    clauses, told = [], set[Unusual]()
    for part in event.parts:
        if part in told:
            continue
        effect = least.get(part.metric)
        in_units = effect is not None and not effect.is_share
        clauses.append(f"{_did(part)}, {compared(part.value, part.usual, part.metric, in_units)}")
        followers = [other for other in event.parts if other not in told and _follows(other, part)]
        told.update(followers)
        if followers:
            names = [METRICS[other.metric].label.lower() for other in followers]
            is_plural = len(names) > 1 or names[0].endswith("s")
            clauses.append(f"{listed(names)} {'follow' if is_plural else 'follows'}")
    return "; ".join(clauses)


def _did(part: Unusual) -> str:
    metric = METRICS.get(part.metric)
    return metric.sentence(amount(part.value)) if metric else f"had {amount(part.value)} of {part.metric}"


def _follows(other: Unusual, lead: Unusual) -> bool:
    """Whether `other` is told with `lead`: both of movement, in the same direction."""
    first, second = METRICS.get(lead.metric), METRICS.get(other.metric)
    both_move = first is not None and second is not None and first.movement and second.movement
    return both_move and other is not lead and other.is_more == lead.is_more


def _ordered(parts: Iterable[Unusual]) -> tuple[Unusual, ...]:
    places = {name: place for place, name in enumerate(METRICS)}
    return tuple(sorted(parts, key=lambda part: (places.get(part.metric, len(places)), part.metric)))
