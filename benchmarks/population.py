"""Databases to measure on: U users with one document for each of D days, and changes to some of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

_DOCUMENTS_PER_INSERT = 5_000
_Source = Collection[dict[str, Any]]


def user_ids(users: int) -> list[ObjectId]:
    """The ids of a population, the same in every run."""
    return [ObjectId(number.to_bytes(12, "big")) for number in range(1, users + 1)]


def fill(
    database: Database[dict[str, Any]], users: int, days: int, spread: bool = False, only_steps: bool = False
) -> _Source:
    """The collection with `users` * `days` documents, made once, then kept.

    All of them are a day old; `spread`: changed at random moments of the day before yesterday, and each
    user's newest in yesterday's last hour. `only_steps`: without the other metrics.
    """
    source = database["healthmetrics"]
    if source.estimated_document_count() != users * days:
        source.drop()
        source.create_index([("userId", 1), ("date", 1)], unique=True)
        source.create_index([("updatedAt", 1), ("_id", 1)])
        piece: list[dict[str, Any]] = []
        for document in _documents(users, days, spread, only_steps):
            piece.append(document)
            if len(piece) == _DOCUMENTS_PER_INSERT:
                source.insert_many(piece, ordered=False)
                piece = []
        if piece:
            source.insert_many(piece, ordered=False)
    return source


def _documents(users: int, days: int, spread: bool, only_steps: bool) -> Iterator[dict[str, Any]]:
    rng = random.Random(users)
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    dates = [today - timedelta(days=back) for back in range(days)]
    for user in user_ids(users):
        weight = rng.uniform(50, 110)
        for back, date in enumerate(dates):
            steps = rng.randrange(500, 16_000)
            metrics: dict[str, Any] = {
                "steps": steps,
                "distance": steps * 0.00074,
                "calories": 1_500 + steps // 20,
                "activeMinutes": steps // 110,
                "heartPoints": steps // 300,
                "weight": round(weight + rng.gauss(0, 0.4), 1) if back % 3 == 0 else None,
                "sleepHours": round(rng.uniform(5, 9), 1),
                "hydration": round(rng.uniform(0.5, 3), 1),
            }
            updated_at = today - timedelta(days=1)
            if spread:
                if back == 0:
                    updated_at = today - timedelta(milliseconds=rng.randrange(3_600_000))
                else:
                    updated_at -= timedelta(milliseconds=rng.randrange(86_400_000))
            if only_steps:
                metrics = {"steps": steps}
            yield {
                "userId": user,
                "date": date,
                "metrics": metrics,
                "source": "googlefit",
                "updatedAt": updated_at,
            }


def _sync(rng: random.Random) -> dict[str, Any]:
    steps = rng.randrange(500, 16_000)
    return {
        "metrics.steps": steps,
        "metrics.distance": steps * 0.00074,
        "metrics.calories": 1_500 + steps // 20,
        "metrics.activeMinutes": steps // 110,
        "metrics.heartPoints": steps // 300,
    }


# What changes, by workload: how many days before the newest, and to what. A day so old is in the range of 90
# days, and in no other range nor the one before it.
_CHANGES: dict[str, tuple[int, Callable[[random.Random], dict[str, Any]]]] = {
    "sync": (0, _sync),
    "correction": (75, lambda rng: {"metrics.sleepHours": round(rng.uniform(5, 9), 3)}),
    "weight": (0, lambda rng: {"metrics.weight": round(rng.uniform(50, 110), 3)}),
    "first": (0, _sync),
}
WORKLOADS = tuple(_CHANGES)


def change(source: _Source, users: Sequence[ObjectId], rng: random.Random, workload: str = "sync") -> None:
    """Give each of `users` other values on one day, now."""
    newest = next(iter(source.find({"userId": users[0]}).sort("date", -1).limit(1)))
    back, values = _CHANGES[workload]
    now, day = datetime.now(timezone.utc), newest["date"] - timedelta(days=back)
    changes = ({"$set": {**values(rng), "updatedAt": now}} for _ in users)
    source.bulk_write(
        [UpdateOne({"userId": user, "date": day}, each) for user, each in zip(users, changes, strict=False)],
        ordered=False,
    )
