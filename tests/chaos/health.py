"""The health pipeline under crash loops: its data, its writers, its cursor, its sink and its dead letters."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime, timezone
from typing import Any

from pymongo import MongoClient

from tests.chaos.health_checks import check_letters, check_reflected, check_sink, read_cursor
from tests.chaos.health_writer import OVERLAP_SECONDS, HealthWriter
from tests.chaos.journal import Journal
from tests.chaos.servers import Surroundings
from tests.chaos.workload import Workload

_TURN_SECONDS = 1.0
_TIMEOUT_MS = 2_000


class HealthWorkload(Workload):
    """See `Workload`."""

    name = "health"
    settings = {  # noqa: RUF012
        "BATCH_INTERVAL_SECONDS": "1",
        "DEFAULT_LOOKBACK_DAYS": "3650",
        "POLL_OVERLAP_SECONDS": str(OVERLAP_SECONDS),
        # Mended documents leave the queue soon, and no letter is ever given up.
        "DLQ_RETRY_MINUTES": "0.05",
        "DLQ_MAX_ATTEMPTS": "1000000",
    }
    # Ties cross pages, and users cross pieces.
    cuts = {"MAX_BATCH_DOCUMENTS": "20", "MAX_USERS_PER_PIECE": "10"}  # noqa: RUF012
    beside = {"full": ("process_batch.py", "--full")}  # noqa: RUF012
    streams = False

    def __init__(self, around: Surroundings, seed: int) -> None:
        uri, door = around.mongo()
        database = {"MONGO_DB_NAME": "health"}
        super().__init__(around, {"MONGO_URI": f"{door}&socketTimeoutMS={_TIMEOUT_MS}", **database})
        self._client = MongoClient[dict[str, Any]](
            uri, tz_aware=True, serverSelectionTimeoutMS=_TIMEOUT_MS, uuidRepresentation="standard"
        )
        self._database = self._client["health"]
        self._journal = Journal()
        self._writer = HealthWriter(self._database["healthmetrics"], self._journal, seed)
        self._cursor: datetime | None = None
        self._mark = datetime.max.replace(tzinfo=timezone.utc)

    @property
    def counts(self) -> Counter[str]:
        """Live writes by kind."""
        return self._writer.counts

    def prepare(self) -> None:
        """Write the past."""
        self._writer.backfill()

    def started(self) -> bool:
        """There is a cursor."""
        return read_cursor(self.data) is not None

    def write(self, pause_seconds: tuple[float, float] = (0.05, 0.35)) -> threading.Thread:
        """Start the live writer."""
        return self._writer.run(pause_seconds)

    def stop_writing(self) -> None:
        """Let the running write be the last."""
        self._writer.stop()

    def mark(self) -> None:
        """Write a document that is dated after all others."""
        self._mark = self._writer.mark()

    def caught_up(self) -> bool:
        """The cursor has reached the mark: nothing that was written before may be missing any more."""
        cursor = read_cursor(self.data)
        return cursor is not None and cursor >= self._mark

    def watch(self) -> bool:
        """The cursor never goes back, never lies in the future, and is never ahead of the sink."""
        cursor = read_cursor(self.data)
        if cursor == self._cursor:
            return False
        assert cursor is not None, "the cursor file is gone"
        assert self._cursor is None or cursor > self._cursor, f"the cursor went back to {cursor}"
        assert cursor <= datetime.now(timezone.utc), f"the cursor {cursor} lies in the future"
        self._cursor = cursor
        check_reflected(self._database, self._journal, cursor)
        return True

    def check_crash_state(self) -> bool:
        """For each user of whom the cursor claims everything, the sink is that of the reference."""
        cursor, turn = read_cursor(self.data), self._writer.paused()
        if cursor is None or not turn.acquire(timeout=_TURN_SECONDS):
            return False
        try:
            check_sink(self._database, self._journal.settled(cursor))
        finally:
            turn.release()
        return True

    def check_result(self) -> None:
        """The sink is that of the reference."""
        check_sink(self._database)

    def check_dead_letters(self) -> None:
        """They are those of what is bad now."""
        check_letters(self._database, self.data)

    def check_end(self) -> None:
        """Also the source is what the writers were told it is, whatever happened to the server."""
        stored = {d["_id"]: d.get("updatedAt") for d in self._database["healthmetrics"].find()}
        assert stored == {key: d.get("updatedAt") for key, d in self._writer.documents.items()}
        self.check_result()
        self.check_dead_letters()

    def close(self) -> None:
        """Give up, also in the middle of a write."""
        self._writer.close()
        self._client.close()
