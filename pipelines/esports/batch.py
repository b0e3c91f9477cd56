"""The esports batch: its ordered steps, from Kafka's records to one rename.

known offsets → stage → dead letters → sync → commit → report. Nothing becomes visible before every refused
record is in the dead-letter queue, and Spark takes the offsets as read only after the function has returned.
A batch that comes again because of a crash is known by its folder; one that comes again because Spark's
checkpoint is gone, by its offsets.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Observation, Row
from pyspark.sql import functions as F

from analytics.esports import ORIGIN_FIELDS, Dataset, judge
from checkpoint.atomic_file import read_file, write_atomically
from contracts import BatchReport, ServiceError, WriteResult, ends
from monitoring.logs import get_logger
from pipelines.esports.feed import Feed
from pipelines.faults import Faults
from pipelines.stream_reporting import StreamReporting
from sinks.offset_ranges import OffsetRanges
from sinks.parquet_dataset import Ledger, ParquetDataset
from sinks.stream_letters import RejectedRecord, as_letters
from sources.kafka_stream import Span, is_complete, lost_offsets

logger = get_logger(__name__)

# A small batch is written by few tasks, so that its files are few.
_RECORDS_PER_TASK = 20_000
# So many letters at a time are in memory.
_LETTERS_AT_ONCE = 50
_REPORTED = "last_reported"
_REFUSED = "reason IS NOT NULL AND NOT known"
_GOOD = "reason IS NULL AND NOT known"
# `partition`, `offset` and `reason` of a refused record.
Place = dict[str, Any]
_PLACES = pa.schema([("partition", pa.int32()), ("offset", pa.int64()), ("reason", pa.string())])
_KAFKA_COLUMNS = ("topic", "partition", "offset", "timestamp")


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
    feed: Feed
    checkpoint: Path
    reporting: StreamReporting
    faults: Faults
    on_lost: Callable[[str, int], None]

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
        if outcome.lost:
            self.on_lost(name, outcome.lost)
            logger.warning(
                f"🕳️  {name}: Batch {number}: up to {outcome.lost} records of {self.topic} are lost: Kafka "
                "had deleted them before they were read. Keep them there for longer, or run this more often."
            )
        self.reporting.report(name, _report(name, number, outcome, steps.ms))
        self.faults.reach("report")
        write_atomically(self.checkpoint / _REPORTED, batch_id.encode(), durable=False)

    def waiting(self) -> int:
        """How many records of the topic are not processed yet. Raises UnavailableError when Kafka is away."""
        topic_id, earliest = self.feed.broker.topic_id(self.topic), self.feed.broker.earliest(self.topic)
        if topic_id is None:
            return 0
        return sum(
            max(
                0,
                end
                - max(earliest.get(partition, 0), self.store.consumed.end((self.topic, topic_id, partition))),
            )
            for partition, end in self.feed.broker.latest(self.topic).items()
        )

    def _take(self, frame: DataFrame, number: int, batch_id: str, began: datetime, steps: _Steps) -> Outcome:
        span = self.feed.span(self.checkpoint, number, self.topic, frame)
        topic_id = self._topic_id()
        judged = judge(frame, self.dataset).withColumn("known", F.expr(self._known(topic_id, span)))
        staged = self.store.stage(batch_id)
        outcome = Outcome(began.isoformat())
        outcome.records, outcome.written, outcome.duplicates, refused = write_good(
            judged, self.dataset, staged, _tasks(span)
        )
        steps.done("stage")
        if refused:
            outcome.refused = dict(Counter(str(place["reason"]) for place in refused))
            found = self._set_aside(frame, refused, f"{self.dataset.name} {number}", topic_id)
            if found != len(refused):
                raise ServiceError(
                    f"Of {len(refused)} refused records {found} were there when they were read again: Kafka "
                    "deletes them right now. The batch comes again."
                )
        steps.done("dead_letters")
        if not is_complete(span, outcome.records):
            outcome.lost = lost_offsets(span, self.feed.broker.earliest(self.topic), outcome.records)
        outcome.ended = datetime.now(timezone.utc).isoformat()
        if not outcome.records:
            # Offsets without records, of transactions for example.
            return outcome
        consumed = OffsetRanges()
        for partition, (first, after) in span.items():
            consumed.add((self.topic, topic_id, partition), first, after)
        ledger = Ledger((batch_id,), consumed, outcome=asdict(outcome))
        self.store.sync(staged, ledger)
        steps.done("sync")
        self.store.publish(batch_id, staged, ledger)
        steps.done("commit")
        return outcome

    def _topic_id(self) -> str:
        found = self.feed.broker.topic_id(self.topic)
        if found is None:
            raise ServiceError(
                f"The topic {self.topic} was deleted while it was read; the batch comes again."
            )
        return found

    def _known(self, topic_id: str, span: Span) -> str:
        """The condition for records that are in the dataset already."""
        conditions = ["false"]
        for partition, (first, after) in span.items():
            key = (self.topic, topic_id, partition)
            # Merged, because what was rescued one by one mostly lies within what a batch consumed.
            there = OffsetRanges()
            for ranges in (self.store.consumed, self.store.rescued):
                for start, end in ranges.within(key, first, after):
                    there.add(key, start, end)
            conditions += [
                f"(partition = {partition} AND offset >= {start} AND offset < {end})"
                for start, end in there.within(key, first, after)
            ]
        return " OR ".join(conditions)

    def _set_aside(self, frame: DataFrame, refused: list[Place], batch_id: str, topic_id: str) -> int:
        """Every refused record into the dead-letter queue; how many were there to be read."""
        places = pa.Table.from_pylist(refused, _PLACES)
        made = F.expr("unix_millis(timestamp) AS made")
        # Found again by their places: nothing is parsed twice.
        again = frame.join(F.broadcast(frame.sparkSession.createDataFrame(places)), ["partition", "offset"])
        again = again.select("topic", "partition", "offset", made, "value", "reason")
        # Each task reads one partition of the topic, so the letters' order needs no shuffle.
        again = again.sortWithinPartitions("topic", "partition", "reason", "offset")
        rows = again.toLocalIterator(prefetchPartitions=True)
        letters = as_letters((_refused(row, topic_id) for row in rows), "offset")
        found = 0
        while chunk := list(islice(letters, _LETTERS_AT_ONCE)):
            self.reporting.set_aside(chunk, batch_id)
            found += sum(len(letter.document["records"]) for letter in chunk)
        return found

    def _last_reported(self) -> str:
        with suppress(OSError):
            return read_file(self.checkpoint / _REPORTED).decode("utf-8", "replace")
        return ""


def write_good(
    judged: DataFrame, dataset: Dataset, folder: Path, tasks: int
) -> tuple[int, int, int, list[Place]]:
    """Write what counts and is not `known` below `folder`.

    How many records were seen, written and known, and `partition, offset, reason` of those that were refused.
    All is counted while it is written: nothing is read for it once more.
    """
    observation = Observation()
    # What follows is not moved before the counting, so each record is parsed once.
    observed = judged.observe(
        observation,
        F.count(F.lit(1)).alias("records"),
        F.expr(f"count_if({_GOOD})").alias("written"),
        F.expr("count_if(known)").alias("known"),
        # As text, because pyspark cannot take a list out of an observation.
        F.expr(f"to_json(collect_list(IF({_REFUSED}, struct(partition, offset, reason), NULL)))").alias(
            "refused"
        ),
    )
    origin = [f"{kafka} AS {name}" for kafka, name in zip(_KAFKA_COLUMNS, ORIGIN_FIELDS, strict=True)]
    plain = [name for name in dataset.fields if name not in dataset.partitions]
    good = observed.where(_GOOD).selectExpr(*plain, *origin, *dataset.partitions)
    writer = good.coalesce(tasks).write.mode("append").partitionBy(*dataset.partitions)
    # As text, not as a URI: Hadoop does not decode it.
    writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false").parquet(f"file://{folder}")
    found = observation.get
    return int(found["records"]), int(found["written"]), int(found["known"]), json.loads(found["refused"])


def _tasks(span: Span) -> int:
    records = sum(after - first for first, after in span.values())
    return max(1, -(-records // _RECORDS_PER_TASK))


def _refused(row: Row, topic_id: str) -> RejectedRecord:
    source = f"{row.topic}/{row.partition}"
    raw = None if row.value is None else bytes(row.value)
    return RejectedRecord(row.reason, source, row.offset, raw, topic_id, row.made)


def _report(stream: str, number: int, outcome: Outcome, steps_ms: Mapping[str, float]) -> BatchReport:
    return BatchReport(
        batch_id=str(number),
        stream=stream,
        start_time=datetime.fromisoformat(outcome.began),
        end_time=datetime.fromisoformat(outcome.ended),
        records_processed=outcome.records,
        writes=WriteResult(inserted=outcome.written, skipped=outcome.duplicates),
        rejected_by_reason=outcome.refused,
        records_by_outcome=ends(outcome.written, outcome.duplicates, refused=sum(outcome.refused.values())),
        errors=[f"{count} × {reason}" for reason, count in sorted(outcome.refused.items())],
        steps_ms=steps_ms,
    )
