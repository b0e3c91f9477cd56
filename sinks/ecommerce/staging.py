"""Into PostgreSQL from the executors: every task streams its rows by COPY into the batch's staging table.

A staging table belongs to one try of one batch, so what an abandoned try still sends cannot reach another.
Within it a row carries the transaction that wrote it, its writer: a task that ran twice (speculation, a
retry) left rows of two tries, and only those of the successful one count.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv
from pyspark.sql import DataFrame

from contracts.ecommerce import MAX_RECORD_BYTES
from sinks.ecommerce.connection import is_transient_state, session, transaction

EVENT_TYPES = {
    "event_id": "UUID",
    "user_id": "TEXT",
    "product_id": "TEXT",
    "product_name": "TEXT",
    "product_category": "TEXT",
    "event_type": "TEXT",
    "price": "NUMERIC(10,2)",
    "event_timestamp": "TIMESTAMPTZ",
}
# A record as it came is `text` where it counts, and bytes that may be no text where it is refused.
_RECORD_TYPES = {
    "reason": "TEXT",
    "file": "TEXT",
    "line": "BIGINT",
    "header": "TEXT",
    "text": "TEXT",
    "raw": "BYTEA",
}
_COLUMNS = {**EVENT_TYPES, **_RECORD_TYPES}
_WRITER = "writer XID8 NOT NULL DEFAULT pg_current_xact_id()"
_PREFIX = "ecommerce_staging_"
# How long dropping waits for a task that is still writing; what is left goes the next time.
_DROP_WAIT = "'2s'"


class LostRowsError(Exception):
    """The staging table is gone, or lacks rows that the tasks sent; repeat the batch."""


class StagingError(Exception):
    """A task could not send its rows; `transient` when the connection or the server's state was the cause."""

    def __init__(self, message: str, sqlstate: str | None) -> None:
        super().__init__(message)
        self.transient = is_transient_state(sqlstate)


@dataclass(frozen=True, slots=True)
class Staged:
    """What the successful tasks left in `table`, as `writers`: rows by reason, None for those that count.

    `noted` counts what a person should know of those that count.
    """

    table: str
    writers: Sequence[str]
    by_reason: Mapping[str | None, int]
    noted: Mapping[str, int] = field(default_factory=dict)


@contextmanager
def staging_table(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Make the staging table of one try; it is dropped after the block, in which it should be held (`hold`).

    UNLOGGED: a crash of the server empties it, and ends the transaction that holds it.
    """
    table = f"{_PREFIX}{secrets.token_hex(8)}"
    columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
    # The writer goes first, because it is what is looked at in every row.
    statement = sql.SQL(f"CREATE UNLOGGED TABLE {{}} ({_WRITER}, {columns})")
    with transaction(connection):
        connection.execute(statement.format(sql.Identifier(table)))
    try:
        yield table
    finally:
        # A task that still writes keeps it: then `drop_leftovers` will.
        if not connection.closed:
            with suppress(psycopg.errors.LockNotAvailable), transaction(connection, lock_timeout=_DROP_WAIT):
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(table)))


def hold(connection: psycopg.Connection[Any], table: str) -> None:
    """Keep a table from being dropped as a leftover while the transaction of `connection` lasts.

    Raises LostRowsError when it was dropped before.
    """
    try:
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(table)))
    except psycopg.errors.UndefinedTable:
        raise LostRowsError("another program took the new staging table for a leftover") from None


def drop_leftovers(connection: psycopg.Connection[Any]) -> int:
    """Drop the staging tables whose try is gone, those of other users excepted, and return their number."""
    with transaction(connection):
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND starts_with(relname, %s)"
            " AND pg_has_role(relowner, 'USAGE') AND relnamespace ="
            " (SELECT oid FROM pg_namespace WHERE nspname = current_schema())",
            [_PREFIX],
        ).fetchall()
    return sum(_drop_unused(connection, table) for (table,) in found)


def _drop_unused(connection: psycopg.Connection[Any], table: str) -> bool:
    statement = sql.SQL("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE NOWAIT; DROP TABLE {table}")
    try:
        with transaction(connection):
            connection.execute(statement.format(table=sql.Identifier(table)))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable):
        return False
    return True


def stage(judged: DataFrame, connection: psycopg.Connection[Any], dsn: str, table: str) -> Staged:
    """Send every row of `judged` (analytics.ecommerce.rules.judge) into `table`, which `connection` holds.

    Raises StagingError when a task lost its connection or was refused, LostRowsError, and psycopg's errors.
    """
    # A task keeps Java, Python and the server busy at once.
    tasks = max(1, judged.sparkSession.sparkContext.defaultParallelism // 2)
    rows = judged.selectExpr(*staged_columns()).coalesce(tasks)
    sent = rows.mapInArrow(lambda batches: _copy(batches, dsn, table), "result STRING").collect()
    results = [json.loads(row.result) for row in sent]
    for result in results:
        if result["error"]:
            raise StagingError(result["error"], result["sqlstate"])
    writers = [result["writer"] for result in results]
    staged = count(connection, table, writers, sum(result["rows"] for result in results))
    noted = sum((Counter(result["noted"]) for result in results), Counter[str]())
    return replace(staged, noted=dict(noted))


def count(connection: psycopg.Connection[Any], table: str, writers: Sequence[str], sent: int) -> Staged:
    """What is in `table` of the `writers`, who sent `sent` rows. Raises LostRowsError when it is less."""
    query = sql.SQL(
        "SELECT reason, count(*) FROM {} WHERE writer = ANY(%s::xid8[]) GROUP BY reason ORDER BY reason"
    )
    by_reason = dict(connection.execute(query.format(sql.Identifier(table)), [writers]).fetchall())
    found = sum(by_reason.values())
    if found != sent:
        raise LostRowsError(f"{table} has {found} of {sent} rows: PostgreSQL crashed")
    return Staged(table, writers, by_reason)


def staged_columns() -> list[str]:
    """The columns of the staging table, and `noted`, as expressions of a judged row."""
    raw = f"concat('\\\\x', hex(substring(raw, 1, {MAX_RECORD_BYTES + 1})))"
    counts = {name: name for name in (*EVENT_TYPES, "noted")} | {"text": "CAST(raw AS STRING)"}
    return [
        *[f"IF(reason IS NULL, {value}, NULL) AS {name}" for name, value in counts.items()],
        *("reason", "file", "line", "header", f"IF(reason IS NULL, NULL, {raw}) AS raw"),
    ]


def _copy(batches: Iterable[pa.RecordBatch], dsn: str, table: str) -> Iterator[pa.RecordBatch]:
    """On an executor: sends the rows in one COPY; its writer and rows, or the error, as JSON."""
    statement = sql.SQL(f"COPY {{}} ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT csv)")
    rows, noted = 0, Counter[str]()
    result: dict[str, Any] = {"error": None}
    try:
        # A lost staging row fails the batch before its commit, so no need to wait for the disk.
        with session(dsn, synchronous_commit="off") as connection, connection.cursor() as cursor:
            with cursor.copy(statement.format(sql.Identifier(table))) as copy:
                for batch in batches:
                    copy.write(_as_csv(batch.select([*_COLUMNS])))
                    rows += batch.num_rows
                    for lines in batch.column("noted").drop_null().to_pylist():
                        noted.update(lines.split("\n"))
            ((writer,),) = cursor.execute("SELECT pg_current_xact_id()::text").fetchall()
        result |= {"writer": writer, "rows": rows, "noted": noted}
    except psycopg.Error as failure:
        # Not raised: a failed task would print a stack trace of its own and count as Spark's failure.
        result = {"error": f"{type(failure).__name__}: {failure}", "sqlstate": failure.sqlstate}
    yield pa.RecordBatch.from_pydict({"result": [json.dumps(result)]})


def _as_csv(batch: pa.RecordBatch) -> memoryview:
    """As COPY reads it: texts in quotes, nothing where there is no value."""
    text = pa.BufferOutputStream()
    csv.write_csv(batch, text, csv.WriteOptions(include_header=False))
    return memoryview(text.getvalue())
