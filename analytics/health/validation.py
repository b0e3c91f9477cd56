"""Judges `healthmetrics` documents: which day and which values count, and why the others do not.

Pure Python over the documents as pymongo decodes them. Nothing here raises on what a document holds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from bson.tz_util import utc as _BSON_UTC

from contracts import ConfigurationError, Document, Rejected
from contracts.health import PHONE_SOURCES, WEARABLE_FIELDS
from contracts.health_metrics import METRICS, OfMetrics

# The closed set of `Rejected.reason` (they become metric labels), each with its sentence for people.
REASONS: Final[dict[str, str]] = {
    "wrong_type_userId": "userId is not an ObjectId",
    "wrong_type_date": "date is missing or not a date",
    "wrong_type_updatedAt": "updatedAt is missing or not a date",
    "out_of_range_date": "date lies outside the years 1 to 9999",
    "out_of_range_updatedAt": "updatedAt lies outside the years 1 to 9999",
    "future_day": "the day is later than tomorrow",
    "metrics_not_a_document": "metrics is not a nested document",
    "not_a_number": "the value is not a number",
    "not_finite": "the value is NaN or infinite",
    "out_of_range": "the value is outside the range of its metric",
}

# An unknown source's name is cut after this many characters.
_SHOWN_SOURCE: Final = 40

_UTC: Final = timezone.utc
_EPOCH: Final = date(1970, 1, 1).toordinal()
_NO_METRICS: Final[Document] = {}


@OfMetrics
def limits() -> dict[str, tuple[float, float]]:
    """Smallest and greatest accepted value of each metric. As doubles: comparing with them is faster."""
    return {name: (float(metric.low), float(metric.high)) for name, metric in METRICS.items()}


@OfMetrics
def _no_values() -> tuple[float | None, ...]:
    return (None,) * len(METRICS)


@dataclass(frozen=True, slots=True)
class DayRules:
    """Which calendar day a `date` belongs to, which day is the last one accepted, and whose documents count.

    `timezone` is an IANA name; `today` is the current day there by the database's clock; `sources` are those
    of phones. Raises ConfigurationError for an unknown zone.
    """

    timezone: str = "UTC"
    # A tuple: unlike a set's, its membership test takes unhashable garbage.
    sources: tuple[str, ...] = PHONE_SOURCES
    today: date = field(kw_only=True)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_zone", _zone_of(self.timezone))

    @classmethod
    def at(cls, now: datetime, timezone: str = "UTC", sources: tuple[str, ...] = PHONE_SOURCES) -> DayRules:
        """The rules of the moment `now` (aware)."""
        return cls(timezone, sources, today=now.astimezone(_zone_of(timezone)).date())

    @property
    def last_day(self) -> int:
        """The last accepted day: tomorrow, because phones east of the zone are already there."""
        return self.today.toordinal() - _EPOCH + 1

    def day_of(self, moment: datetime) -> int:
        """Days since 1970-01-01 of the calendar day of `moment` (naive means UTC).

        Exactly 00:00Z is that UTC day whatever the zone: the backend stores plain days so. Any other
        moment is its local day. Raises OverflowError when the local day leaves the years 1 to 9999.
        """
        zone = moment.tzinfo
        if zone is not _BSON_UTC and zone is not _UTC:
            moment = moment.replace(tzinfo=_UTC) if zone is None else moment.astimezone(_UTC)
        if moment.hour or moment.minute or moment.second or moment.microsecond:
            moment = moment.astimezone(self._zone)
        return moment.toordinal() - _EPOCH


@dataclass(frozen=True, slots=True)
class Checked:
    """One document after validation.

    `values` holds one entry per metric, in the order of METRICS, None where the day has no usable one.
    `counts` says whether the document takes part in the analytics at all: it is not refused whole and
    comes from a phone. `left_out` is the reason where it is neither refused nor counts.
    `user_id` and `day` (days since 1970-01-01) are None where they are unusable.
    """

    user_id: ObjectId | None
    day: int | None
    values: tuple[float | None, ...]
    counts: bool
    rejections: tuple[Rejected, ...] = ()
    left_out: str = ""


def check_document(document: Document, rules: DayRules) -> Checked:
    """Validate one document. A document without a `userId` is left out."""
    owner = document.get("userId")
    if owner is None:
        return Checked(None, None, _no_values(), False, left_out="no_userId")
    if not isinstance(owner, ObjectId):
        return Checked(None, None, _no_values(), False, (Rejected(document, "wrong_type_userId"),))
    day = place(document, rules)
    if isinstance(day, str):
        return Checked(owner, None, _no_values(), False, (Rejected(document, day),))
    if not from_phone(document, rules.sources):
        return Checked(owner, day, _no_values(), False, left_out=why_left_out(document, rules.sources))
    metrics = metrics_of(document)
    if metrics is None:
        refusal = Rejected(document, "metrics_not_a_document", "metrics")
        return Checked(owner, day, _no_values(), False, (refusal,))
    values: list[float | None] = []
    rejections: list[Rejected] = []
    for name, (low, high) in limits().items():
        value, reason = check_value(metrics.get(name), low, high)
        values.append(value)
        if reason is not None:
            rejections.append(Rejected(document, reason, f"metrics.{name}"))
    return Checked(owner, day, tuple(values), True, tuple(rejections))


def place(document: Document, rules: DayRules) -> int | str:
    """The document's day (days since 1970-01-01), or the reason why it is refused whole."""
    moment = document.get("date")
    if not isinstance(moment, datetime):
        return "out_of_range_date" if isinstance(moment, DatetimeMS) else "wrong_type_date"
    updated = document.get("updatedAt")
    if not isinstance(updated, datetime):
        return "out_of_range_updatedAt" if isinstance(updated, DatetimeMS) else "wrong_type_updatedAt"
    try:
        day = rules.day_of(moment)
    except OverflowError:
        return "out_of_range_date"
    return "future_day" if day > rules.last_day else day


def from_phone(document: Document, sources: tuple[str, ...]) -> bool:
    """Whether `document` is of one of `sources` and has no wearable reading (0 is a reading)."""
    if document.get("source") not in sources:
        return False
    metrics = metrics_of(document) or _NO_METRICS
    # A plain loop: this runs for every document of every history, a generator costs three times as much.
    for name in WEARABLE_FIELDS:
        if document.get(name) is not None or metrics.get(name) is not None:
            return False
    return True


def why_left_out(document: Document, sources: tuple[str, ...]) -> str:
    """The reason why `document` is not from a phone: `wearable`, or `source:` and its value, short."""
    source = document.get("source")
    if source in sources:
        return "wearable"
    return f"source:{shown_source(source)}"


def count_left_out(documents: Iterable[Document], sources: tuple[str, ...]) -> Counter[str]:
    """Count by reason those of `documents` that are not from a phone; it reads source and wearable fields."""
    return Counter(why_left_out(one, sources) for one in documents if not from_phone(one, sources))


def shown_source(source: Any) -> str:
    """A source's name for people and labels, whatever it is: printable, at most 40 characters."""
    if isinstance(source, str):
        shown = source[: _SHOWN_SOURCE + 1]
        # Characters that are not shown would make two sources look like one.
        shown = shown if shown.isprintable() else ascii(shown)[1:-1]
        return shown if len(shown) <= _SHOWN_SOURCE else shown[: _SHOWN_SOURCE - 1] + "…"
    return "(none)" if source is None else f"({type(source).__name__})"


def metrics_of(document: Document) -> Document | None:
    """The nested metrics, empty when absent or null; None when something else is in their place."""
    metrics = document.get("metrics")
    if type(metrics) is dict:  # the usual case, without the slow check against an abstract class
        return metrics
    if metrics is None:
        return _NO_METRICS
    return metrics if isinstance(metrics, Mapping) else None


def check_value(value: Any, low: float, high: float) -> tuple[float | None, str | None]:
    """The value as a finite float inside [low, high], or None and the reason; null is no value.

    Int, long, double and Decimal128 are numbers; a bool is not, although Python's is an int.
    """
    if value is None:
        return None, None
    # Compared before it is rounded to a double: Decimal128 100000.0000000000000001 is outside.
    number = value.to_decimal() if isinstance(value, Decimal128) else value
    if isinstance(value, bool) or not isinstance(number, int | float | Decimal):
        return None, "not_a_number"
    if not _is_finite(number):
        return None, "not_finite"
    if not low <= number <= high:
        return None, "out_of_range"
    return float(number) + 0.0, None  # + 0.0 turns -0.0 into 0.0


def _is_finite(number: float | Decimal) -> bool:
    if isinstance(number, Decimal):
        return number.is_finite()
    # math.isfinite raises on an integer beyond the doubles.
    return isinstance(number, int) or math.isfinite(number)


def _zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # ZoneInfoNotFoundError is a KeyError; a path or a folder gives one of the others.
        raise ConfigurationError(
            f"ANALYTICS_TIMEZONE={name!r} is not a known time zone: use an IANA name such as Europe/Berlin."
        ) from None
