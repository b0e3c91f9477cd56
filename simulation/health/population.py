"""A simulated population that writes `healthmetrics` documents like the backend does, from a seed.

People have habits of their own, seasons, weekends, days off the phone, phones that upload late, several
sources and now and then a value that cannot be.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

from bson import ObjectId
from pymongo.collection import Collection

from contracts.health import PHONE_SOURCES
from contracts.health_metrics import METRICS

PATTERN_USER_ID: Final = ObjectId("0123456789abcdef01234567")
_PATTERN_STEPS: Final = (
    7000, 7500, 8000, 8500, 9000, 9500, 10_000, None, 8500, 8500, 8500, 8500, 18_000, 8200, 8200,
)  # fmt: skip
_SOURCES: Final = ("googlefit", "googlefit", "googlefit", "manual", "import")
BAD_VALUES: Final = ("many", -40, float("nan"), 10**9, {"value": 7})
_WEIGHTS_EVERY_DAYS: Final = 3
_INSERTED_AT_ONCE: Final = 10_000


class _Person:
    """One simulated user's habits."""

    def __init__(self, rng: random.Random) -> None:
        self.id = ObjectId(rng.randbytes(12))
        self.steps = rng.gauss(8500, 2000)
        self.weekend = rng.uniform(0.6, 1.5)
        self.season = rng.uniform(0.0, 0.25)
        self.weight = rng.gauss(76, 11)
        self.weight_per_day = rng.gauss(0, 0.01)
        self.sleep = rng.gauss(7.2, 0.6)
        self.gap = rng.choice([0.01, 0.04, 0.12])


class Population:
    """`users` people with `days` days of history up to `today`; the same seed gives the same people."""

    def __init__(self, seed: int, users: int, days: int, today: date) -> None:
        self._rng = random.Random(seed)
        self._days = days
        self._today = today
        self._people = [_Person(self._rng) for _ in range(users)]

    @property
    def ids(self) -> list[ObjectId]:
        """Who there is."""
        return [person.id for person in self._people]

    def backfill(self, collection: Collection[dict[str, Any]], now: datetime) -> int:
        """Insert every person's history, uploaded within the ten minutes before `now`; returns its size."""
        documents = [
            self._document(person, day, now - timedelta(milliseconds=self._rng.randrange(600_000)))
            for person in self._people
            for day in self._recorded_days(person)
        ]
        self._spoil(documents)
        # Some servers take at most 25 000 documents at once.
        for start in range(0, len(documents), _INSERTED_AT_ONCE):
            collection.insert_many(documents[start : start + _INSERTED_AT_ONCE])
        return len(documents)

    def live_change(self, collection: Collection[dict[str, Any]], now: datetime) -> dict[str, Any]:
        """One upload at `now`: mostly today, sometimes a late phone or a correction of an older day."""
        person = self._rng.choice(self._people)
        back = 0 if self._rng.random() < 0.6 else self._rng.randrange(1, min(self._days, 40))
        document = self._document(person, self._today - timedelta(days=back), now)
        key = {"userId": document["userId"], "date": document["date"]}
        values = {name: value for name, value in document.items() if name not in ("_id", *key)}
        collection.update_one(key, {"$set": values}, upsert=True)
        return document

    def _recorded_days(self, person: _Person) -> Iterator[date]:
        for back in range(self._days):
            if self._rng.random() >= person.gap:
                yield self._today - timedelta(days=back)

    def _document(self, person: _Person, day: date, updated_at: datetime) -> dict[str, Any]:
        rng = self._rng
        season = 1 + person.season * math.sin(2 * math.pi * (day.timetuple().tm_yday - 80) / 365)
        weekend = person.weekend if day.weekday() >= 5 else 1.0
        steps = max(0, round(person.steps * season * weekend * rng.lognormvariate(0, 0.2)))
        if rng.random() < 0.02:
            steps = min(60_000, steps * 3)
        age = (self._today - day).days
        weighed = age % _WEIGHTS_EVERY_DAYS == 0
        metrics: dict[str, Any] = {
            "steps": steps,
            "distance": round(steps * 0.00074, 2),
            "calories": round(1500 + steps * 0.045),
            "activeMinutes": min(1440, round(steps / 110)),
            "heartPoints": min(500, round(steps / 300)),
            "weight": round(person.weight - age * person.weight_per_day, 1) if weighed else None,
            "sleepHours": round(min(12, max(3, rng.gauss(person.sleep, 0.8))), 1),
            "hydration": round(max(0.2, rng.gauss(1.8, 0.4)), 1) if rng.random() < 0.7 else None,
        }
        for name in (each for each in METRICS if each not in metrics):
            metrics[name] = self._any_value(name)
        return {
            "_id": ObjectId(rng.randbytes(12)),
            "userId": person.id,
            "date": _midnight(day),
            "metrics": metrics,
            "source": rng.choice(_SOURCES),
            "updatedAt": updated_at.replace(microsecond=updated_at.microsecond // 1000 * 1000),
        }

    def _any_value(self, metric: str) -> float:
        """A value of a `metric` that nothing is known of but its range: mostly near the middle."""
        low, high = METRICS[metric].low, METRICS[metric].high
        return round(min(high, max(low, self._rng.gauss((low + high) / 2, (high - low) / 12))), 1)

    def _spoil(self, documents: list[dict[str, Any]]) -> None:
        """Put a bad value, each of another kind, into a few of `documents`."""
        for document, value in zip(self._rng.sample(documents, len(BAD_VALUES)), BAD_VALUES, strict=True):
            document["metrics"]["steps"] = value


def worked_example(user_id: ObjectId, today: date, source: str = PHONE_SOURCES[0]) -> list[dict[str, Any]]:
    """The pattern user's fourteen documents, days 1 to 15 (= `today`) without day 8, from `source`."""
    first = today - timedelta(days=len(_PATTERN_STEPS) - 1)
    updated_at = datetime.now(timezone.utc).replace(microsecond=0)
    return [
        {
            "userId": user_id,
            "date": _midnight(first + timedelta(days=index)),
            "metrics": {"steps": steps},
            "source": source,
            "updatedAt": updated_at,
        }
        for index, steps in enumerate(_PATTERN_STEPS)
        if steps is not None
    ]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
