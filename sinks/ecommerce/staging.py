"""Into PostgreSQL from the executors: every task streams its rows by COPY into the batch's staging table.

A staging table belongs to one try of one batch, so what an abandoned try still sends cannot reach another.
Within it a row carries the transaction that wrote it, its writer: a task that ran twice (speculation, a
retry) left rows of two tries, and only those of the successful one count. A task is a new writer every
PIECE_ROWS rows; each has a row in a small table beside, so that it can be inserted meanwhile.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow.csv import WriteOptions, write_csv
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from contracts.ecommerce import MAX_RECORD_BYTES
from sinks.ecommerce.connection import connect, is_transient_state, session, transaction

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
_REFUSAL_COLUMNS = {"reason": "TEXT", "file": "TEXT", "line": "BIGINT", "header": "TEXT", "raw": "BYTEA"}
_COLUMNS = {**EVENT_TYPES, **_REFUSAL_COLUMNS}
_WRITER = "writer XID8 NOT NULL DEFAULT pg_current_xact_id()"
_RESULT = "writer STRING, rows BIGINT, noted MAP<STRING, BIGINT>, error STRING, sqlstate STRING"
_ARROW_RESULT = pa.schema(
    [
        ("writer", pa.string()),
        ("rows", pa.int64()),
        ("noted", pa.map_(pa.string(), pa.int64())),
        ("error", pa.string()),
        ("sqlstate", pa.string()),
    ]
)
PIECE_ROWS = 20_000
_PREFIX, _PIECES, _PLACED = "ecommerce_staging_", "_pieces", "_placed"
# How long dropping waits for a task that is still writing; what is left goes the next time.
_DROP_WAIT = "'2s'"


class LostRowsError(Exception):
    """The staging table lacks rows that the tasks sent, because the server crashed; repeat the batch."""


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


def new_table() -> str:
    """A name for the staging table of one try; whoever uses the table locks it first (`lock`)."""
    return f"{_PREFIX}{secrets.token_hex(8)}"


def pieces_of(table: str) -> str:
    """The table beside a staging table: each piece there with its `writer`, `rows` and `valid` events."""
    return f"{table}{_PIECES}"


def placed_of(table: str) -> str:
    """The staging table for the same batch's events once more, with their places; it shares the lock."""
    return f"{table}{_PLACED}"


def lock(connection: psycopg.Connection[Any], table: str) -> None:
    """Tell other programs that a table is in use, for as long as the transaction of `connection` lasts."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [table])


def create_table(connection: psycopg.Connection[Any], table: str) -> None:
    """Make a staging table and that of its pieces.

    UNLOGGED: a crash of the server empties it, which the count of rows shows.
    """
    columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
    # The writer goes first, because it is what every insertion looks at in every row.
    statement = (
        f"CREATE UNLOGGED TABLE {{}} ({_WRITER}, {columns});"
        f" CREATE UNLOGGED TABLE {{}} ({_WRITER}, rows BIGINT, valid BIGINT)"
    )
    with transaction(connection):
        connection.execute(sql.SQL(statement).format(sql.Identifier(table), sql.Identifier(pieces_of(table))))


def drop_table(connection: psycopg.Connection[Any], table: str) -> None:
    """Drop what was made for a try, unless a task is still writing to it: then `drop_leftovers` will."""
    with suppress(psycopg.errors.LockNotAvailable), transaction(connection, lock_timeout=_DROP_WAIT):
        _drop(connection, table)


def drop_leftovers(connection: psycopg.Connection[Any]) -> int:
    """Drop the staging tables whose try is gone, those of other users excepted, and return their number."""
    with transaction(connection):
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND starts_with(relname, %s)"
            " AND NOT relname LIKE ANY(%s) AND pg_has_role(relowner, 'USAGE') AND relnamespace ="
            " (SELECT oid FROM pg_namespace WHERE nspname = current_schema())",
            [_PREFIX, [f"%{_PIECES}", f"%{_PLACED}"]],
        ).fetchall()
    return sum(_drop_unused(connection, table) for (table,) in found)


def _drop_unused(connection: psycopg.Connection[Any], table: str) -> bool:
    unused = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
    with suppress(psycopg.errors.LockNotAvailable), transaction(connection, lock_timeout=_DROP_WAIT):
        if connection.execute(unused, [table]).fetchone() == (True,):
            _drop(connection, table)
            return True
    return False


def _drop(connection: psycopg.Connection[Any], table: str) -> None:
    placed = placed_of(table)
    tables = map(sql.Identifier, (table, pieces_of(table), placed, pieces_of(placed)))
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.SQL(", ").join(tables)))


def stage(judged: DataFrame, dsn: str, table: str, placed: bool = False) -> Staged:
    """Send every row of `judged` (analytics.ecommerce.rules.judge) into `table`.

    With `placed` the events that count have file, line and text too. Raises StagingError when a task lost its
    connection or was refused, LostRowsError, and psycopg's errors.
    """
    # A task keeps Java, Python and the server busy at once. With more of them the insertion, which takes
    # longer than staging, would wait for a core of a machine that runs both.
    tasks = max(1, judged.sparkSession.sparkContext.defaultParallelism // 2)
    noted = F.expr("IF(reason IS NULL, noted, NULL) AS noted")
    rows = judged.select(*staged_columns(placed), noted).coalesce(tasks)
    results = rows.mapInArrow(lambda batches: _copy(batches, dsn, table), _RESULT).collect()
    for result in results:
        if result.error:
            raise StagingError(result.error, result.sqlstate)
    with session(dsn) as connection:
        sent = sum(result.rows for result in results)
        staged = count(connection, table, [result.writer for result in results], sent)
    return replace(staged, noted=dict(sum((Counter(result.noted) for result in results), Counter())))


def count(connection: psycopg.Connection[Any], table: str, writers: Sequence[str], sent: int) -> Staged:
    """What is in `table` of the `writers`, who sent `sent` rows. Raises LostRowsError when it is less.

    A crash after this breaks the connection that inserts, which is open already.
    """
    query = sql.SQL(
        "SELECT reason, count(*) FROM {} WHERE writer = ANY(%s::xid8[]) GROUP BY reason ORDER BY reason"
    )
    by_reason = dict(connection.execute(query.format(sql.Identifier(table)), [writers]).fetchall())
    found = sum(by_reason.values())
    if found != sent:
        raise LostRowsError(f"{table} has {found} of {sent} rows: PostgreSQL crashed")
    return Staged(table, writers, by_reason)


def staged_columns(placed: bool = False) -> list[Column]:
    """A judged row as the staging table has it; where it came from is there if it is refused or `placed`."""
    raw = f"concat('\\\\x', hex(substring(raw, 1, {MAX_RECORD_BYTES + 1})))"
    origin = {name: raw if name == "raw" else name for name in _REFUSAL_COLUMNS}
    return [
        *[F.expr(f"IF(reason IS NULL, {name}, NULL) AS {name}") for name in EVENT_TYPES],
        *[F.expr(f"IF({placed} OR reason IS NOT NULL, {it}, NULL) AS {name}") for name, it in origin.items()],
    ]


def _copy(batches: Iterable[pa.RecordBatch], dsn: str, table: str) -> Iterator[pa.RecordBatch]:
    """On an executor: sends the rows; a row for each writer, with an error when there was one."""
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    sent: list[tuple[str, int, Counter[str]]] = []
    error, sqlstate = None, None
    try:
        if first is not None:
            with connect(dsn) as connection:
                while first is not None:
                    sent.append(_send_piece(connection, table, chain([first], filled)))
                    first = next(filled, None)
    except psycopg.Error as failure:
        # Not raised: a failed task would print a stack trace of its own and count as Spark's failure.
        error, sqlstate = f"{type(failure).__name__}: {failure}", failure.sqlstate
        sent = [("", 0, Counter())]
    yield pa.RecordBatch.from_pylist(
        [
            {"writer": writer, "rows": rows, "noted": [*noted.items()], "error": error, "sqlstate": sqlstate}
            for writer, rows, noted in sent
        ],
        schema=_ARROW_RESULT,
    )


def _send_piece(
    connection: psycopg.Connection[Any], table: str, batches: Iterable[pa.RecordBatch]
) -> tuple[str, int, Counter[str]]:
    """One COPY in one transaction, of batches up to PIECE_ROWS: its writer and rows, and what is noted."""
    statement = sql.SQL(f"COPY {{}} ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT csv)")
    rows, valid = 0, 0
    noted: Counter[str] = Counter()
    # A lost staging row fails the batch before its commit, so no need to wait for the disk.
    with transaction(connection, synchronous_commit="off"), connection.cursor() as cursor:
        with cursor.copy(statement.format(sql.Identifier(table))) as copy:
            for batch in batches:
                copy.write(_as_csv(batch.select(list(_COLUMNS))))
                rows += batch.num_rows
                valid += batch.column("reason").null_count
                for lines in batch.column("noted").drop_null().to_pylist():
                    noted.update(lines.split("\n"))
                if rows >= PIECE_ROWS:
                    break
        announce = sql.SQL("INSERT INTO {} (rows, valid) VALUES (%s, %s) RETURNING writer::text")
        pieces = sql.Identifier(pieces_of(table))
        ((writer,),) = cursor.execute(announce.format(pieces), [rows, valid]).fetchall()
    return writer, rows, noted


def _as_csv(batch: pa.RecordBatch) -> pa.Buffer:
    """COPY's CSV format: texts are in quotes, and nothing is no value."""
    sink = pa.BufferOutputStream()
    write_csv(batch, sink, WriteOptions(include_header=False, batch_size=batch.num_rows))
    return sink.getvalue()
