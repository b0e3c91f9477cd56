"""What is stock's own in a batch: Kafka's records become invoices, totals and rankings, each counted once.

A batch that comes again because of a crash is known by the ledger in the database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from analytics.stock.rules import INVENTORY, SALES
from contracts import BatchKey
from monitoring.logs import get_logger
from pipelines.engine.steps import Steps
from pipelines.engine.stream_batch import BatchWork, Keep
from pipelines.engine.topics import Collected, TopicInput, read_expired, read_some_way, tell_lost
from pipelines.stock.rankings import Rankings
from pipelines.stock.writer import Judged, StockTaken, StockWriter
from sinks.mongo_errors import is_transient_mongo
from sinks.stock.archive import StockArchive
from sinks.stock.ledger import StaleReadError
from sinks.stream_letters import RejectedRecord

STREAM = "stock"

logger = get_logger(__name__)


def is_transient(error: BaseException) -> bool:
    """Whether the same may succeed when it is simply done again."""
    return isinstance(error, StaleReadError) or is_transient_mongo(error)


@dataclass(frozen=True)
class Records:
    """A batch as `analytics.stock.rules.judge` reads it; `lost` ones were gone before they could be read."""

    rows: Sequence[dict[str, Any]]
    topic_ids: dict[str, str] = field(default_factory=dict)
    lost: int = 0


@dataclass(frozen=True)
class StockWork(BatchWork[Records, StockTaken]):
    """Takes records into MongoDB; `kinds` names the kind of each topic's. Who writes holds `writing`.

    Without `archive` and `source` only dead letters can be tried again.
    """

    kinds: Mapping[str, str]
    writer: StockWriter
    rankings: Rankings
    archive: StockArchive | None = None
    source: TopicInput | None = None
    on_lost: Callable[[int], None] = lambda _records: None
    on_batch: Callable[[], None] = lambda: None
    writing: threading.Lock = field(default_factory=threading.Lock)
    collected: Collected = field(default_factory=Collected)

    def known(self, key: BatchKey) -> StockTaken | None:
        """What the ledger says, after what was left open is finished."""
        return self.writer.known(key)

    def read(self, frame: DataFrame, key: BatchKey) -> Records:
        """The records, of the topics that were meant, in the driver's memory."""
        source = self.source
        if source is None:
            raise RuntimeError("there is no source to read from")
        rows, reading = read_some_way(
            source.open(frame, key.number),
            lambda reading: self.rows_of(self.collected.table(reading, source)),
        )
        places = [(row["topic"], row["partition"], row["offset"]) for row in rows]
        source.verify(reading)
        lost = source.lost(reading, len(rows), read_expired(reading, places))
        return Records(rows, dict(reading.ids), lost)

    @contextmanager
    def prepare(self, rows: Records, key: BatchKey | None, steps: Steps) -> Iterator[_Prepared]:
        """Judge them beside what is stored. Nothing is staged."""
        judged = self.writer.judge(key, rows.rows)
        steps.done("judge")
        yield _Prepared(self, rows, key, judged)

    def mark_reported(self, key: BatchKey) -> None:
        """In the ledger."""
        self.writer.ledger.mark_reported(key)

    def is_transient(self, error: BaseException) -> bool:
        """MongoDB is away for a moment, or another write came between."""
        return is_transient(error)

    def turn(self) -> AbstractContextManager[object]:
        """Upkeep writes too."""
        return self.writing

    def tell_lost(self, lost: int, batch: str) -> None:
        """Kafka had deleted them."""
        tell_lost(lost, batch, "records", self.on_lost)

    def follow(self, taken: StockTaken, steps: Steps) -> None:
        """Let readers see what the batch changed; what is as before stays untouched."""
        self.on_batch()
        if taken.records:
            self._publish(taken)
            steps.done("publish")

    def publish_winners(self, now: datetime) -> bool:
        """Let readers see the winners of the totals as they are; False when they are the same ones."""
        changed = self.rankings.publish_winners(now)
        self.writer.unpublished = False
        return changed

    def rows_of(self, records: pa.Table) -> list[dict[str, Any]]:
        """`records` (the columns of `usable`), each with its kind, None for a topic that is none of ours."""
        found: list[dict[str, Any]] = records.to_pylist()
        for row in found:
            row["kind"] = self.kinds.get(row["topic"])
        return found

    def _publish(self, taken: StockTaken) -> None:
        now = self.writer.clock.now()
        sales, products = taken.by_kind.get(SALES, 0), taken.by_kind.get(INVENTORY, 0)
        logger.info(f"📊 Product winners batch received - {sales} records")
        if sales or products or self.writer.unpublished:
            if sales:
                logger.info("📈 New sales data detected - recalculating product winners")
            logger.info(
                "✅ Product winners successfully written to MongoDB"
                if self.publish_winners(now)
                else "📉 The winners are the same - keeping previous product winners results"
            )
        else:
            logger.info("📉 No new sales data - keeping previous product winners results")
        if products:
            changed = self.rankings.publish_risks(now, at_once=False)
            logger.info(
                "✅ Loss-risk products successfully written to MongoDB"
                if changed
                else "📉 The risks are the same - keeping previous loss-risk results"
                if changed is False
                else "⏳ There are many loss-risk products - they are written with those of later batches"
            )


@dataclass(frozen=True)
class _Prepared:
    """A batch that was judged."""

    work: StockWork
    records: Records
    key: BatchKey | None
    judged: Judged

    def refused(self) -> Sequence[RejectedRecord]:
        return self.judged.intake.rejected

    def commit(self, _keep: Keep, steps: Steps) -> StockTaken:
        # A batch may have offsets and no records, of a compacted topic for example.
        if self.work.archive and self.key and self.records.rows:
            self.work.archive.store(str(self.key), self.records.rows, self.records.topic_ids)
            steps.done("cold")
        steps.at("open")
        return self.work.writer.write(self.judged, self.records.lost, steps.done)
