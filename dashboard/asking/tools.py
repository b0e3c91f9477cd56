"""The questions that a program may ask of results and pipelines: each reads within bounds.

Without `with_values` no answer has a health value, a mean or another figure in the unit of a metric: only
what a person may say of it in words, such as up, more than usual, three days in a row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from zoneinfo import ZoneInfo

from bson import ObjectId

from analytics.health.comparison import causes, verdict
from analytics.health.explanation import Explanation, explain
from analytics.health.formulas import formulas
from analytics.health.schemas import RANGES
from analytics.health.unusual import Event, events_of, sentence
from analytics.health.validation import DayRules
from contracts import ConfigurationError, ServiceError
from contracts.health_metrics import METRICS
from dashboard.data.condition import explained, state_of
from dashboard.data.health_data import HealthData
from dashboard.data.recent import unusual_in
from dashboard.data.service_files import ServiceFiles
from dashboard.data.user import Result, unusual_of

# The most of anything that one answer lists.
MOST: Final = 50
_FIRST_RANGE: Final = "7day"


@dataclass(frozen=True)
class Asked:
    """A pipeline as questions see it; `letters` opens the queue of its dead letters."""

    name: str
    title: str
    files: ServiceFiles
    letters: Callable[[], Any]


class Questions:
    """Answers as plain values; ServiceError and ConfigurationError are sentences for who asked."""

    def __init__(
        self,
        pipelines: Sequence[Asked],
        health: HealthData,
        with_values: bool,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._pipelines = {one.name: one for one in pipelines}
        self._health, self._with_values, self._now = health, with_values, now

    def pipelines_state(self) -> dict[str, Any]:
        """Of each pipeline whether it works, when it last did, and how many dead letters wait."""
        return {"now": self._now(), "pipelines": [self._state(one) for one in self._pipelines.values()]}

    def _state(self, one: Asked) -> dict[str, Any]:
        signs, now = one.files.signs(), self._now()
        if one.name == "health":
            loaded = self._health.recent()
            signs = signs.with_results(loaded.value.newest if loaded.value else None, loaded.fault)
        state = state_of(signs, now)
        return {
            "pipeline": one.name,
            "title": one.title,
            "state": state,
            "meaning": explained(state),
            "newest_result": signs.newest,
            "last_success": signs.worked,
            "fault": signs.fault,
            "dead_letters": one.letters().overview().waiting,
        }

    def letters_summary(self, pipeline: str, limit: int) -> dict[str, Any]:
        """The reasons of the newest dead letters of a pipeline, and how many each has; no records."""
        if pipeline not in self._pipelines:
            raise ConfigurationError(f"{pipeline!r} is none of {', '.join(self._pipelines)}.")
        seen = self._pipelines[pipeline].letters().overview()
        reasons = [
            {
                "reason": reason.name,
                "letters": len(reason.letters),
                "parked": sum(line.parked for line in reason.letters),
                "oldest": reason.oldest,
                "newest": reason.newest,
                "example": reason.letters[0].id[:12],
            }
            for reason in seen.reasons[: bounded(limit)]
        ]
        counts = {"waiting": seen.waiting, "examined": seen.examined, "damaged": seen.damaged}
        return {"pipeline": pipeline, **counts, "reasons": reasons}

    def who_stands_out(self, days: int, limit: int) -> dict[str, Any]:
        """People with an unusual day within the last `days`, the newest and farthest first."""
        loaded = self._health.recent()
        if loaded.value is None:
            raise ServiceError(loaded.fault or "The results could not be read.")
        today = loaded.value.now.astimezone(ZoneInfo(self._health.timezone)).date()
        first = today - timedelta(days=bounded(days, 90) - 1)
        found, hidden = events_of(unusual_in(loaded.value.anomalies), self._health.least)
        recent = [event for event in found if event.day >= first]
        complete_since = loaded.value.complete_since(self._health.timezone)
        return {
            "from": first,
            "until": today,
            "people": len({event.user for event in recent}),
            "complete": complete_since is None or complete_since <= first,
            "small_ones_not_told": hidden,
            "events": [{"user": event.user, **self._event(event)} for event in recent[: bounded(limit)]],
        }

    def _event(self, event: Event) -> dict[str, Any]:
        parts = [
            {
                "metric": part.metric,
                "than_usual": "more" if part.is_more else "less",
                "severity": part.severity,
            }
            for part in event.parts
        ]
        told = {"sentence": sentence(event, self._health.least)} if self._with_values else {}
        return {"day": event.day, "severity": event.severity, "metrics": parts, **told}

    def user_summary(self, user: str) -> dict[str, Any]:
        """The newest results of one person: trends, gaps, streaks, and the days that stand out."""
        loaded = self._health.user(_id(user))
        if loaded.value is None:
            raise ServiceError(loaded.fault or "The results could not be read.")
        if not loaded.value:
            raise ConfigurationError(f"There are no results of {user}.")
        found, _ = events_of(unusual_of(loaded.value, user), self._health.least)
        metrics = {
            metric: {
                name: self._result(loaded.value[metric, name])
                for name in RANGES
                if (metric, name) in loaded.value
            }
            for metric in METRICS
        }
        calculated = [one.calculated for one in loaded.value.values() if one.calculated]
        return {
            "user": user,
            "calculated": max(calculated, default=None),
            "metrics": {metric: ranges for metric, ranges in metrics.items() if ranges},
            "unusual_days": [self._event(event) for event in found[:MOST]],
        }

    def _result(self, one: Result) -> dict[str, Any]:
        told = {
            "trend": one.trend,
            "trend_percentage": _rounded(one.trend_percentage),
            "percentile": _rounded(one.percentile),
            "days_with_data_percentage": _rounded(one.completeness),
        }
        if one.metric == "steps":
            told |= {"streak_days": one.streak_days, "longest_streak": one.longest_streak}
        if self._with_values:
            unit = METRICS[one.metric].unit
            told |= {"unit": unit, "average": one.average, "lowest": one.minimum, "highest": one.maximum}
        return told

    def explain(self, user: str, metric: str, time_range: str) -> dict[str, Any]:
        """How a result comes about: whether it is the stored one, and what entered and what did not."""
        for value, known in ((metric, METRICS), (time_range, RANGES)):
            if value not in known:
                raise ConfigurationError(f"{value!r} is none of {', '.join(known)}.")
        owner = ObjectId(_id(user))
        loaded = self._health.evidence(owner, metric, time_range)
        if loaded.value is None:
            raise ServiceError(loaded.fault or "The person's documents cannot be looked up by an index.")
        rules = DayRules.at(loaded.value.now, self._health.timezone, self._health.phones)
        found = explain(loaded.value.documents, metric, time_range, rules, loaded.value.stored)
        if not loaded.value.documents and loaded.value.stored is None:
            raise ConfigurationError(f"There is nothing of {user}.")
        return {
            "user": user,
            "metric": metric,
            "time_range": time_range,
            "verdict": verdict(found),
            "causes": causes(found),
            "days_that_entered": len(found.entered),
            "documents": _ends(found),
            **({"formulas": [_working(each) for each in formulas(found)]} if self._with_values else {}),
        }


def bounded(number: int, most: int = MOST) -> int:
    """`number` within 1 and `most`."""
    return max(1, min(number, most))


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 1)


def _id(user: str) -> str:
    if not ObjectId.is_valid(user):
        raise ConfigurationError(f"{user!r} is no user id (24 hexadecimal digits).")
    return user


def _ends(found: Explanation) -> Mapping[str, int]:
    return Counter(one.reason or one.end for one in found.documents)


def _working(each: Any) -> Mapping[str, str]:
    return {"figure": each.figure, "value": each.value, "how": each.working}
