"""Reads the newest analytics of all users, by two bounded reads of one index.

The collection may hold millions of documents, and a standalone installation has only two indexes on it:
the unique key {userId, timeRange, metricType} and the TTL index {expiresAt}. None leads to "the latest" or
"the anomalies" directly, but `expiresAt` is always `calculatedAt` + 90 days, so the TTL index is also the
order of calculation. Hence:

- how many documents there are is the server's own estimate, which reads no document;
- how many were calculated lately is a count over a range of the index that stops at LOOK_AT keys;
- everything else comes from the newest LOOK_AT documents in that order. The range of the second read is the
  shortest counted one that holds them, because not every server walks an index backwards for a sort.

Each read names the index (`hint`), so a server without it refuses instead of scanning the collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from analytics.health.documents import LIFETIME
from analytics.health.unusual import Unusual
from dashboard.data.database import AnalyticsCollection, bounded, server_now
from dashboard.data.values import Place, day, moment, number, read_places, text

# A thousand users of 24 documents each.
LOOK_AT: Final = 24_000
WINDOWS: Final = {
    "last hour": timedelta(hours=1),
    "last 24 hours": timedelta(hours=24),
    "last 7 days": timedelta(days=7),
    "last 90 days": timedelta(days=90),
}
EXPIRY_INDEX: Final = [("expiresAt", 1)]
_FIELDS: Final = {
    "_id": 0,
    "userId": 1,
    "metricType": 1,
    "calculatedAt": 1,
    "analytics.anomalyDetails": 1,
}
# The columns of `rows` and of `anomalies`, in their order.
_ROW: Final[dict[str, Place]] = {
    "user": ("userId", text),
    "metric": ("metricType", text),
    "calculated": ("calculatedAt", moment),
}
_ANOMALY: Final[dict[str, Place]] = {
    "day": ("analytics.anomalyDetails.detectedAt", day),
    "user": ("userId", text),
    "metric": ("metricType", text),
    "severity": ("analytics.anomalyDetails.severity", text),
    "actual": ("analytics.anomalyDetails.actualValue", number),
    "expected": ("analytics.anomalyDetails.expectedValue", number),
    "deviation": ("analytics.anomalyDetails.deviation", number),
    "message": ("analytics.anomalyDetails.message", text),
    "calculated": ("calculatedAt", moment),
}


@dataclass(frozen=True)
class Recent:
    """The newest results at `now` (the server's time).

    `documents` is the estimated size of the collection. `windows` counts the documents calculated in each of
    WINDOWS, at most LOOK_AT. `rows` (_ROW, the newest first) has one row per user and metric among the
    newest LOOK_AT documents, `anomalies` (_ANOMALY, the latest day first) the latest anomaly of each.
    `is_whole` says that these are all there are.
    """

    now: datetime
    documents: int
    windows: Mapping[str, int]
    rows: pd.DataFrame
    anomalies: pd.DataFrame
    is_whole: bool

    @property
    def newest(self) -> datetime | None:
        """The latest `calculatedAt`, None without any."""
        return _python(self.rows["calculated"].max())

    @property
    def oldest(self) -> datetime | None:
        """The `calculatedAt` down to which `rows` reaches."""
        return _python(self.rows["calculated"].min())

    def users(self) -> list[str]:
        """Ids of the users in `rows`, the latest calculated first."""
        return list(dict.fromkeys(self.rows["user"]))

    def user_count(self) -> int:
        """Users of the whole collection: exact when `is_whole`, else estimated from documents per user."""
        seen = self.rows["user"].value_counts(sort=False)
        if self.is_whole or len(seen) == 0:
            return len(seen)
        # Each metric of a user has one document per range.
        return max(len(seen), round(self.documents / (3 * float(seen.mean()))))

    def complete_since(self, zone: str) -> date | None:
        """The day from which on `anomalies` lacks none; None when that is every day.

        An anomaly of day d needs a value of day d, and the service takes values up to tomorrow. So a document
        calculated before `oldest` holds no anomaly later than the day after.
        """
        if self.is_whole or self.oldest is None:
            return None
        return self.oldest.astimezone(ZoneInfo(zone)).date() + timedelta(days=2)


def read_recent(collection: AnalyticsCollection) -> Recent:
    """Read one snapshot. Raises pymongo's errors."""
    with bounded(collection):
        now = server_now(collection)
        documents = collection.estimated_document_count()
        # The estimate may be wrong after a crash of the server; an empty collection may lack the index.
        if documents == 0 and collection.find_one({}, {"_id": 1}) is None:
            return _recent(now, 0, dict.fromkeys(WINDOWS, 0), [])
        windows: dict[str, int] = {}
        for name, span in WINDOWS.items():
            # A longer window has what a shorter one has: once there are enough, no more are counted.
            is_enough = LOOK_AT in windows.values()
            windows[name] = LOOK_AT if is_enough else _count(collection, now - span)
        name = next((name for name, count in windows.items() if count >= LOOK_AT), "last 90 days")
        found = list(collection.aggregate(_pipeline(now - WINDOWS[name]), hint=dict(EXPIRY_INDEX)))
    return _recent(now, documents, windows, found)


def unusual_in(anomalies: pd.DataFrame) -> list[Unusual]:
    """The rows of data.recent's `anomalies` that have numbers; those of other programs may lack them."""
    usable = anomalies.dropna(subset=["actual", "expected", "deviation"])
    columns = ("user", "day", "metric", "actual", "expected", "deviation", "severity")
    return [Unusual(*row) for row in zip(*(usable[name] for name in columns), strict=True)]


def _count(collection: AnalyticsCollection, since: datetime) -> int:
    return collection.count_documents(
        {"expiresAt": {"$gte": since + LIFETIME}}, limit=LOOK_AT, hint=dict(EXPIRY_INDEX)
    )


def _pipeline(since: datetime) -> list[dict[str, Any]]:
    return [
        {"$match": {"expiresAt": {"$gte": since + LIFETIME}}},
        {"$sort": {"expiresAt": -1}},
        {"$limit": LOOK_AT},
        # The longest range holds the latest anomaly of all three; one document per user and metric is enough.
        {"$match": {"timeRange": "90day"}},
        {"$project": _FIELDS},
    ]


def _recent(now: datetime, documents: int, windows: Mapping[str, int], found: list[dict[str, Any]]) -> Recent:
    rows = pd.DataFrame([read_places(_ROW, one) for one in found], columns=list(_ROW))
    unusual = [row for one in found if (row := read_places(_ANOMALY, one))["day"]]
    anomalies = pd.DataFrame(unusual, columns=list(_ANOMALY))
    # A column of nothing but None would have no numbers' type.
    anomalies = anomalies.astype({"actual": float, "expected": float, "deviation": float})
    for frame in (rows, anomalies):
        frame["calculated"] = pd.to_datetime(frame["calculated"], utc=True, errors="coerce")
    # Stable sorts: the largest deviation first within a day.
    anomalies = anomalies.sort_values("deviation", ascending=False, key=lambda column: column.abs())
    anomalies = anomalies.sort_values("day", ascending=False, kind="stable").reset_index(drop=True)
    return Recent(now, documents, windows, rows, anomalies, is_whole=windows["last 90 days"] < LOOK_AT)


def _python(stamp: Any) -> datetime | None:
    return None if pd.isna(stamp) else stamp.to_pydatetime()
