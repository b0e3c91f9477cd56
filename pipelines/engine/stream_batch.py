"""The order of a batch, the same for every pipeline that reads a stream.

ledger → prepare (read, judge, stage) → dead letters → commit → report → note the report. Nothing counts
before every refused record is a dead letter, and Spark takes the records as read only after `process` has
returned. A batch that comes again because of a crash is known by the sink's ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import Protocol

from pyspark.sql import DataFrame

from contracts import BatchKey, BatchReport, UnavailableError, WriteResult, ends
from monitoring.logs import get_logger
from pipelines.engine.faults import Faults
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.steps import Steps
from retry import RetryPolicy
from sinks.stream_letters import RejectedRecord, as_letters

logger = get_logger(__name__)

# Each letter holds up to 500 records; no more than these are in memory.
_LETTERS_AT_ONCE = 50

# Stores refused records as dead letters, ordered by source and reason; returns how many they were.
Keep = Callable[[Iterable[RejectedRecord]], int]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch's records: each met one of the five ends in `contracts.ENDS`.

    `refused` counts by reason, `noted` what a person should know of written ones. `lost` records were gone
    before they could be read. `was_reported`: log and metrics had the batch before.
    """

    written: int = 0
    duplicates: int = 0
    superseded: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    noted: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    was_reported: bool = False

    @property
    def records(self) -> int:
        """How many came in."""
        return self.written + self.duplicates + self.superseded + sum(self.refused.values())


class Prepared(Protocol):
    """A batch that was read and judged, and of which nothing counts yet."""

    def refused(self) -> Iterable[RejectedRecord]:
        """The records that broke a rule, ordered by source and reason."""
        ...

    def commit(self, keep: Keep, steps: Steps) -> Taken:
        """Let the others count, all or none, and note the batch in the ledger.

        `keep` is for those that turn out to be refused only now. Raises what makes the batch come again.
        """
        ...


class BatchWork(Protocol):
    """What is one system's own in a batch. Each method may be called again after it failed."""

    # What a letter calls a record's position: `offset` or `line`.
    position: str

    def known(self, key: BatchKey) -> Taken | None:
        """What the ledger says of a batch that was committed before."""
        ...

    def prepare(self, frame: DataFrame, key: BatchKey, steps: Steps) -> AbstractContextManager[Prepared]:
        """Read, judge and stage; what is staged is gone after the block, unless it was committed."""
        ...

    def is_transient(self, error: BaseException) -> bool:
        """Whether the same may succeed when it is simply done again."""
        ...

    def turn(self) -> AbstractContextManager[object]:
        """Inside, nobody else of this process writes."""
        ...

    def follow(self, taken: Taken, steps: Steps) -> None:
        """What follows each batch, also one that was known: readers see what it changed."""
        ...

    def tell_lost(self, taken: Taken, batch: str) -> None:
        """Warn of records that were gone before they could be read, and count them."""
        ...

    def mark_reported(self, key: BatchKey) -> None:
        """Note that log and metrics have the batch."""
        ...


@dataclass(frozen=True)
class StreamBatch:
    """Takes the micro-batches of one stream, each exactly once.

    `label` names the stream in logs where the pipeline has several.
    """

    stream: str
    work: BatchWork
    reporting: StreamReporting
    retry: RetryPolicy
    faults: Faults
    label: str = ""

    def process(self, frame: DataFrame, number: int) -> None:
        """The function for `foreachBatch`.

        Raises UnavailableError when a server stayed away, DeadLetterError or OSError when something cannot be
        kept, AlreadyRunningError when another process has taken over: the batch comes again.
        """
        key = BatchKey(_query_of(frame), number)
        began = self.reporting.begin(self.stream, str(number))
        steps, batch = Steps(self.faults), f"{self.stream}: Batch {number}"
        with self.work.turn():
            taken = self.retry.call(lambda: self.take(frame, key, steps), self.work.is_transient)
            self.work.follow(taken, steps)
            if taken.was_reported:
                logger.info(f"{batch} was done and reported before; Spark alone had not noted it")
                return
            self.work.tell_lost(taken, batch)
            self.reporting.report(self.stream, self._report(number, taken, began, steps.ms))
            self.faults.reach("report")
            self._note_report(key)

    def take(self, frame: DataFrame, key: BatchKey, steps: Steps) -> Taken:
        """One try of a batch, from its records to the ledger."""
        known = self.work.known(key)
        if known is not None:
            return known
        keep = self.keeper(f"{self.stream} {key.number}")
        with self.work.prepare(frame, key, steps) as prepared:
            keep(prepared.refused())
            steps.done("dead_letters")
            return prepared.commit(keep, steps)

    def keeper(self, batch_id: str) -> Keep:
        """What stores refused records as dead letters of the batch `batch_id`."""

        def keep(refused: Iterable[RejectedRecord]) -> int:
            letters = as_letters(refused, self.work.position)
            kept = 0
            while chunk := list(islice(letters, _LETTERS_AT_ONCE)):
                self.reporting.set_aside(chunk, batch_id)
                kept += sum(len(letter.document["records"]) for letter in chunk)
            return kept

        return keep

    def _note_report(self, key: BatchKey) -> None:
        try:
            self.retry.call(lambda: self.work.mark_reported(key), self.work.is_transient)
        except UnavailableError as error:
            # The records are safe; a crash before Spark's own commit would tell this batch once more.
            logger.warning(f"{self.stream}: the ledger could not note a report ({error})")

    def _report(
        self, number: int, taken: Taken, began: datetime, steps_ms: Mapping[str, float]
    ) -> BatchReport:
        refused = sum(taken.refused.values())
        return BatchReport(
            batch_id=str(number),
            stream=self.label,
            start_time=began,
            end_time=datetime.now(timezone.utc),
            records_processed=taken.records,
            writes=WriteResult(inserted=taken.written, skipped=taken.duplicates + taken.superseded),
            rejected_by_reason=taken.refused,
            noted=taken.noted,
            records_by_outcome=ends(taken.written, taken.duplicates, taken.superseded, refused),
            errors=[f"{count} × {reason}" for reason, count in sorted(taken.refused.items())],
            steps_ms=steps_ms,
        )


def _query_of(frame: DataFrame) -> str:
    query_id = frame.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    if query_id is None:
        raise RuntimeError("not called by foreachBatch: the query has no id")
    return query_id
