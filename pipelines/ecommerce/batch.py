"""The e-commerce batch: its ordered steps, from the files' records to Spark's commit.

ledger → stage → dead letters → insert → commit → report. Inserting begins while other rows are still staged,
but nothing is committed before every refused record is in the dead-letter queue, and Spark takes the files as
read only after the function has returned. A batch that comes again because of a crash is known by the ledger,
which was written in the transaction of its events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import psycopg
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from analytics.ecommerce import judge
from contracts import EVENT_COLUMNS, BatchReport, ServiceError, WriteResult, ends
from monitoring.logs import get_logger
from pipelines.faults import Faults
from pipelines.stream_reporting import StreamReporting
from retry import RetryPolicy
from sinks.postgres_client import connect, is_transient_postgres, server_time
from sinks.postgres_events import Outcome, commit_batch, find_outcome, mark_reported
from sinks.postgres_insertion import Insertion, inserting_early
from sinks.postgres_staging import (
    LostRowsError,
    StagingError,
    create_table,
    drop_leftovers,
    drop_table,
    stage,
)
from sinks.stream_letters import RejectedRecord, as_letters
from sources.csv_files import records

logger = get_logger(__name__)

Step = Callable[[str], None]
# So many at a time are in memory; each holds up to 500 records.
_LETTERS_AT_ONCE = 50
# Why Spark could not read a file: it was deleted, or moved away, after it had been listed.
_MISSING_FILE = ("FileNotFoundException", "FileNotFoundError", "FILE_NOT_EXIST")


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
        reporting: StreamReporting,
        retry: RetryPolicy,
        faults: Faults,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._dsn = dsn
        self._reporting = reporting
        self._retry = retry
        self._faults = faults
        self._on_outcome = on_outcome

    def process(self, stream: str, files: DataFrame, number: int) -> None:
        """The function for `foreachBatch`; `files` has the column `path`.

        Raises UnavailableError when PostgreSQL stayed away, ServiceError when a file is gone, DeadLetterError
        when a refused record cannot be kept; then nothing was inserted, and the batch is to come again.
        """
        query_id = files.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
        if query_id is None:
            raise RuntimeError("not called by foreachBatch: the query has no id")
        self._reporting.begin(stream, str(number))
        key = (query_id, number)
        outcome, steps_ms = self._retry.call(lambda: self._once(files, key), is_transient)
        if outcome.reported:
            logger.info(f"Batch {number} was done and reported before; Spark alone had not noted it")
            return
        self._on_outcome(outcome)
        self._reporting.report(stream, _report(number, outcome, steps_ms))
        self._faults.reach("report")
        self._note_report(key)

    def try_again(self, rejected: DataFrame) -> tuple[Outcome, list[RejectedRecord]]:
        """Judge and insert records (csv_records.SCHEMA) that were refused before; those refused again.

        Raises UnavailableError when PostgreSQL stayed away.
        """
        refused: list[RejectedRecord] = []

        def once() -> Outcome:
            refused.clear()
            with connect(self._dsn, autocommit=True) as connection:
                return self._write(connection, rejected, None, refused.extend, _Try(self._faults))

        return self._retry.call(once, is_transient), refused

    def _once(self, files: DataFrame, key: tuple[str, int]) -> tuple[Outcome, Mapping[str, float]]:
        """One try; the outcome is the ledger's when that has the batch."""
        attempt = _Try(self._faults)
        with connect(self._dsn, autocommit=True) as connection:
            # What a try before left behind, whose process was killed or whose connection was lost.
            drop_leftovers(connection)
            known = find_outcome(connection, *key)
            if known is not None:
                return known, {}
            keep = self._keeper(str(key[1]))
            outcome = self._write(connection, records(files, EVENT_COLUMNS), key, keep, attempt)
        return outcome, attempt.steps_ms

    def _write(
        self,
        connection: psycopg.Connection[Any],
        read: DataFrame,
        key: tuple[str, int] | None,
        keep_rejected: Callable[[Iterator[RejectedRecord]], None],
        attempt: _Try,
    ) -> Outcome:
        # PostgreSQL's clock decides what is in the future.
        start = server_time(connection)
        table = create_table(connection)
        try:
            with connect(self._dsn) as inserting:
                insertion = Insertion(inserting, table)
                with inserting_early(insertion, connection):
                    staged = stage(judge(read, start), self._dsn, table)
                attempt.mark("stage")
                outcome = commit_batch(insertion, staged, key, start, keep_rejected, attempt.mark)
            attempt.mark("commit")
        except (Py4JJavaError, PySparkException) as error:
            if any(name in str(error) for name in _MISSING_FILE):
                raise ServiceError(_missing_file(str(error))) from error
            raise
        finally:
            if not connection.closed:
                drop_table(connection, table)
        return outcome

    def _keeper(self, batch_id: str) -> Callable[[Iterator[RejectedRecord]], None]:
        def keep(rejected: Iterator[RejectedRecord]) -> None:
            letters = as_letters(rejected, "line")
            while chunk := list(islice(letters, _LETTERS_AT_ONCE)):
                self._reporting.set_aside(chunk, batch_id)

        return keep

    def _note_report(self, key: tuple[str, int]) -> None:
        try:
            with connect(self._dsn, autocommit=True) as connection:
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
        records_by_outcome=ends(outcome.inserted, outcome.duplicates, refused=sum(outcome.rejected.values())),
        errors=[f"{count} × {reason}" for reason, count in sorted(outcome.rejected.items())],
        steps_ms=steps_ms,
    )


def _missing_file(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if ".csv" in line]
    which = lines[0][:300] if lines else "Spark's log names it"
    return (
        "A file of the batch is gone since it was listed. Put it back, or, to go on without it, an empty "
        f"file of its name: {which}"
    )
