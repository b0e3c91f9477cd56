"""Analytics documents as the service stores them, computed by the reference from simulated people."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from simulation.health.population import PATTERN_USER_ID, Population, worked_example
from sources.mongo_client import connect
from tests.support.reference import reference_analytics

_DAYS = 125


@lru_cache(maxsize=4)
def _computed(users: int, today: date, at: datetime) -> tuple[dict[str, Any], ...]:
    source = connect(f"mongomock://documents-{users}-{today}")["people"]["healthmetrics"]
    Population(seed=7, users=users, days=_DAYS, today=today).backfill(source, at)
    source.insert_many(worked_example(PATTERN_USER_ID, today))
    return tuple(reference_analytics(list(source.find()), "UTC", today).values())


def analytics_documents(users: int, calculated_at: datetime) -> list[dict[str, Any]]:
    """24 documents for each of `users` and fewer for the pattern user, who walks only.

    Each user was calculated a second before the one before; the first at `calculated_at`.
    """
    documents = _computed(
        users, calculated_at.date(), calculated_at.replace(hour=0, minute=0, second=0, microsecond=0)
    )
    order = {user: number for number, user in enumerate(dict.fromkeys(d["userId"] for d in documents))}
    stored = []
    for document in documents:
        at = calculated_at - timedelta(seconds=order[document["userId"]])
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        stored.append({**document, "calculatedAt": at, "expiresAt": at + timedelta(days=90)})
    return stored
