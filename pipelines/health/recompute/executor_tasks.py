"""The tasks on the executors: they read histories and write results, each for one partition of users.

A task may run twice, also at the same time (retries, speculation). Both write the same `calculatedAt`, so
the second changes nothing and counts what the first has stored.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import bson
import pyarrow as pa
import pyarrow.compute as pc
from bson import ObjectId
from bson.errors import BSONError
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from analytics.health.basis import PACKED_BYTES, Basis, unpacked
from analytics.health.history_table import history_schema, history_table
from analytics.health.past import NOTHING, measured
from analytics.health.results import CalculatedResults
from analytics.health.schemas import RESULT_SCHEMA
from analytics.health.superseded import LIMIT, Superseded
from analytics.health.validation import DayRules
from analytics.health.versions_read import VersionsRead
from contracts import FailedWrite, ServiceError, WriteResult
from contracts.health_metrics import METRICS
from pipelines.health.recompute.task_plan import TaskPlan
from sinks.health.newer_wins import NewerWins
from sinks.health.stored_results import KEY, stored_of
from sinks.mongo_errors import denial, is_transient_mongo
from sources.health.history import read_history_rows
from sources.mongo_client import ServerClock, shared_client

# Some first rows have here the documents that lost their day (Superseded.packed), where they are asked for.
SUPERSEDED: Final = "superseded"
# And these the bases of the users that were read together, in their order, behind the number of the first.
BASES: Final = "bases"
_FIRST: Final = struct.Struct("<q")
OUTCOME_DDL: Final = (
    "computed int, inserted int, updated int, skipped int, deleted int, refused int, users array<int>,"
    " failed array<binary>"
)
# The most that a task holds at once: users with their documents, and results.
_USERS_PER_READ = 50
_ROWS_PER_WRITE = 1_200


class TaskError(Exception):
    """A fault of a server or folder that a task met, in words that the driver can read back.

    `kind` is `denied`, `transient`, `mongo` or `service`. Spark hands the driver the text alone.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"[{kind}] {text}")


@dataclass(frozen=True)
class Calculation:
    """All that the tasks of one batch need.

    `users` are sorted; partition n has those from n · `plan.partition_users`. Of the documents dated `since`
    a moment the reader tells which lost their day.
    """

    plan: TaskPlan
    database: str
    source: str
    target: str
    batch_id: str
    calculated_at: datetime
    users: Sequence[ObjectId] = field(repr=False)
    since: datetime | None = None
    # By the number of the user; known once all histories are read.
    bases: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def history_ddl(self) -> str:
        """The columns that `read_partitions` yields."""
        metrics = (f"`{name}` double" for name in self.plan.metrics)
        lost = [] if self.since is None else [f"{SUPERSEDED} binary"]
        return ", ".join(["user int", "day int", *metrics, f"{BASES} binary", *lost])

    def collection(self, name: str) -> Collection[dict[str, Any]]:
        """By this worker process's own client."""
        return shared_client(self.plan.uri, self.plan.timeout_ms)[self.database][name]


def read_partitions(work: Calculation, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The histories (`history_ddl`) of the users of each partition whose number (`id`) comes in.

    Raises TaskError.
    """
    METRICS.use(work.plan.metrics)
    rules = DayRules.at(work.calculated_at, work.plan.timezone, work.plan.sources)
    # All partitions together have room for as many as the driver.
    limit = max(1, LIMIT * _USERS_PER_READ // max(len(work.users), _USERS_PER_READ))
    size = work.plan.partition_users
    for batch in batches:
        for number in batch.column("id").to_pylist():
            end = min((number + 1) * size, len(work.users))
            for start in range(number * size, end, _USERS_PER_READ):
                users = work.users[start : min(start + _USERS_PER_READ, end)]
                lost = Superseded(work.since, limit)
                with _as_task_errors():
                    read = VersionsRead(rules, users)
                    documents = read.watch(read_history_rows(work.collection(work.source), users))
                    table = history_table(documents, users, rules, lost)
                # Who has no row has no result.
                metrics = measured(table, [NOTHING] * len(users))
                bases = packed_bases(start, map(Basis, read.fingerprints(), metrics))
                shifted = pc.add(table.column("user"), pa.scalar(start, pa.int32()))
                table = table.set_column(0, history_schema().field("user"), shifted)
                table = table.append_column(BASES, _first_of(bases, table.num_rows))
                if work.since is not None:
                    # A document that lost has a winner, so there is a first row.
                    packed = lost.packed() if lost.count else None
                    table = table.append_column(SUPERSEDED, _first_of(packed, table.num_rows))
                yield from table.to_batches()


def packed_bases(first: int, bases: Iterable[Basis]) -> bytes:
    """The `bases` of consecutive users, the first of whom has the number `first`."""
    return _FIRST.pack(first) + b"".join(basis.packed() for basis in bases)


def unpacked_bases(packed: bytes) -> dict[int, bytes]:
    """The same by the number of the user; each is still packed."""
    (first,) = _FIRST.unpack_from(packed)
    starts = range(_FIRST.size, len(packed), PACKED_BYTES)
    return {first + number: packed[start : start + PACKED_BYTES] for number, start in enumerate(starts)}


def _first_of(value: bytes | None, rows: int) -> pa.Array:
    return pa.array([value, *[None] * (rows - 1)] if rows else [], pa.binary())


def write_partition(
    work: Calculation, metadata: dict[str, Any], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Write the results (RESULT_SCHEMA) of a partition, newer wins; one row of OUTCOME_DDL for all of it.

    Raises TaskError.
    """
    METRICS.use(work.plan.metrics)
    writer = _PartitionWriter(work, metadata)
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS_PER_WRITE):
            rows = pa.Table.from_batches([batch.slice(start, _ROWS_PER_WRITE)])
            with _as_task_errors():
                writer.write(rows.select(RESULT_SCHEMA.names).cast(RESULT_SCHEMA))
    with _as_task_errors():
        yield writer.outcome()


class _PartitionWriter:
    def __init__(self, work: Calculation, metadata: dict[str, Any]) -> None:
        self._work, self._metadata = work, metadata
        self._target = work.collection(work.target)
        clock = ServerClock(self._target.database.client)
        self._writer = NewerWins(self._target, work.calculated_at, clock, work.plan.anew)
        self._numbers: set[int] = set()
        self._computed = 0
        self._total = WriteResult()
        self._keys: list[Any] = []

    def write(self, rows: pa.Table) -> None:
        work = self._work
        numbers = set(rows.column("user").to_pylist())
        bases = {work.users[each]: unpacked(work.bases[each]) for each in numbers if each in work.bases}
        results = CalculatedResults(rows, work.users, work.calculated_at, self._metadata, bases=bases)
        done = self._writer.write(results)
        self._numbers |= numbers
        self._computed += rows.num_rows
        self._keys += [failed.document for failed in done.failed]
        self._total += replace(done, examples={})

    def outcome(self) -> pa.RecordBatch:
        work, total = self._work, self._total
        numbers = sorted(self._numbers)
        users = [work.users[number] for number in numbers]
        obsolete = self._writer.remove_others(users)
        inserted, updated, skipped = total.inserted, total.updated, total.skipped
        if skipped:
            inserted, updated = stored_of(self._target, users, work.calculated_at)
            skipped = self._computed - inserted - updated - len(self._keys)
        refused = len({key["userId"] for key in self._keys})
        counts = [self._computed, inserted, updated, skipped, total.deleted + obsolete, refused]
        failed = [_encoded(failure) for failure in total.failed]
        columns = [
            *(pa.array([count], pa.int32()) for count in counts),
            pa.array([numbers], pa.list_(pa.int32())),
            pa.array([failed], pa.list_(pa.binary())),
        ]
        names = [column.split()[0] for column in OUTCOME_DDL.split(", ")]
        return pa.RecordBatch.from_arrays(columns, names)


def _encoded(failure: FailedWrite) -> bytes:
    try:
        return bson.encode({"document": failure.document, "reason": failure.reason})
    except (BSONError, OverflowError):
        # It was refused because it cannot be encoded; a retry recomputes its user and needs no more.
        names = {name: failure.document[name] for name in KEY}
        return bson.encode({"document": names, "reason": failure.reason})


def failed_writes(encoded: Sequence[bytes]) -> list[FailedWrite]:
    """Decode the failed documents of a row of OUTCOME_DDL."""
    options: bson.CodecOptions[dict[str, Any]] = bson.CodecOptions(tz_aware=True)
    found = [bson.decode(item, codec_options=options) for item in encoded]
    return [FailedWrite(item["document"], item["reason"]) for item in found]


@contextmanager
def _as_task_errors() -> Iterator[None]:
    try:
        yield
    except ServiceError as error:
        raise TaskError("service", str(error)) from None
    except PyMongoError as error:
        refusal = denial(error)
        if refusal is not None:
            raise TaskError("denied", refusal) from None
        # Drivers' messages quote addresses; the type helps more.
        kind = "transient" if is_transient_mongo(error) else "mongo"
        raise TaskError(kind, type(error).__name__) from None
