"""What is esports' own in a batch: a topic's records become files that one rename makes visible.

A batch that comes again because of a crash is known by its folder; one that comes again because Spark's
checkpoint is gone, by its offsets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from analytics.esports.rules import ODD, Dataset, judge, judge_usual
from analytics.kafka_json import looks_like
from contracts import CORRUPT, BatchKey, UnavailableError
from durable import read_file, write_atomically
from monitoring.logs import get_logger
from pipelines.engine.local_rows import local_rows
from pipelines.engine.steps import Steps
from pipelines.engine.stream_batch import BatchWork, Keep, Taken
from pipelines.engine.topics import Reading, TopicInput, read_some_way, tell_lost
from pipelines.esports.rows import Refusal, Written, all_there, ranges_condition, write_good
from pipelines.esports.store import Store
from sinks.parquet.dataset import Ledger
from sinks.parquet.offset_ranges import OffsetRanges, Range
from sinks.stream_letters import RejectedRecord
from sources.kafka_broker import Place

logger = get_logger(__name__)

# A small batch is written by few tasks, so that its files are few.
_RECORDS_PER_TASK = 20_000
_REPORTED = "last_reported"
_PLACES = pa.schema([("partition", pa.int32()), ("offset", pa.int64()), ("reason", pa.string())])


@dataclass(frozen=True)
class TopicWork(BatchWork[Reading, Taken]):
    """Takes the records of `topic` into a dataset. `checkpoint` is the query's folder."""

    dataset: Dataset
    topic: str
    store: Store
    source: TopicInput
    checkpoint: Path
    on_lost: Callable[[int], None]

    def known(self, key: BatchKey) -> Taken | None:
        """A batch is known by its folder, and one without records by the note of its report."""
        was_reported = self._last_reported() == str(key)
        ledger = self.store.find(str(key))
        if ledger is None:
            return Taken(was_reported=True) if was_reported else None
        return _taken(ledger.outcome, was_reported)

    def read(self, frame: DataFrame, key: BatchKey) -> Reading:
        """The records, of which Spark reads none before they are written."""
        return self.source.open(frame, key.number)

    @contextmanager
    def prepare(self, rows: Reading, key: BatchKey | None, steps: Steps) -> Iterator[_Staged]:
        """Write the good records where no reader looks, and learn which are refused."""
        if key is None:
            raise ValueError("esports' letters are tried again by letters.py")
        (found, folder), reading = read_some_way(rows, lambda reading: self._write(reading, str(key)))
        self.source.verify(reading)
        steps.done("stage")
        yield _Staged(self, reading, found, folder, key)

    def tell_lost(self, lost: int, batch: str) -> None:
        """Kafka had deleted them."""
        tell_lost(lost, batch, f"records of {self.topic}", self.on_lost)

    def mark_reported(self, key: BatchKey) -> None:
        """In the checkpoint's folder: no reader of the dataset needs it. Raises UnavailableError."""
        try:
            write_atomically(self.checkpoint / _REPORTED, str(key).encode(), durable=False)
        except OSError as error:
            # The records are written and the batch is told: it must not come again because of this.
            raise UnavailableError(str(error)) from error

    def _write(self, reading: Reading, batch_id: str) -> tuple[Written, Path]:
        known, gone = self._known_records(reading), ranges_condition(reading.expired)
        judged = judge_usual(reading.records, self.dataset).withColumn("known", F.expr(known))
        staged = self.store.stage(batch_id)
        records = sum(after - first for first, after in reading.span.values())
        found = write_good(judged, self.dataset, staged, _tasks(records), gone)
        odd = [place for place in found.refused if place["reason"] == ODD]
        if odd:
            again = judge(_at(reading, odd).drop("reason"), self.dataset).withColumn("known", F.lit(False))
            more = write_good(again, self.dataset, staged, _tasks(len(odd)))
            all_there(more.records, len(odd))
            found = found.joined(more)
        return found, staged

    def _known_records(self, reading: Reading) -> str:
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

    def _last_reported(self) -> str:
        with suppress(OSError):
            return read_file(self.checkpoint / _REPORTED).decode("utf-8", "replace")
        return ""


@dataclass(frozen=True)
class _Staged:
    """A batch whose good records lie in `folder`."""

    work: TopicWork
    reading: Reading
    found: Written
    folder: Path
    key: BatchKey

    def refused(self) -> Iterable[RejectedRecord]:
        """The refused records, read once more. Raises ServiceError when some are not there any more."""
        refused = self.found.refused
        kept = 0
        for row in self._read_refused(refused) if refused else ():
            kept += 1
            yield _refused(row, self.reading.ids[row.topic])
        all_there(kept, len(refused))

    def commit(self, _keep: Keep, steps: Steps) -> Taken:
        """Make the folder durable, then visible; where there was no record there is nothing to make so."""
        found, began = self.found, datetime.now(timezone.utc)
        lost = self.work.source.lost(self.reading, found.records, found.expired)
        refused = dict(Counter(str(place["reason"]) for place in found.refused))
        taken = Taken(found.written, found.known, refused=refused, noted=found.noted, lost=lost)
        if not taken.records:
            # Offsets without records, of transactions for example.
            return taken
        self._tell_untimed()
        store, ledger = self.work.store, self._ledger(taken, began)
        store.sync(self.folder, ledger)
        steps.done("sync")
        store.publish(str(self.key), self.folder, ledger)
        steps.done("commit")
        return taken

    def _ledger(self, taken: Taken, began: datetime) -> Ledger:
        consumed = OffsetRanges()
        for (topic, partition), (first, after) in self.reading.span.items():
            consumed.add((topic, self.reading.ids[topic], partition), first, after)
        # A user may go back to an earlier version, which needs all of these.
        outcome = {
            "began": began.isoformat(),
            "ended": datetime.now(timezone.utc).isoformat(),
            "records": taken.records,
            "written": taken.written,
            "duplicates": taken.duplicates,
            "lost": taken.lost,
            "refused": taken.refused,
            "noted": taken.noted,
        }
        return Ledger((str(self.key),), consumed, outcome=outcome)

    def _read_refused(self, refused: list[Refusal]) -> Iterator[Row]:
        again = _at(self.reading, refused)
        again = again.select("topic", "partition", "offset", "timestamp_ms", "key", "value", "reason")
        # Each task reads one partition of the topic, so the letters' order needs no shuffle.
        again = again.sortWithinPartitions("topic", "partition", "reason", "offset")
        return local_rows(again)

    def _tell_untimed(self) -> None:
        if self.found.untimed:
            logger.warning(
                f"⏰ {self.work.dataset.name}: Batch {self.key.number}: {self.found.untimed} records have an "
                "impossible time in Kafka (before 1970, or beyond now): their kafka_timestamp is empty"
            )


def _taken(stored: Any, was_reported: bool) -> Taken:
    """From the ledger of a batch; an earlier version noted less."""
    return Taken(
        stored.get("written", 0),
        stored.get("duplicates", 0),
        refused=stored.get("refused", {}),
        noted=stored.get("noted", {}),
        lost=stored.get("lost", 0),
        was_reported=was_reported,
    )


def _at(reading: Reading, places: list[Refusal]) -> DataFrame:
    """The records at `places`, with the reason of each."""
    table = reading.records.sparkSession.createDataFrame(pa.Table.from_pylist(places, _PLACES))
    return reading.records.join(F.broadcast(table), ["partition", "offset"])


def _tasks(records: int) -> int:
    return max(1, -(-records // _RECORDS_PER_TASK))


def _refused(row: Row, topic_id: str) -> RejectedRecord:
    source = f"{row.topic}/{row.partition}"
    raw, key = (None if one is None else bytes(one) for one in (row.value, row.key))
    hint = looks_like(raw) if row.reason == CORRUPT else None
    return RejectedRecord(row.reason, source, row.offset, raw, topic_id, row.timestamp_ms, key, hint)
