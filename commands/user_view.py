"""One user as a person wants to see them: the last days as they count, and the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.documents import is_result, midnight
from analytics.health.history_table import history_table
from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules, check_document
from contracts.health_metrics import METRICS
from pipelines.health.page_work import Piece
from sources.health.history import read_history
from sources.health.inspection import standing
from sources.mongo_client import for_reading

_EARLIEST = datetime.min.replace(tzinfo=timezone.utc)
_FIRST_DAY = (_EARLIEST - datetime.fromtimestamp(0, timezone.utc)).days


@dataclass(frozen=True)
class UserView:
    """`values` holds, for each metric, one value a day of `days` (UTC midnights, oldest first).

    They are the values that count: validated, one document a day. `results` are the analytics documents by
    metric and range. `newest_change` is the greatest updatedAt of all the user's documents. `ends` says how
    many of these have which end (contracts.ends) as they lie there now, `reasons` why some do not count.
    """

    user: ObjectId
    documents: int
    newest_change: datetime | None
    days: Sequence[datetime]
    values: Mapping[str, Sequence[float | None]]
    results: Mapping[tuple[str, str], Mapping[str, Any]]
    ends: Mapping[str, int]
    reasons: Mapping[str, int]
    cursor: datetime

    @property
    def calculated_at(self) -> datetime | None:
        """When the newest result was computed."""
        times = [document.get("calculatedAt") for document in self.results.values()]
        return max((time for time in times if isinstance(time, datetime)), default=None)

    @property
    def standing(self) -> str:
        """Whether the newest change is computed, waits for the cursor, or was passed by."""
        return standing(self.newest_change, self.calculated_at, self.cursor)


def view_user(
    source: Collection[dict[str, Any]],
    target: Collection[dict[str, Any]],
    user: ObjectId,
    rules: DayRules,
    days: int,
    cursor: datetime,
) -> UserView:
    """Read the user's history and results by their indexes; the last day shown is the newest that counts."""
    documents = list(read_history(source, [user]))
    superseded = Superseded(_EARLIEST)
    table = history_table(documents, [user], rules, superseded).to_pylist()
    piece = Piece("", _EARLIEST)
    for document in documents:
        piece.judged(document, check_document(document, rules))
    piece.settle(set(), superseded)
    last = table[-1]["day"] if table else rules.last_day - 1
    by_day = {row["day"]: row for row in table}
    shown = range(max(last - days + 1, _FIRST_DAY), last + 1)
    changes = [document.get("updatedAt") for document in documents]
    results = for_reading(target).find({"userId": user})
    return UserView(
        user=user,
        documents=len(documents),
        newest_change=max((change for change in changes if isinstance(change, datetime)), default=None),
        days=[midnight(day) for day in shown],
        values={name: [by_day.get(day, {}).get(name) for day in shown] for name in METRICS},
        results={(each["metricType"], each["timeRange"]): each for each in results if is_result(each)},
        ends=piece.ends,
        reasons=piece.left_out + Counter(each.reason for each in piece.rejected),
        cursor=cursor,
    )
