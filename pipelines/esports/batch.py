"""The esports batch: its ordered steps, from Kafka's records to one rename.

known offsets → stage → dead letters → sync → commit → report. Nothing becomes visible before every refused
record is in the dead-letter queue, and Spark takes the offsets as read only after the function has returned.
A batch that comes again because of a crash is known by its folder; one that comes again because Spark's
checkpoint is gone, by its offsets.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from analytics.esports.rules import Dataset, judge
from analytics.kafka_json import looks_like
from contracts import CORRUPT, BatchReport, ServiceError, WriteResult, ends
from durable import read_file, write_atomically
from monitoring.logs import get_logger
from pipelines.engine.faults import Faults
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.topics import Reading, TopicInput, tell_lost
from pipelines.esports.rows import Refusal, Written, ranges_condition, write_good
from sinks.parquet.dataset import Ledger, ParquetDataset
from sinks.parquet.offset_ranges import OffsetRanges, Range
from sinks.stream_letters import RejectedRecord, as_letters
from sources.kafka_broker import Place
from sources.kafka_stream import Span

logger = get_logger(__name__)

# A small batch is written by few tasks, so that its files are few.
_RECORDS_PER_TASK = 20_000
# So many letters at a time are in memory.
_LETTERS_AT_ONCE = 50
_REPORTED = "last_reported"
_PLACES = pa.schema([("partition", pa.int32()), ("offset", pa.int64()), ("reason", pa.string())])


@dataclass
class Outcome:
    """What became of a batch's records: `records` is the sum of the next three and of `refused`.

    `lost` offsets had expired before they were read. Times are ISO 8601.
    """

    began: str
    ended: str = ""
    records: int = 0
    written: int = 0
    duplicates: int = 0
    lost: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)


@dataclass
class _Steps:
    """Wall milliseconds of a batch by step."""

    faults: Faults
    ms: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.monotonic)

    def done(self, step: str) -> None:
        now = time.monotonic()
        self.ms[step] = round((now - self.last) * 1000, 3)
        self.last = now
        self.faults.reach(step)


@dataclass(frozen=True)
class TopicBatch:
    """Takes one micro-batch of a topic into its dataset, exactly once. `checkpoint` is the query's folder."""

    dataset: Dataset
    topic: str
    store: ParquetDataset
    source: TopicInput
    checkpoint: Path
    reporting: StreamReporting
    faults: Faults
    on_lost: Callable[[int], None]

    def process(self, frame: DataFrame, number: int) -> None:
        """The function of `foreachBatch`.

        Raises UnavailableError when Kafka is away, DeadLetterError or OSError when something cannot be
        stored: the batch comes again.
        """
        name = self.dataset.name
        began = self.reporting.begin(name, str(number))
        query = frame.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
        batch_id, steps = f"{query}-{number:06d}", _Steps(self.faults)
        if self._last_reported() == batch_id:
            logger.info(f"{name}: Batch {number} was done and reported before; Spark alone had not noted it")
            return
        ledger = self.store.find(batch_id)
        outcome = Outcome(**ledger.outcome) if ledger else self._take(frame, number, batch_id, began, steps)
        tell_lost(outcome.lost, f"{name}: Batch {number}", f"records of {self.topic}", self.on_lost)
        self.reporting.report(name, _report(name, number, outcome, steps.ms))
        self.faults.reach("report")
        write_atomically(self.checkpoint / _REPORTED, batch_id.encode(), durable=False)

    def _take(self, frame: DataFrame, number: int, batch_id: str, began: datetime, steps: _Steps) -> Outcome:
        reading = self.source.open(frame, number)
        try:
            found, staged = self._write(reading, batch_id)
        except Exception as error:
            if reading.again is None:
                raise
            reading = replace(reading, records=reading.again(error))
            found, staged = self._write(reading, batch_id)
        self.source.verify(reading)
        outcome = Outcome(began.isoformat(), "", found.records, found.written, found.known)
        outcome.noted = found.noted
        steps.done("stage")
        if found.refused:
            outcome.refused = dict(Counter(str(place["reason"]) for place in found.refused))
            kept = self._set_aside(reading, found.refused, f"{self.dataset.name} {number}")
            if kept != len(found.refused):
                raise ServiceError(
                    f"Of {len(found.refused)} refused records {kept} were there when they were read again: "
                    "Kafka deletes them right now. The batch comes again."
                )
        steps.done("dead_letters")
        outcome.lost = self.source.lost(reading, found.records, found.expired)
        outcome.ended = datetime.now(timezone.utc).isoformat()
        if not outcome.records:
            # Offsets without records, of transactions for example.
            return outcome
        self._tell_untimed(number, found.untimed)
        consumed = OffsetRanges()
        for (topic, partition), (first, after) in reading.span.items():
            consumed.add((topic, reading.ids[topic], partition), first, after)
        ledger = Ledger((batch_id,), consumed, outcome=asdict(outcome))
        self.store.sync(staged, ledger)
        steps.done("sync")
        self.store.publish(batch_id, staged, ledger)
        steps.done("commit")
        return outcome

    def _write(self, reading: Reading, batch_id: str) -> tuple[Written, Path]:
        known, gone = self._known(reading), ranges_condition(reading.expired)
        judged = judge(reading.records, self.dataset).withColumn("known", F.expr(known))
        staged = self.store.stage(batch_id)
        return write_good(judged, self.dataset, staged, _tasks(reading.span), gone), staged

    def _tell_untimed(self, number: int, records: int) -> None:
        if records:
            logger.warning(
                f"⏰ {self.dataset.name}: Batch {number}: {records} records have an impossible time in Kafka "
                "(before 1970, or beyond now): their kafka_timestamp is empty"
            )

    def _known(self, reading: Reading) -> str:
        """The condition for records that are in the dataset already."""
        there: dict[Place, list[Range]] = {}
        for (topic, partition), (first, after) in reading.span.items():
            key = (topic, reading.ids[topic], partition)
            # Merged, because what was rescued one by one mostly lies within what a batch consumed.
            merged = OffsetRanges()
            for ranges in (self.store.consumed, self.store.rescued):
                for start, end in ranges.within(key, first, after):
                    merged.add(key, start, end)
            there[topic, partition] = merged.within(key, first, after)
        return " OR ".join(
            ["false", *(ranges_condition({place: one}) for place, ranges in there.items() for one in ranges)]
        )

    def _set_aside(self, reading: Reading, refused: list[Refusal], batch_id: str) -> int:
        """Every refused record into the dead-letter queue; how many were there to be read."""
        places = pa.Table.from_pylist(refused, _PLACES)
        frame = reading.records
        # Found again by their places: nothing is parsed twice.
        again = frame.join(F.broadcast(frame.sparkSession.createDataFrame(places)), ["partition", "offset"])
        again = again.select("topic", "partition", "offset", "timestamp_ms", "key", "value", "reason")
        # Each task reads one partition of the topic, so the letters' order needs no shuffle.
        again = again.sortWithinPartitions("topic", "partition", "reason", "offset")
        rows = again.toLocalIterator(prefetchPartitions=True)
        letters = as_letters((_refused(row, reading.ids[row.topic]) for row in rows), "offset")
        found = 0
        while chunk := list(islice(letters, _LETTERS_AT_ONCE)):
            self.reporting.set_aside(chunk, batch_id)
            found += sum(len(letter.document["records"]) for letter in chunk)
        return found

    def _last_reported(self) -> str:
        with suppress(OSError):
            return read_file(self.checkpoint / _REPORTED).decode("utf-8", "replace")
        return ""


def _tasks(span: Span) -> int:
    records = sum(after - first for first, after in span.values())
    return max(1, -(-records // _RECORDS_PER_TASK))


def _refused(row: Row, topic_id: str) -> RejectedRecord:
    source = f"{row.topic}/{row.partition}"
    raw, key = (None if one is None else bytes(one) for one in (row.value, row.key))
    hint = looks_like(raw) if row.reason == CORRUPT else None
    return RejectedRecord(row.reason, source, row.offset, raw, topic_id, row.timestamp_ms, key, hint)


def _report(stream: str, number: int, outcome: Outcome, steps_ms: Mapping[str, float]) -> BatchReport:
    return BatchReport(
        batch_id=str(number),
        stream=stream,
        start_time=datetime.fromisoformat(outcome.began),
        end_time=datetime.fromisoformat(outcome.ended),
        records_processed=outcome.records,
        writes=WriteResult(inserted=outcome.written, skipped=outcome.duplicates),
        rejected_by_reason=outcome.refused,
        noted=outcome.noted,
        records_by_outcome=ends(outcome.written, outcome.duplicates, refused=sum(outcome.refused.values())),
        errors=[f"{count} × {reason}" for reason, count in sorted(outcome.refused.items())],
        steps_ms=steps_ms,
    )
