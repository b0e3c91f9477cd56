"""What the shop sold today: its sales by their index on the time, what was refused by the batch log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pymongo.errors import OperationFailure

from dashboard.data.database import MongoDatabase, bounded
from dashboard.data.values import mapping, whole
from monitoring.log_files import newest_entries

# More are told as "at least": a person does not count them.
MOST: Final = 100_000
_BYTES: Final = 4_000_000
_BY_TIME: Final = {"timestamp": 1}


@dataclass(frozen=True, slots=True)
class Today:
    """Invoices of the day, MOST at most; None where there is no index to count them by.

    `refused` counts records of the batches of the day; None where there is no log of it, or too long a one.
    """

    sales: int | None
    refused: int | None


def read_today(database: MongoDatabase, logs: Path | None, now: datetime) -> Today:
    """Read them for the day of `now` in UTC, as on all pages. Raises pymongo's errors and OSError."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Today(_sales(database, midnight), None if logs is None else _refused(logs, midnight))


def _sales(database: MongoDatabase, midnight: datetime) -> int | None:
    day = {"$gte": midnight, "$lt": midnight + timedelta(days=1)}
    wanted: dict[str, Any] = {"timestamp": day, "correction": {"$exists": False}}
    with bounded(database):
        try:
            return database["sales"].count_documents(wanted, limit=MOST, hint=_BY_TIME)
        except OperationFailure as error:
            # The pipeline makes it when it starts; a version before this one had none.
            if "hint" not in str(error).lower():
                raise
            return None


def _refused(logs: Path, midnight: datetime) -> int | None:
    path = logs / f"stock_batch_logs_{midnight:%Y%m%d}.jsonl"
    if not path.is_file() or path.stat().st_size > _BYTES:
        return None
    refused = 0
    for entry in newest_entries(logs, "stock", 1, _BYTES):
        if entry and entry[1] >= midnight:
            refused += sum(map(whole, mapping(entry[0].get("rejected_by_reason")).values()))
    return refused
