"""An e-commerce pipeline of one test: a folder of files, a database, and what came of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
from pyspark.sql import SparkSession

from contracts.ecommerce import EVENT_COLUMNS
from pipelines.ecommerce.job import assemble, assemble_retry, prepare_database
from pipelines.ecommerce.letters import EventLetters
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from simulation.ecommerce.events import EventGenerator, event_id
from tests.support.world import World

HEADER = ",".join(EVENT_COLUMNS)
_generator = EventGenerator(seed=3)


def events(count: int) -> list[dict[str, str]]:
    """Valid events, no two the same."""
    now = datetime.now(timezone.utc)
    found: dict[str, dict[str, str]] = {}
    while len(found) < count:
        event = _generator.event(now)
        found[event["event_id"]] = event
    return list(found.values())


def event(**changes: str) -> dict[str, str]:
    """One valid event with `changes`; its id is made anew unless it is changed too."""
    made = {**events(1)[0], **changes}
    if "event_id" not in changes:
        made["event_id"] = event_id(made["user_id"], made["product_id"], made["event_timestamp"])
    return made


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """A file with its header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, EVENT_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class Shop(World):
    """An e-commerce pipeline with a database and a watched folder of its own."""

    name = "ecommerce"

    def __init__(self, folder: Path, dsn: str, spark: SparkSession | None = None, **settings: Any) -> None:
        self.dsn = dsn
        self.incoming = folder / "incoming"
        self.incoming.mkdir(exist_ok=True)
        chosen = {"postgres_dsn": dsn, "ecommerce_input_path": self.incoming}
        super().__init__(folder, spark, {**chosen, **settings})
        self._files = 0

    def put(self, content: str | bytes | Sequence[Mapping[str, str]], name: str | None = None) -> Path:
        """A file in the watched folder, as whole as the generator's."""
        self._files += 1
        if not isinstance(content, str | bytes):
            content = as_csv(content)
        data = content.encode() if isinstance(content, str) else content
        path = self.incoming / (name or f"events_{self._files:06d}.csv")
        temporary = path.with_name(f".tmp_{path.name}")
        temporary.write_bytes(data)
        return temporary.rename(path)

    def pipeline(self) -> StreamJob:
        """A pipeline on this test's Spark, as a fresh process would build it."""
        prepare_database(self.settings)
        return assemble(self.settings, self.spark)

    def run(self) -> bool:
        """Process what is there."""
        return self.pipeline().once(StopFlag())

    def retrying(self) -> EventLetters:
        """What `dlq retry` calls."""
        prepare_database(self.settings)
        return assemble_retry(self.settings, self.spark)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """What a statement finds in the database."""
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(statement).fetchall()

    def ids(self) -> list[str]:
        """The ids of all stored events, in order."""
        return [str(found) for (found,) in self.query("SELECT event_id FROM user_events ORDER BY event_id")]

    def dead_lines(self) -> dict[tuple[str, int], tuple[str, Any]]:
        """Reason and text of each refused record, by file name and line."""
        return {(Path(file).name, line): found for (file, line), found in self.dead_records().items()}

    def assert_accounted(self, records: int) -> None:
        """The ledger and the table say the same."""
        super().assert_accounted(records)
        ledger = self.query("SELECT sum(records_in), sum(inserted), sum(duplicates) FROM user_event_batches")
        assert ledger == [(records, self.total("records_written"), self.total("duplicates"))]
        assert len(self.ids()) == self.total("records_written")


def minutes_ago(minutes: float) -> str:
    """A time as events have it."""
    return (datetime.now(timezone.utc) - timedelta(minutes=minutes)).isoformat()
