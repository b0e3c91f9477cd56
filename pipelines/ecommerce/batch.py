"""What is e-commerce's own in a batch: the files' records judged and staged, then inserted with the ledger.

Inserting begins while other rows are still staged; the transaction that ends with the ledger commits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg
from pyspark.sql import DataFrame

from analytics.ecommerce.rules import judge
from contracts import BatchKey, UnavailableError
from contracts.ecommerce import EVENT_COLUMNS
from monitoring.ecommerce.latency_metrics import EventLatency
from pipelines.ecommerce.passed_over import telling_whole_files
from pipelines.engine.steps import Steps
from pipelines.engine.stream_batch import BatchWork, Keep, Taken
from sinks.ecommerce.commit import Outcome, complete_batch, find_outcome, mark_reported, refused_records
from sinks.ecommerce.connection import connect, is_transient_postgres, server_time, session, transaction
from sinks.ecommerce.insertion import Insertion, Latency, inserting_early
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
from sinks.stream_letters import RejectedRecord
from sources.ecommerce.csv_files import files_of_batch, records


@dataclass(frozen=True)
class TakenEvents(Taken):
    """`latency` is of those that were written."""

    latency: Latency = field(default_factory=Latency)


@dataclass(frozen=True)
class StagedEvents:
    """Judged events in a staging table; `commit_now` ends the transaction of `insertion`."""

    insertion: Insertion
    staged: Staged
    key: BatchKey | None
    started_at: datetime
    place: Callable[[], Staged]
    commit_now: Callable[[], None]
    unreadable: set[str]

    def refused(self) -> Iterable[RejectedRecord]:
        """The records that broke a rule; files that cannot be read as a whole are named in the log."""
        if self.staged.by_reason.keys() <= {None}:
            return ()
        found = refused_records(self.insertion.connection, self.staged)
        return found if self.key is None else telling_whole_files(found, self.unreadable)

    def commit(self, keep: Keep, steps: Steps) -> TakenEvents:
        """Insert the events, in one transaction with the row of the ledger."""
        outcome = complete_batch(self.insertion, self.staged, self.key, self.started_at, keep, self.place)
        steps.done("insert")
        self.commit_now()
        steps.done("commit")
        return _taken(outcome)


@dataclass(frozen=True)
class EventsWork(BatchWork[DataFrame, TakenEvents]):
    """Takes files of events into the PostgreSQL of `dsn`.

    Spark notes in `checkpoint`, the folder of the stream, which files a batch is about. The paths of files
    that cannot be read to their end go to `unreadable`.
    """

    dsn: str
    checkpoint: Path
    latency: EventLatency
    unreadable: set[str] = field(default_factory=set)
    position = "line"

    def known(self, key: BatchKey) -> TakenEvents | None:
        """What the ledger says of a batch that was committed before."""
        with connect(self.dsn) as connection:
            # What a try before left behind, whose process was killed or whose connection was lost.
            drop_leftovers(connection)
            with transaction(connection):
                outcome = find_outcome(connection, key)
        return None if outcome is None else _taken(outcome)

    def read(self, frame: DataFrame, key: BatchKey) -> DataFrame:
        """The records of the batch's files (csv_reader.SCHEMA); `frame` has only their names, for Spark."""
        return records(frame.sparkSession, files_of_batch(self.checkpoint, key.number), EVENT_COLUMNS)

    @contextmanager
    def prepare(self, rows: DataFrame, key: BatchKey | None, steps: Steps) -> Iterator[StagedEvents]:
        """Judge and stage records; without a `key` they are no batch of the ledger."""
        table = new_table()
        try:
            with ExitStack() as open_transaction:
                inserting = open_transaction.enter_context(session(self.dsn))
                # PostgreSQL's clock decides what is in the future.
                start = server_time(inserting)
                insertion = Insertion(inserting, table)
                self._create(table)
                judged = judge(rows, start)
                with inserting_early(insertion):
                    staged = stage(judged, self.dsn, table)
                steps.done("stage")

                def place() -> Staged:
                    self._create(placed_of(table))
                    return stage(judged, self.dsn, placed_of(table), placed=True)

                commit_now = open_transaction.close
                yield StagedEvents(insertion, staged, key, start, place, commit_now, self.unreadable)
        finally:
            # A server that is away: the next batch drops what is left.
            with suppress(psycopg.OperationalError), connect(self.dsn) as connection:
                drop_table(connection, table)

    def _create(self, table: str) -> None:
        # A connection of its own: a server may end one that does nothing while the rows are staged.
        with connect(self.dsn) as connection:
            create_table(connection, table)

    def is_transient(self, error: BaseException) -> bool:
        """Whether the batch may succeed when it is simply done again."""
        if isinstance(error, StagingError):
            return error.transient
        return isinstance(error, LostRowsError) or is_transient_postgres(error)

    def follow(self, taken: TakenEvents, _steps: Steps) -> None:
        """Count how old the events were, unless the metrics have the batch."""
        if not taken.was_reported:
            found = taken.latency
            self.latency.observe(found.buckets, found.total_seconds, found.max_seconds)

    def mark_reported(self, key: BatchKey) -> None:
        """Note that log and metrics have the batch. Raises UnavailableError where waiting does not help."""
        try:
            with session(self.dsn) as connection:
                mark_reported(connection, key)
        except psycopg.Error as error:
            if self.is_transient(error):
                raise
            # The events are stored and the batch is told: it must not come again because of this.
            raise UnavailableError(type(error).__name__) from error


def _taken(outcome: Outcome) -> TakenEvents:
    return TakenEvents(
        written=outcome.inserted,
        duplicates=outcome.duplicates,
        refused=outcome.rejected,
        noted=outcome.noted,
        was_reported=outcome.reported,
        latency=outcome.latency,
    )
