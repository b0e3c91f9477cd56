"""The order of a batch, the same for every pipeline that reads a stream.

ledger → read → prepare (judge, stage) → dead letters → commit → follow → report → note the report. Nothing
counts before every refused record is a dead letter, and Spark takes the records as read only after `process`
has returned. A batch that comes again because of a crash is known by the sink's ledger.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cache
from typing import Generic, Protocol, TypeVar

from pyspark.sql import DataFrame

from contracts import BatchKey, BatchReport, UnavailableError, WriteResult, ends
from monitoring.logs import get_logger
from pipelines.engine.faults import Faults
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.steps import Steps
from retry import RetryPolicy, Stop
from sinks.stream_letters import RejectedRecord

logger = get_logger(__name__)

# Takes care of refused records, ordered by source and reason; says how many they were.
Keep = Callable[[Iterable[RejectedRecord]], int]


@dataclass(frozen=True)
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


# What a system reads of a batch, and what it says of one that was taken.
Rows = TypeVar("Rows")
Done = TypeVar("Done", bound=Taken)
Done_co = TypeVar("Done_co", bound=Taken, covariant=True)


class Prepared(Protocol[Done_co]):
    """A batch that was judged and staged, and of which nothing counts yet."""

    def refused(self) -> Iterable[RejectedRecord]:
        """The records that broke a rule, ordered by source and reason."""
        ...

    def commit(self, keep: Keep, steps: Steps) -> Done_co:
        """Let the others count, all or none, and note the batch in the ledger.

        `keep` is for records that turn out to be refused only now. What this raises makes the batch come
        again.
        """
        ...


class BatchWork(ABC, Generic[Rows, Done]):
    """What is one system's own in a batch. Each method may be called again after it failed."""

    # What a letter calls a record's position.
    position = "offset"

    @abstractmethod
    def known(self, key: BatchKey) -> Done | None:
        """What the ledger says of a batch that was committed before."""

    @abstractmethod
    def read(self, frame: DataFrame, key: BatchKey) -> Rows:
        """The batch's records, or how to get them; called once for all tries of a batch."""

    @abstractmethod
    def prepare(
        self, rows: Rows, key: BatchKey | None, steps: Steps
    ) -> AbstractContextManager[Prepared[Done]]:
        """Judge and stage; what was staged and not committed is gone after the block.

        Without a `key` the rows are dead letters that are tried again; then no ledger notes them.
        """

    @abstractmethod
    def mark_reported(self, key: BatchKey) -> None:
        """Note that log and metrics have the batch."""

    def is_transient(self, _error: BaseException) -> bool:
        """Whether the same may succeed when it is simply done again."""
        return False

    def turn(self) -> AbstractContextManager[object]:
        """Inside, nothing else of this process writes."""
        return nullcontext()

    def follow(self, _taken: Done, _steps: Steps) -> None:
        """Do what follows each batch, also one that was known: let readers see what it changed."""

    def tell_lost(self, _lost: int, _batch: str) -> None:
        """Warn of records that were gone before they could be read, and count them."""


@dataclass(frozen=True)
class StreamBatch(Generic[Rows, Done]):
    """Takes the micro-batches of one stream, each exactly once.

    `label` names the stream in the batch log where the pipeline has several.
    """

    stream: str
    work: BatchWork[Rows, Done]
    reporting: StreamReporting
    retry: RetryPolicy
    faults: Faults
    label: str = ""
    # The batch that this process told last, whichever copy of this: the ledger may not have noted it.
    told: set[BatchKey] = field(default_factory=set)

    def process(self, frame: DataFrame, number: int) -> None:
        """The function for `foreachBatch`.

        Raises UnavailableError when a server stayed away, DeadLetterError or OSError when something cannot be
        kept, AlreadyRunningError when another process has taken over: the batch comes again.
        """
        key, work = BatchKey(_query_of(frame), number), self.work
        steps, batch = Steps(self.faults, self.reporting.steps), f"{self.stream}: Batch {number}"
        began = self.reporting.begin(self.stream, str(number), steps)
        rows = cache(lambda: work.read(frame, key))
        keep = self.keeper(f"{self.stream} {number}")
        with steps, work.turn():
            taken = self.retry.call(lambda: self._take(rows, key, keep, steps), work.is_transient)
            is_told = key in self.told
            taken = replace(taken, was_reported=is_told or taken.was_reported)
            self.retry.call(lambda: work.follow(taken, steps), work.is_transient)
            if taken.was_reported:
                logger.info(f"{batch} was done and reported before; Spark alone had not noted it")
                if is_told:
                    self._note_report(key)
                return
            if taken.lost:
                work.tell_lost(taken.lost, batch)
            self.reporting.report(self.stream, report_of(number, taken, began, steps, self.label))
            self.told.clear()
            self.told.add(key)
            self.faults.reach("report")
            self._note_report(key)

    def until(self, stop: Stop) -> StreamBatch[Rows, Done]:
        """The same for a run that may be stopped, which ends the tries of its batches."""
        return replace(self, retry=self.retry.until(stop))

    def try_again(self, rows: Rows, keep: Keep) -> Done:
        """Take in records that were refused before; `keep` gets those refused again, anew with each try.

        Raises UnavailableError when a server stayed away.
        """
        steps = Steps(self.faults)
        with self.work.turn():
            taken = self.retry.call(lambda: self._write(rows, None, keep, steps), self.work.is_transient)
            self.retry.call(lambda: self.work.follow(taken, steps), self.work.is_transient)
        return taken

    def _take(self, rows: Callable[[], Rows], key: BatchKey, keep: Keep, steps: Steps) -> Done:
        """One try: what the ledger knows, or the whole way from the records to the ledger."""
        steps.broke_off()  # in the try before
        known = self.work.known(key)
        if known is not None:
            return known
        found = rows()
        steps.done("read")
        return self._write(found, key, keep, steps)

    def _write(self, rows: Rows, key: BatchKey | None, keep: Keep, steps: Steps) -> Done:
        with self.work.prepare(rows, key, steps) as prepared:
            keep(prepared.refused())
            steps.done("dead_letters")
            return prepared.commit(keep, steps)

    def keeper(self, batch_id: str) -> Keep:
        """What stores refused records as dead letters of the batch `batch_id`."""
        return lambda refused: self.reporting.set_aside(refused, self.work.position, batch_id)

    def _note_report(self, key: BatchKey) -> None:
        try:
            self.retry.call(lambda: self.work.mark_reported(key), self.work.is_transient)
        except UnavailableError as error:
            # The records are safe; a crash before Spark's own commit would tell this batch once more.
            logger.warning(f"{self.stream}: the ledger could not note a report ({error})")


def report_of(number: int, taken: Taken, began: datetime, steps: Steps, label: str = "") -> BatchReport:
    """A batch that ends now, as log and metrics get it."""
    refused = sum(taken.refused.values())
    steps.end()
    return BatchReport(
        batch_id=str(number),
        stream=label,
        start_time=began,
        end_time=datetime.now(timezone.utc),
        records_processed=taken.records,
        writes=WriteResult(inserted=taken.written, skipped=taken.duplicates + taken.superseded),
        rejected_by_reason=taken.refused,
        noted=taken.noted,
        records_by_outcome=ends(taken.written, taken.duplicates, taken.superseded, refused),
        errors=[f"{count} × {reason}" for reason, count in sorted(taken.refused.items())],
        steps_ms=steps.ms,
        duration_ms=steps.passed_ms(),
    )


def _query_of(frame: DataFrame) -> str:
    query_id = frame.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    if query_id is None:
        raise RuntimeError("not called by foreachBatch: the query has no id")
    return query_id
