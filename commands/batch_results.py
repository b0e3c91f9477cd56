"""Shows at the end of a one-shot run the rolling averages and anomalies of a few users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.table import Table

from contracts.health_metrics import METRICS
from monitoring.console import counted

_DAYS = 15
_USERS = 5
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RunResults:
    """What a run wrote: all results of a few users (`shown`), and how many users and anomalies in all.

    The numbers are None where it would take too long to count them.
    """

    shown: Sequence[dict[str, Any]]
    users: int | None
    anomalies: int | None


def results_since(target: Collection[dict[str, Any]], began: datetime) -> RunResults:
    """The results that a run has written since `began`, whatever another program dated so.

    They are found by the index that lets results expire: one on their time is the backend's, if it has one.
    """
    from analytics.health.documents import LIFETIME, is_result

    of_run, users = {"expiresAt": {"$gte": began + LIFETIME}}, dict[Any, int]()
    shown: list[dict[str, Any]] = []
    try:
        with pymongo.timeout(_SECONDS):
            for document in filter(is_result, target.find(of_run).sort("expiresAt", -1)):
                users.setdefault(document["userId"], len(users))
                if len(users) == _USERS:
                    break
            found = filter(is_result, target.find({**of_run, "userId": {"$in": list(users)}}))
            shown = sorted(found, key=lambda document: users.get(document["userId"], _USERS))
        with pymongo.timeout(_SECONDS):
            return RunResults(shown, *_totals(target, of_run))
    except PyMongoError:
        return RunResults(shown, None, None)


def _totals(target: Collection[dict[str, Any]], of_run: Mapping[str, Any]) -> tuple[int, int]:
    """How many users have results of the run, and how many of these are anomalies."""
    ours = {
        "userId": {"$type": "objectId"},
        "metricType": {"$in": [*METRICS]},
        "analytics": {"$type": "object"},
    }
    is_anomaly = [{"$eq": ["$timeRange", "90day"]}, {"$eq": ["$analytics.anomalyDetected", True]}]
    a_user = {"_id": "$userId", "found": {"$sum": {"$cond": [{"$and": is_anomaly}, 1, 0]}}}
    everybody = {"_id": None, "users": {"$sum": 1}, "found": {"$sum": "$found"}}
    rows = target.aggregate([{"$match": {**of_run, **ours}}, {"$group": a_user}, {"$group": everybody}])
    return next(((row["users"], row["found"]) for row in rows), (0, 0))


def print_results(results: RunResults, console: Console) -> None:
    """Print the first metric's last 15 days and the anomalies of the users shown, and the numbers of all.

    A value that another program wrote is passed over where it has another type.
    """
    from analytics.health.documents import beside_its_day

    documents = results.shown
    first, about = next(iter(METRICS.items()))
    months = [d for d in documents if d["metricType"] == first and d["timeRange"] == "30day"]
    averages = {d["userId"]: d for d in documents if d["metricType"] == first and d["timeRange"] == "7day"}
    for document in months:
        # As the title of the narrow table it would break the user's id over two lines.
        console.print(f"📈 {about.label}, last {_DAYS} days: user {document['userId']}", highlight=False)
        table = Table("day", about.unit)
        for day, value in list(_points(document))[-_DAYS:]:
            table.add_row(f"{day:%Y-%m-%d}", f"{value:,.10g}")
        console.print(table)
        week = averages.get(document["userId"])
        average = week["analytics"].get("rollingAverage") if week else None
        if isinstance(average, int | float):
            console.print(f"   7-day rolling average: {average:,.2f}")
    found = [d for d in documents if d["analytics"].get("anomalyDetected") and d["timeRange"] == "90day"]
    shown = len({document["userId"] for document in documents})
    if results.users is None:
        console.print(
            f"Shown: {counted(shown, 'user')}; all of them could not be counted in {_SECONDS:g} seconds"
        )
    else:
        console.print(f"Shown: {shown} of {counted(results.users, 'user')}")
        console.print(
            f"⚠️  Detected anomalies: {results.anomalies:,}, {len(found)} of them of the users shown:"
        )
    for document in found:
        details = document["analytics"].get("anomalyDetails")
        detected = details.get("detectedAt") if isinstance(details, Mapping) else None
        if isinstance(detected, datetime):
            message = beside_its_day(str(details.get("message")), detected)
            told = f"   {document['userId']} {detected:%Y-%m-%d} {message}"
            console.print(told, highlight=False, markup=False)


def _points(document: Mapping[str, Any]) -> Iterator[tuple[datetime, float]]:
    points = document.get("historicalData")
    for point in points if isinstance(points, list) else []:
        day, value = (point.get(name) for name in ("date", "value")) if isinstance(point, Mapping) else (0, 0)
        if isinstance(day, datetime) and isinstance(value, int | float):
            yield day, value
