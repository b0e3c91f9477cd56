"""Looks at a person's results for what is new, and makes notices of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from typing import Any, Final
from zoneinfo import ZoneInfo

from analytics.health.documents import midnight
from analytics.health.transitions import Figures, Known, Transition, silence, transitions
from contracts.effects import LeastEffect
from contracts.health_metrics import METRICS
from contracts.quiet_hours import QuietHours
from pipelines.health.telling.state import Notice, State

_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class News:
    """What is told to whom and when: `to` are the receivers, `zone` is that of the calendar days."""

    to: Sequence[str]
    zone: ZoneInfo
    least: Mapping[str, LeastEffect] = field(default_factory=dict)
    quiet: QuietHours | None = None

    def today(self, now: datetime) -> int:
        """The calendar day of `now` since 1970-01-01."""
        return now.astimezone(self.zone).date().toordinal() - _EPOCH

    def looked(
        self, state: State, results: Iterable[Mapping[str, Any]], now: datetime, own: ZoneInfo
    ) -> State:
        """`state` after a look at the 90-day `results` of its user, whose zone is `own`.

        The same state where they are no newer than what was looked at.
        """
        found = {str(one.get("metricType")): one for one in results}
        moments = [one.get("calculatedAt") for one in found.values()]
        calculated = max((each for each in moments if isinstance(each, datetime)), default=None)
        if calculated is None or (state.calculated is not None and calculated <= state.calculated):
            return state
        known, notices = dict(state.known), list[Notice]()
        for metric, about in METRICS.items():
            if metric in found:
                before, least = known.get(metric, Known()), self.least.get(metric, about.least)
                figures = Figures.of(found[metric])
                new, known[metric] = transitions(metric, figures, before, self.today(now), least)
                notices += self._notices(state, new, now, own)
        return replace(state.after(known, notices), calculated=calculated)

    def silent(self, state: State, now: datetime, own: ZoneInfo) -> State:
        """`state` after a look for metrics of which nothing came for a long time."""
        known, notices = dict(state.known), list[Notice]()
        for metric, one in state.known.items():
            new, known[metric] = silence(metric, one, self.today(now))
            notices += self._notices(state, new, now, own)
        return state.after(known, notices)

    def due(self, now: datetime, own: ZoneInfo) -> datetime:
        """When something may be told from `now` on: at once, or when the person's quiet hours are over."""
        return now if self.quiet is None else self.quiet.over(now, own)

    def _notices(
        self, state: State, new: Iterable[Transition], now: datetime, own: ZoneInfo
    ) -> Iterable[Notice]:
        for one in new:
            identity = one.id(str(state.user))
            body = body_of(one, identity, str(state.user), now)
            yield Notice(identity, body, tuple(self.to), self.due(now, own), now)


def body_of(transition: Transition, identity: str, user: str, now: datetime) -> dict[str, Any]:
    """What a receiver is told: JSON values alone."""
    about = METRICS[transition.metric]
    return {
        "id": identity,
        "kind": transition.kind,
        "userId": user,
        "metricType": transition.metric,
        "label": about.label,
        "unit": about.unit,
        "day": f"{midnight(transition.day):%Y-%m-%d}",
        "message": transition.message,
        "data": dict(transition.data),
        "foundAt": now.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
