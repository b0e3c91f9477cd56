"""The worked example of the contract: one user's steps of fifteen days, with one spike and one gap."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

from bson import ObjectId

USER = ObjectId("665000000000000000000001")
FIRST_DAY = datetime(2025, 1, 1, tzinfo=timezone.utc)
TODAY = date(2025, 1, 15)
STEPS: dict[int, int] = {
    1: 7000, 2: 7500, 3: 8000, 4: 8500, 5: 9000, 6: 9500, 7: 10000,
    9: 8500, 10: 8500, 11: 8500, 12: 8500, 13: 18000, 14: 8200, 15: 8200,
}  # fmt: skip


def day(number: int) -> datetime:
    """Midnight UTC of day `number`, from 1."""
    return FIRST_DAY + timedelta(days=number - 1)


def steps_document(number: int, steps: Any, user: ObjectId = USER, **fields: Any) -> dict[str, Any]:
    """A document of day `number` with steps only; `fields` replace or add top-level fields."""
    return {
        "_id": ObjectId(number.to_bytes(12, "big", signed=True)),
        "userId": user,
        "date": day(number),
        "metrics": {"steps": steps},
        "source": "googlefit",
        "updatedAt": day(number) + timedelta(hours=22),
        **fields,
    }


def documents() -> list[dict[str, Any]]:
    """The example as the backend stores it."""
    return [steps_document(number, steps) for number, steps in STEPS.items()]
