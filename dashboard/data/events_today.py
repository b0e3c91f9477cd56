"""Reads what came in today from the ledger of the e-commerce pipeline, by its index on `committed_at`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

import psycopg

from dashboard.data.events_database import FAULTS, explain, reading
from dashboard.data.remembered import Loaded, Remembered

_SECONDS: Final = 10.0
_LAST: Final = "SELECT committed_at FROM user_event_batches ORDER BY committed_at DESC LIMIT 1"
# The day is the one of UTC, as on all pages.
TODAY: Final = """
    SELECT coalesce(sum(inserted), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,
        coalesce(sum(records_in - inserted - duplicates), 0)::bigint
    FROM user_event_batches WHERE committed_at >= date_trunc('day', now(), 'UTC')
"""


@dataclass(frozen=True, slots=True)
class Today:
    """Records of the batches that were committed since midnight UTC, by what became of them."""

    last_commit: datetime
    inserted: int
    duplicates: int
    refused: int


class EventsToday:
    """Reads of PostgreSQL, remembered for all sessions."""

    def __init__(self, dsn: str) -> None:
        """The server is first contacted by the first read."""
        self._dsn = dsn
        self._memory = Remembered(explain, FAULTS)

    def get(self) -> Loaded[Today | None]:
        """The figures; the value is None before the pipeline's first batch."""
        return self._memory.get("today", self._read, _SECONDS)

    def _read(self) -> Today | None:
        with reading(self._dsn) as connection:
            return read_today(connection)


def read_today(connection: psycopg.Connection[Any]) -> Today | None:
    """Read them; None before the first batch. Raises psycopg's errors."""
    if connection.execute("SELECT to_regclass('user_event_batches')").fetchone() == (None,):
        return None
    last = connection.execute(_LAST).fetchone()
    if last is None:
        return None
    inserted, duplicates, refused = connection.execute(TODAY).fetchall()[0]
    return Today(last[0].astimezone(timezone.utc), inserted, duplicates, refused)
