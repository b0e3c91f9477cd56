"""The e-commerce batch: its ordered steps, from the files' records to Spark's commit.

ledger → stage → dead letters → insert → commit → report. Inserting begins while other rows are still staged,
but nothing is committed before every refused record is in the dead-letter queue, and Spark takes the files as
read only after the function has returned. A batch that comes again because of a crash is known by the ledger,
which was written in the transaction of its events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import psycopg
from pyspark.sql import DataFrame, SparkSession

from analytics.ecommerce.rules import WHOLE_FILES, judge
from contracts import BatchReport, WriteResult, ends
from contracts.ecommerce import EVENT_COLUMNS
from monitoring.logs import get_logger
from pipelines.ecommerce.passed_over import shown_name
from pipelines.engine.faults import Faults
from pipelines.engine.reporting import StreamReporting
from retry import RetryPolicy
from sinks.ecommerce.commit import Outcome, complete_batch, find_outcome, mark_reported
from sinks.ecommerce.connection import connect, is_transient_postgres, server_time, session, transaction
from sinks.ecommerce.insertion import Insertion, inserting_early
from sinks.ecommerce.staging import (
    LostRowsError,
    Staged,
    StagingError,
    create_table,
    drop_leftovers,
    drop_table,
    new_table,
    placed_of,
    stage,
)
from sinks.stream_letters import RejectedRecord, as_letters
from sources.ecommerce.csv_files import files_of_batch, records
from sources.ecommerce.csv_reader import WHOLE_FILE

logger = get_logger(__name__)

Step = Callable[[str], None]
# So many at a time are in memory; each holds up to 500 records.
_LETTERS_AT_ONCE = 50
# Of a batch, so that a folder of foreign files does not fill the log.
_FILES_TOLD = 20


def is_transient(error: BaseException) -> bool:
    """Whether the batch may succeed when it is simply done again."""
    if isinstance(error, StagingError):
        return error.transient
    return isinstance(error, LostRowsError) or is_transient_postgres(error)


@dataclass
class _Try:
    """What is known of one try of a batch while it runs: wall milliseconds by step."""

    faults: Faults
    steps_ms: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.monotonic)

    def mark(self, step: str) -> None:
        """A step is done."""
        now = time.monotonic()
        self.steps_ms[step] = round((now - self.last) * 1000, 3)
        self.last = now
        self.faults.reach(step)


class EventsBatch:
    """Takes the files of one micro-batch into PostgreSQL, exactly once."""

    def __init__(
        self,
        dsn: str,
        checkpoint: Path,
        reporting: StreamReporting,
        retry: RetryPolicy,
        faults: Faults,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._dsn = dsn
        self._checkpoint = checkpoint
        self._reporting = reporting
        self._retry = retry
        self._faults = faults
        self._on_outcome = on_outcome

    def process(self, stream: str, files: DataFrame, number: int) -> None:
        """The function for `foreachBatch`; Spark's log tells which files it is about.

        Raises UnavailableError when PostgreSQL stayed away, DeadLetterError when a refused record cannot be
        kept; then nothing was inserted, and the batch is to come again.
        """
        spark = files.sparkSession
        query_id = spark.sparkContext.getLocalProperty("sql.streaming.queryId")
        if query_id is None:
            raise RuntimeError("not called by foreachBatch: the query has no id")
        self._reporting.begin(stream, str(number))
        key = (query_id, number)
        outcome, steps_ms = self._retry.call(lambda: self._once(spark, key), is_transient)
        if outcome.reported:
            logger.info(f"Batch {number} was done and reported before; Spark alone had not noted it")
            return
        self._on_outcome(outcome)
        self._reporting.report(stream, _report(number, outcome, steps_ms))
        self._faults.reach("report")
        self._note_report(key)

    def try_again(self, rejected: DataFrame) -> tuple[Outcome, list[RejectedRecord]]:
        """Judge and insert records (csv_reader.SCHEMA) that were refused before; those refused again.

        Raises UnavailableError when PostgreSQL stayed away.
        """
        refused: list[RejectedRecord] = []

        def once() -> Outcome:
            refused.clear()
            return self._write(rejected, None, refused.extend, _Try(self._faults))

        return self._retry.call(once, is_transient), refused

    def read_again(self, spark: SparkSession, files: Sequence[str]) -> tuple[Outcome, set[str]]:
        """Take in files that could not be read before; those that still cannot.

        What is refused of the others is set aside. Raises UnavailableError when PostgreSQL stayed away.
        """
        refused: set[str] = set()
        keep = self._keeper("retry")

        def readable(rejected: Iterator[RejectedRecord]) -> Iterator[RejectedRecord]:
            for record in rejected:
                if record.position == WHOLE_FILE:
                    refused.add(record.source)
                else:
                    yield record

        def once() -> Outcome:
            refused.clear()
            read = records(spark, files, EVENT_COLUMNS)
            return self._write(read, None, lambda rejected: keep(readable(rejected)), _Try(self._faults))

        return self._retry.call(once, is_transient), refused

    def _once(self, spark: SparkSession, key: tuple[str, int]) -> tuple[Outcome, Mapping[str, float]]:
        """One try; the outcome is the ledger's when that has the batch."""
        attempt = _Try(self._faults)
        with connect(self._dsn) as connection:
            # What a try before left behind, whose process was killed or whose connection was lost.
            drop_leftovers(connection)
            with transaction(connection):
                known = find_outcome(connection, *key)
        if known is not None:
            return known, {}
        read = records(spark, files_of_batch(self._checkpoint, key[1]), EVENT_COLUMNS)
        return self._write(read, key, self._keeper(str(key[1])), attempt), attempt.steps_ms

    def _write(
        self,
        read: DataFrame,
        key: tuple[str, int] | None,
        keep_rejected: Callable[[Iterator[RejectedRecord]], None],
        attempt: _Try,
    ) -> Outcome:
        table = new_table()
        with connect(self._dsn) as connection:
            try:
                with session(self._dsn) as inserting:
                    # PostgreSQL's clock decides what is in the future.
                    start = server_time(inserting)
                    insertion = Insertion(inserting, table)
                    create_table(connection, table)
                    judged = judge(read, start)
                    with inserting_early(insertion):
                        staged = stage(judged, self._dsn, table)
                    attempt.mark("stage")

                    def place() -> Staged:
                        create_table(connection, placed_of(table))
                        return stage(judged, self._dsn, placed_of(table), placed=True)

                    outcome = complete_batch(
                        insertion, staged, key, start, keep_rejected, place, attempt.mark
                    )
                attempt.mark("commit")
            finally:
                if not connection.closed:
                    drop_table(connection, table)
        return outcome

    def _keeper(self, batch_id: str) -> Callable[[Iterator[RejectedRecord]], None]:
        told: set[tuple[str, str]] = set()

        def keep(rejected: Iterator[RejectedRecord]) -> None:
            letters = as_letters(rejected, "line")
            while chunk := list(islice(letters, _LETTERS_AT_ONCE)):
                self._reporting.set_aside(chunk, batch_id)
                whole = {(letter.document["source"], letter.reason) for letter in chunk} - told
                for file, reason in sorted(whole):
                    if reason in WHOLE_FILES and len(told) < _FILES_TOLD:
                        told.add((file, reason))
                        logger.warning(f"📄 {shown_name(file)}: {WHOLE_FILES[reason]}; see `dlq list`")

        return keep

    def _note_report(self, key: tuple[str, int]) -> None:
        try:
            with session(self._dsn) as connection:
                mark_reported(connection, *key)
        except psycopg.Error as error:
            # The events are safe; a crash before Spark's own commit would tell this batch once more.
            logger.warning("The ledger could not note a report", reason=type(error).__name__)


def _report(number: int, outcome: Outcome, steps_ms: Mapping[str, float]) -> BatchReport:
    return BatchReport(
        batch_id=str(number),
        start_time=outcome.started_at,
        end_time=outcome.committed_at,
        records_processed=outcome.records_in,
        writes=WriteResult(inserted=outcome.inserted, skipped=outcome.duplicates),
        rejected_by_reason=outcome.rejected,
        noted=outcome.noted,
        records_by_outcome=ends(outcome.inserted, outcome.duplicates, refused=sum(outcome.rejected.values())),
        errors=[f"{count} × {reason}" for reason, count in sorted(outcome.rejected.items())],
        steps_ms=steps_ms,
    )
