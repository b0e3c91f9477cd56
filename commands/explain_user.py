"""What `pulse explain` reads of the database, and puts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from bson import ObjectId

from analytics.health.comparison import Difference, causes, differences
from analytics.health.documents import midnight
from analytics.health.explanation import Explanation, corrected, explain, part_of
from analytics.health.formulas import formulas
from analytics.health.validation import DayRules, check_value, limits
from commands.explain_tables import print_explanation
from commands.owner import owner_of, user_id
from commands.terminal import console, print_json
from contracts import ConfigurationError
from contracts.health import SOURCE_COLLECTION
from contracts.health_metrics import METRICS
from pipelines.health.stores import connect_to, open_cursor
from settings import Settings
from sources.health.history import read_history
from sources.health.inspection import standing
from sources.mongo_client import ServerClock, for_reading

_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation of a result of `user`, and what it would be after the corrections `days`.

    `standing` is where the user's newest change is (sources.health.inspection.STANDINGS).
    """

    user: ObjectId
    explanation: Explanation
    standing: str
    days: Mapping[int, float | None]
    after: Mapping[str, Any] | None

    @property
    def changes(self) -> list[Difference]:
        """What the corrections would change."""
        return differences(self.explanation.computed, self.after)


def explain_user(
    settings: Settings, user: str, what: tuple[str, str], corrections: Sequence[str], as_json: bool
) -> None:
    """Explain the result of `user` (id or e-mail) of the metric and range `what`, as tables or JSON.

    Raises ConfigurationError when the user has nothing in the database, or a correction is none.
    """
    if "@" not in user:
        user_id(user)
    client = connect_to(settings)
    database = client[settings.mongo_db_name]
    owner, now = owner_of(user, database), ServerClock(client).now()
    rules = DayRules.at(now, settings.analytics_timezone, settings.sources_of_phones)
    days = dict(_correction(text, what[0], rules) for text in corrections)
    metric, time_range = what
    # The result first: a change that comes between the two reads is then told as late.
    key = {"userId": owner, "timeRange": time_range, "metricType": metric}
    stored = for_reading(database[settings.analytics_collection]).find_one(key)
    documents = list(read_history(database[SOURCE_COLLECTION], [owner]))
    if stored is None and not documents:
        raise ConfigurationError(
            f"User {owner} has neither health documents nor this result in this database."
        )
    explanation = explain(documents, metric, time_range, rules, stored)
    newest = max((one.updated for one in explanation.documents if one.updated), default=None)
    explained = Explained(
        owner,
        explanation,
        standing(newest, explanation.calculated, open_cursor(settings).peek(now).timestamp),
        days,
        corrected(explanation, days),
    )
    if as_json:
        print_json(facts(explained))
    else:
        print_explanation(explained, console())


def _correction(text: str, metric: str, rules: DayRules) -> tuple[int, float | None]:
    """The day and the value of `2026-01-31=9000`; the value is None where nothing follows."""
    name, _, value = text.partition("=")
    example = f"--correct takes a day and a value such as 2026-01-31=9000, not {text!r}"
    try:
        day = date.fromisoformat(name.strip()).toordinal() - _EPOCH
        number = float(value) if value.strip() else None
    except ValueError:
        raise ConfigurationError(f"{example}.") from None
    if "=" not in text:
        raise ConfigurationError(f"{example}.")
    if day > rules.last_day:
        raise ConfigurationError(f"--correct {text}: the day is later than tomorrow, so it would be refused.")
    low, high = limits()[metric]
    if check_value(number, low, high)[1]:
        about = METRICS[metric]
        raise ConfigurationError(
            f"--correct {text}: it would be refused, because {about.label.lower()} lies within {low:,g} and "
            f"{high:,g} {about.unit}."
        )
    return day, number


def facts(explained: Explained) -> dict[str, Any]:
    """Everything as one JSON object; the days of `documents` are dates."""
    explanation = explained.explanation
    stored = explanation.stored or {}
    found = differences(explanation.stored, explanation.computed)
    late = set(map(id, explanation.late))
    documents = [
        {
            "_id": one.identity,
            "day": _date(one.day),
            "updatedAt": one.updated,
            "end": one.end,
            "value": one.value,
            "reason": one.reason,
            "for": "" if one.day is None else part_of(explanation, one.day),
            "late": id(one) in late,
        }
        for one in explanation.documents
    ]
    return {
        "user": explained.user,
        "metricType": explanation.metric,
        "timeRange": explanation.time_range,
        "equal": not found,
        "causes": causes(explanation),
        "standing": explained.standing,
        "calculatedAt": explanation.calculated,
        "metadata": stored.get("metadata"),
        "formulas": [asdict(each) for each in formulas(explanation)],
        "documents": documents,
        "computed": explanation.computed,
        "stored": {name: stored.get(name) for name in ("analytics", "historicalData")} if stored else None,
        "differences": [asdict(each) for each in found],
        "correction": _correction_facts(explained),
    }


def _correction_facts(explained: Explained) -> dict[str, Any] | None:
    if not explained.days:
        return None
    return {
        "days": {f"{midnight(day):%Y-%m-%d}": value for day, value in explained.days.items()},
        "computed": explained.after,
        "differences": [asdict(each) for each in explained.changes],
    }


def _date(day: int | None) -> datetime | None:
    return None if day is None else midnight(day)
