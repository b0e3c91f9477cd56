"""The stock batch: its ordered steps, from Kafka's records to Spark's commit.

judge → … → close (these in writer.py) → publish → report.
Spark takes the records as read only after the function has returned. A batch that comes again because of a
crash is known by the ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from itertools import islice
from typing import Any

from pyspark.sql import DataFrame

from analytics.stock.rules import INVENTORY, SALES
from contracts import BatchReport, WriteResult, ends
from monitoring.logs import get_logger
from pipelines.engine.faults import Faults
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.topics import Reading, TopicInput, read_expired, tell_lost
from pipelines.stock.rankings import Rankings
from pipelines.stock.writer import Outcome, StockWriter
from retry import RetryPolicy
from sinks.mongo_errors import is_transient_mongo
from sinks.stock.archive import StockArchive
from sinks.stock.ledger import BatchKey, StaleReadError
from sinks.stream_letters import RejectedRecord, as_letters

STREAM = "stock"
# So many at a time are in memory; each holds up to 500 records.
_LETTERS_AT_ONCE = 50

logger = get_logger(__name__)


def is_transient(error: BaseException) -> bool:
    """Whether the same may succeed when it is simply done again."""
    return isinstance(error, StaleReadError) or is_transient_mongo(error)


@dataclass
class Steps:
    """Wall milliseconds of a batch by step, each of which may be chosen to fail."""

    faults: Faults
    ms: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.monotonic)

    def mark(self, step: str) -> None:
        """A step is done."""
        now = time.monotonic()
        self.ms[step] = round((now - self.last) * 1000, 3)
        self.last = now
        self.faults.reach(step)


class BatchRows:
    """The records of a micro-batch, read from Spark once, on first use."""

    def __init__(self, parse: Callable[[DataFrame], DataFrame], reading: Reading) -> None:
        self._parse = parse
        self.reading = reading

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """As `analytics.stock.rules.parse` makes them."""
        try:
            found = self._parse(self.reading.records).toArrow()
        except Exception as error:
            if self.reading.again is None:
                raise
            found = self._parse(self.reading.again(error)).toArrow()
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows


@dataclass(frozen=True)
class StockBatch:
    """Takes one micro-batch into MongoDB, exactly once. `turn` is held by whoever writes.

    Without `archive` and `source` records that were read before can be tried again, but none be read.
    """

    parse: Callable[[DataFrame], DataFrame]
    writer: StockWriter
    rankings: Rankings
    reporting: StreamReporting
    retry: RetryPolicy
    faults: Faults
    archive: StockArchive | None = None
    source: TopicInput | None = None
    on_lost: Callable[[int], None] | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    def process(self, frame: DataFrame, number: int) -> None:
        """The function for `foreachBatch`.

        Raises UnavailableError when MongoDB stayed away, DeadLetterError or OSError when something cannot be
        kept, AlreadyRunningError when another process has taken over; then the batch is to come again.
        """
        query_id = frame.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
        if query_id is None:
            raise RuntimeError("not called by foreachBatch: the query has no id")
        began = self.reporting.begin(STREAM, str(number))
        steps = Steps(self.faults)
        batch, lost = self._read(frame, number)
        if not batch.rows and not lost:
            # Offsets without records, of a compacted topic for example: what is stored stays as it is.
            self.reporting.report(STREAM, BatchReport(str(number), began, datetime.now(timezone.utc)))
            return
        steps.mark("read")
        with self.turn:
            key = BatchKey(query_id, number)
            outcome = self.retry.call(lambda: self._write(key, batch, steps), is_transient)
            self.publish(outcome)
            steps.mark("publish")
            if outcome.reported:
                logger.info(f"Batch {number} was done and reported before; Spark alone had not noted it")
                return
            tell_lost(lost, f"Batch {number}", "records", self.on_lost)
            self.reporting.report(STREAM, report_of(number, outcome, began, steps.ms))
            self.faults.reach("report")
            self.retry.call(lambda: self.writer.ledger.mark_reported(key), is_transient)

    def try_again(self, key: BatchKey, records: DataFrame) -> set[tuple[str, int]]:
        """Take in records that were refused before; source and offset of those refused again."""
        refused: set[tuple[str, int]] = set()
        batch = BatchRows(self.parse, Reading({}, {}, records))

        def note(records: Sequence[RejectedRecord]) -> None:
            refused.clear()
            refused.update((record.source, record.position) for record in records)

        def once() -> Outcome:
            return self.writer.write(key, lambda: batch.rows, note, lambda: None, lambda _step: None)

        with self.turn:
            self.publish(self.retry.call(once, is_transient))
        return refused

    def _write(self, key: BatchKey, batch: BatchRows, steps: Steps) -> Outcome:
        def keep(rejected: Sequence[RejectedRecord]) -> None:
            letters: Iterator[Any] = as_letters(rejected, "offset")
            while chunk := list(islice(letters, _LETTERS_AT_ONCE)):
                self.reporting.set_aside(chunk, str(key.batch_id))

        def archive() -> None:
            if self.archive:
                name = f"{key.query_id}-{key.batch_id:06d}"
                self.archive.store(name, batch.rows, batch.reading.ids)

        return self.writer.write(key, lambda: batch.rows, keep, archive, steps.mark)

    def _read(self, frame: DataFrame, number: int) -> tuple[BatchRows, int]:
        """The records of the batch, of the topics that were meant, and how many were lost before."""
        if self.source is None:
            raise RuntimeError("there is no source to read from")
        batch = BatchRows(self.parse, self.source.open(frame, number))
        places = [(row["topic"], row["partition"], row["offset"]) for row in batch.rows]
        self.source.verify(batch.reading)
        return batch, self.source.lost(batch.reading, len(places), read_expired(batch.reading, places))

    def publish(self, outcome: Outcome) -> None:
        """Let readers see what a batch changed; what is as before stays untouched."""
        now = self.retry.call(self.writer.clock.now, is_transient)
        sales, products = outcome.written.get(SALES, 0), outcome.written.get(INVENTORY, 0)
        logger.info(f"📊 Product winners batch received - {sales} records")
        if sales or products or self.writer.unpublished:
            if sales:
                logger.info("📈 New sales data detected - recalculating product winners")
            changed = self.retry.call(lambda: self.publish_winners(now), is_transient)
            logger.info(
                "✅ Product winners successfully written to MongoDB"
                if changed
                else "📉 The winners are the same - keeping previous product winners results"
            )
        else:
            logger.info("📉 No new sales data - keeping previous product winners results")
        if products:
            changed = self.retry.call(lambda: self.rankings.publish_risks(now), is_transient)
            logger.info(
                "✅ Loss-risk products successfully written to MongoDB"
                if changed
                else "📉 The risks are the same - keeping previous loss-risk results"
            )

    def publish_winners(self, now: datetime) -> bool:
        """Let readers see the winners of the totals as they are; False when they are the same ones."""
        changed = self.rankings.publish_winners(now)
        self.writer.unpublished = False
        return changed


def report_of(number: int, outcome: Outcome, began: datetime, steps_ms: Mapping[str, float]) -> BatchReport:
    """A batch as log and metrics get it."""
    written, refused = sum(outcome.written.values()), sum(outcome.rejected.values())
    return BatchReport(
        batch_id=str(number),
        start_time=began,
        end_time=datetime.now(timezone.utc),
        records_processed=outcome.records_in,
        writes=WriteResult(inserted=written, skipped=outcome.duplicates + outcome.superseded),
        rejected_by_reason=outcome.rejected,
        noted=outcome.noted,
        records_by_outcome=ends(written, outcome.duplicates, outcome.superseded, refused),
        errors=[f"{count} × {reason}" for reason, count in sorted(outcome.rejected.items())],
        steps_ms=steps_ms,
    )
