"""Databases of the e-commerce benchmark: empty ones, and ones with many events in them already."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict

from contracts.ecommerce import EVENT_COLUMNS
from sinks.ecommerce.schema import EVENTS, ensure_tables

# The insertion that both the peers and the pipeline make from a staging table with the events.
INSERT = (
    f"INSERT INTO {EVENTS} ({', '.join(EVENT_COLUMNS)}) SELECT {', '.join(EVENT_COLUMNS)} FROM peer_staging"
    " ORDER BY event_id ON CONFLICT (event_id) DO NOTHING"
)
STAGING = "peer_staging"
_STAGING_TABLE = f"CREATE UNLOGGED TABLE {STAGING} AS SELECT {', '.join(EVENT_COLUMNS)} FROM {EVENTS} LIMIT 0"
# Older than the files' events, like the rows of a table that has grown: 100 every 5 seconds.
_OLD_EVENTS = f"""
    INSERT INTO {EVENTS} ({", ".join(EVENT_COLUMNS)}, ingested_at)
    SELECT md5('old' || n)::uuid, 'USER_' || lpad((1 + n %% 1000)::text, 6, '0'),
        'PROD_' || lpad((1 + n / 7 %% 80)::text, 6, '0'), 'Garden Hose, 20 m Classic', 'Home & Garden',
        CASE WHEN n %% 10 < 3 THEN 'purchase' ELSE 'view' END, CASE WHEN n %% 10 < 3 THEN 19.99 END,
        moment, moment
    FROM generate_series(%s::bigint + 1, %s) n,
        LATERAL (SELECT timestamptz '2026-01-01 00:00Z' - (%s - n) * interval '50 milliseconds' AS moment) m
"""


@contextmanager
def database(dsn: str) -> Iterator[str]:
    """The address of a new database with the pipeline's tables and an empty `peer_staging`, then dropped."""
    name = f"bench_{secrets.token_hex(6)}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            address = _with_database(dsn, name)
            with psycopg.connect(address) as inside:
                ensure_tables(inside)
                inside.execute(_STAGING_TABLE)
            yield address
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def grow(dsn: str, rows: int, largest: int) -> None:
    """Fill the table up to `rows` with events older than those of the files; `largest` is where it will end.

    The indexes are made afterwards, which is faster.
    """
    with psycopg.connect(dsn) as connection:
        present = _number(connection)
        indexes = connection.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = %s AND indexname <> %s",
            [EVENTS, f"{EVENTS}_pkey"],
        ).fetchall()
        for (index,) in indexes:
            connection.execute(f"DROP INDEX {index}")
        connection.execute(f"ALTER TABLE {EVENTS} DROP CONSTRAINT {EVENTS}_pkey")
        connection.execute(_OLD_EVENTS, [present, rows, largest])
        connection.execute("SET LOCAL maintenance_work_mem = '512MB'")
        connection.execute(f"ALTER TABLE {EVENTS} ADD PRIMARY KEY (event_id)")
        ensure_tables(connection)
    settle(dsn)


def settle(dsn: str) -> None:
    """Let the server write down what earlier work left, so that the next turn does not pay for it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"VACUUM (ANALYZE) {EVENTS}")
        with suppress(psycopg.errors.InsufficientPrivilege):
            connection.execute("CHECKPOINT")


def count(dsn: str) -> int:
    """The events that are stored."""
    with psycopg.connect(dsn) as connection:
        return _number(connection)


def jdbc_address(dsn: str) -> str:
    """`dsn` as the JDBC driver wants it; texts go into columns of any type."""
    parts = conninfo_to_dict(dsn)
    place = f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts['dbname']}"
    login = "".join(f"&{name}={parts[name]}" for name in ("user", "password") if name in parts)
    return f"jdbc:postgresql://{place}?stringtype=unspecified&reWriteBatchedInserts=true{login}"


def _with_database(dsn: str, name: str) -> str:
    base, question, options = dsn.partition("?")
    return f"{base.rpartition('/')[0]}/{name}{question}{options}"


def _number(connection: psycopg.Connection[Any]) -> int:
    ((number,),) = connection.execute(f"SELECT count(*) FROM {EVENTS}").fetchall()
    return cast(int, number)
