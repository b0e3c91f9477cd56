"""Explains a result: which documents of a user entered it and why others did not, and how it is computed.

Pure: whoever has the user's raw documents and the stored result gets the same figures again at once, and
those that one corrected day would give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from bson.objectid import ObjectId

from analytics.health.anomaly import BASELINE_DAYS
from analytics.health.documents import build_document
from analytics.health.plain import Series, result_row, window
from analytics.health.schemas import LONGEST_RANGE_DAYS, RANGES
from analytics.health.validation import REASONS, Checked, DayRules, check_document
from contracts import Document
from contracts.bson_order import sort_key
from contracts.health_metrics import METRICS

ENTERED, NO_VALUE = "written", "no value"
CheckedDocument = tuple[Document, Checked]
_NEVER: Final = datetime(1, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one document: its `value` of the metric, or the `reason` why it gives none.

    `end` is one of contracts.ENDS, or NO_VALUE where the document counts and its day has no value.
    `updated` is aware; it and `day` (since 1970-01-01) are None where the document has no usable ones.
    """

    identity: Any
    day: int | None
    updated: datetime | None
    end: str
    value: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A user's `metric` and range, computed anew from `documents`; see `explain`.

    `series` has the values that count. `computed` is the document that they give, None without a value;
    `calculated` the time of the stored one.
    """

    metric: str
    time_range: str
    rules: DayRules
    documents: Sequence[Judged]
    series: Series
    computed: Mapping[str, Any] | None
    stored: Mapping[str, Any] | None

    @property
    def calculated(self) -> datetime | None:
        """When the stored result's history was read; None without one."""
        found = (self.stored or {}).get("calculatedAt")
        return found if isinstance(found, datetime) else None

    @property
    def last(self) -> int:
        """D, the latest day with a value. Raises ValueError without any."""
        return max(self.series)

    @property
    def entered(self) -> Series:
        """The values of the range (D−N, D], empty without any."""
        return window(self.series, self.last, RANGES[self.time_range]) if self.series else {}

    @property
    def late(self) -> list[Judged]:
        """The documents that changed after the stored result's history was read."""
        since = self.calculated
        return [one for one in self.documents if since and one.updated and one.updated > since]


def explain(
    documents: Iterable[Document],
    metric: str,
    time_range: str,
    rules: DayRules,
    stored: Mapping[str, Any] | None,
) -> Explanation:
    """Explain the result of `metric` and `time_range` from all raw `documents` of one user."""
    return explain_ranges(check_all(documents, rules), metric, rules, {time_range: stored})[0]


def check_all(documents: Iterable[Document], rules: DayRules) -> list[CheckedDocument]:
    """Each of `documents` with what validation says of it, once for all metrics."""
    return [(document, check_document(document, rules)) for document in documents]


def explain_ranges(
    checked: Iterable[CheckedDocument],
    metric: str,
    rules: DayRules,
    stored: Mapping[str, Mapping[str, Any] | None],
) -> list[Explanation]:
    """Explain the results of `metric` over the ranges of `stored`, of one user's `checked` documents."""
    judged = judge(checked, metric)
    series = {one.day: one.value for one in judged if one.day is not None and one.value is not None}
    ordered = dict(sorted(series.items()))
    return [
        Explanation(metric, name, rules, judged, ordered, compute_plainly(metric, name, ordered), result)
        for name, result in stored.items()
    ]


def compute_plainly(metric: str, time_range: str, series: Series) -> dict[str, Any] | None:
    """The `analytics` and `historicalData` that `series` gives, None without a value."""
    if not series:
        return None
    row = result_row(metric, series, time_range)
    history = window(series, row["last_day"], RANGES[time_range]).items()
    document = build_document(row, ObjectId(b"\0" * 12), history, _NEVER.replace(year=1970), {})
    return {name: document[name] for name in ("analytics", "historicalData")}


def corrected(explanation: Explanation, days: Mapping[int, float | None]) -> dict[str, Any] | None:
    """What the result would be if `days` had these values, None for a day without one."""
    values = {**explanation.series, **days}
    series = {day: value for day, value in sorted(values.items()) if value is not None}
    return compute_plainly(explanation.metric, explanation.time_range, series)


def judge(checked_documents: Iterable[CheckedDocument], metric: str) -> list[Judged]:
    """What became of each of one user's documents, the latest day first, those without a day at the end."""
    found = []
    winners: dict[int, tuple[Any, int]] = {}
    counting = set()
    place = list(METRICS).index(metric)
    for number, (document, checked) in enumerate(checked_documents):
        one = _judged(document, checked, metric, place)
        found.append(one)
        if checked.counts and one.day is not None:
            counting.add(number)
            version = ((one.updated, sort_key(document.get("_id"))), number)
            winners[one.day] = max(winners.get(one.day, version), version)
    for number in counting - {number for _, number in winners.values()}:
        one = found[number]
        reason = "a later document of its day counts"
        found[number] = Judged(one.identity, one.day, one.updated, "superseded", reason=reason)
    return sorted(found, key=lambda one: (one.day is None, -(one.day or 0), one.updated or _NEVER))


def _judged(document: Document, checked: Checked, metric: str, place: int) -> Judged:
    updated = document.get("updatedAt")
    updated = updated if isinstance(updated, datetime) else None
    if updated is not None and updated.tzinfo is None:
        updated = updated.replace(tzinfo=timezone.utc)
    day, identity = checked.day, document.get("_id")
    if not checked.counts:
        end = "refused" if checked.rejections else "left_out"
        reason = checked.rejections[0].reason if checked.rejections else checked.left_out
        return Judged(identity, _day_of(document, checked), updated, end, reason=_sentence(reason))
    value = checked.values[place]
    if value is not None:
        return Judged(identity, day, updated, ENTERED, value)
    refused = next((each.reason for each in checked.rejections if each.field == f"metrics.{metric}"), "")
    reason = _sentence(refused) if refused else "the day has no value of this metric"
    return Judged(identity, day, updated, "refused" if refused else NO_VALUE, reason=reason)


def _day_of(document: Document, checked: Checked) -> int | None:
    """The day of a document that does not count, in UTC where the rules give none."""
    moment = document.get("date")
    if checked.day is not None or not isinstance(moment, datetime):
        return checked.day
    return (moment.replace(tzinfo=timezone.utc) - _NEVER).days - 719_162


def _sentence(reason: str) -> str:
    """A reason as a person reads it."""
    if reason == "wearable":
        return "a wearable measured it: only phones count"
    if reason.startswith("source:"):
        return f"its source, {reason.partition(':')[2]}, is not in PHONE_SOURCES"
    return REASONS.get(reason, reason)


def part_of(explanation: Explanation, day: int) -> str:
    """What a value of `day` is for: the range, or a look back; empty where it is for nothing."""
    if not explanation.series:
        return ""
    age, length = explanation.last - day, RANGES[explanation.time_range]
    uses = (
        (age < 0, "later than the last value"),
        (age < length, "the range"),
        (age < 2 * length, "the range before"),
        (age < LONGEST_RANGE_DAYS, "the percentile"),
        (age < length + BASELINE_DAYS, "what is usual"),
        (METRICS[explanation.metric].streak is not None, "streaks alone"),
    )
    return next((use for holds, use in uses if holds), "")
