"""Which documents count, written a second time from the contract: the input half of reference.py."""

from __future__ import annotations

import math
import uuid
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from bson import Decimal128, ObjectId

LIMITS = {
    "steps": (0, 100_000),
    "distance": (0, 500),
    "calories": (0, 10_000),
    "activeMinutes": (0, 1_440),
    "weight": (30, 300),
    "sleepHours": (0, 24),
    "heartPoints": (0, 500),
    "hydration": (0, 10),
}


def accepted_days(
    documents: list[dict[str, Any]], zone: str, today: date
) -> dict[ObjectId, dict[date, dict[str, Any]]]:
    """By user and day the `metrics` of the one document that counts."""
    best: dict[tuple[ObjectId, date], dict[str, Any]] = {}
    for document in documents:
        if not isinstance(document.get("userId"), ObjectId):
            continue
        if not isinstance(document.get("date"), datetime):
            continue
        if not isinstance(document.get("updatedAt"), datetime):
            continue
        day = calendar_day(document["date"], zone)
        if day is None or day > today + timedelta(days=1):
            continue
        metrics = document.get("metrics")
        metrics = {} if metrics is None else metrics
        if not isinstance(metrics, dict) or not is_phone(document, metrics):
            continue
        place = (document["userId"], day)
        if place not in best or version(document) > version(best[place]):
            best[place] = document
    result: dict[ObjectId, dict[date, dict[str, Any]]] = {}
    for (user, day), document in best.items():
        result.setdefault(user, {})[day] = document.get("metrics") or {}
    return result


def is_phone(document: dict[str, Any], metrics: dict[str, Any]) -> bool:
    wearable = [
        place.get(name)
        for place in (document, metrics)
        for name in ("heartRate", "oxygenSaturation", "bloodOxygen")
    ]
    return document.get("source") in ["googlefit", "manual"] and wearable == [None] * 6


def calendar_day(moment: datetime, zone: str) -> date | None:
    instant = as_utc(moment)
    if (instant.hour, instant.minute, instant.second, instant.microsecond) == (0, 0, 0, 0):
        return instant.date()
    try:
        return instant.astimezone(ZoneInfo(zone)).date()
    except OverflowError:
        return None


def as_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def version(document: dict[str, Any]) -> tuple[datetime, int, Any]:
    """(updatedAt, _id); ids of the types that tests use, in the order of BSON's types."""
    identity = document.get("_id")
    if isinstance(identity, uuid.UUID):
        identity = identity.bytes
    order: list[type | tuple[type, ...]] = [type(None), (int, float), str, bytes, ObjectId]
    rank = next(place for place, kinds in enumerate(order) if isinstance(identity, kinds))
    return (as_utc(document["updatedAt"]), rank, 0 if identity is None else identity)


def usable_value(raw: Any, limits: tuple[int, int]) -> Fraction | None:
    """The exact value of the double that the number becomes, or None where it is not usable."""
    if isinstance(raw, Decimal128):
        raw = raw.to_decimal()
        if not raw.is_finite():
            return None
    elif isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
        return None
    low, high = limits
    return Fraction(float(raw)) if low <= Fraction(raw) <= high else None
