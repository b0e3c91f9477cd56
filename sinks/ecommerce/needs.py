"""What the e-commerce pipeline needs of a database that others set up: columns and rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from sinks.ecommerce.schema import EVENTS, LEDGER

OLDEST_SERVER = 13

# The types that a column may have; what is not here has to have a default, or nothing could be inserted.
_TEXT = ("text", "character varying")
_MOMENT = ("timestamp with time zone",)
_COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    EVENTS: {
        "event_id": ("uuid",),
        "user_id": _TEXT,
        "product_id": _TEXT,
        "product_name": _TEXT,
        "product_category": _TEXT,
        "event_type": _TEXT,
        "price": ("numeric(10,2)", "numeric"),
        "event_timestamp": _MOMENT,
        "ingested_at": _MOMENT,
    },
    LEDGER: {
        "query_id": ("uuid",),
        "batch_id": ("bigint",),
        "records_in": ("bigint",),
        "inserted": ("bigint",),
        "duplicates": ("bigint",),
        "rejected": ("jsonb",),
        "latency": ("jsonb",),
        "started_at": _MOMENT,
        "committed_at": _MOMENT,
        "reported": ("boolean",),
    },
}
_KEYS = {EVENTS: ("event_id",), LEDGER: ("query_id", "batch_id")}
# The key decides what is a duplicate, and the time of insertion tells the latency, so both are read.
_TABLE_RIGHTS = {EVENTS: ("SELECT", "INSERT"), LEDGER: ("SELECT", "INSERT", "UPDATE")}
# Each try of a batch makes a table of its own.
_SCHEMA_RIGHTS = ("USAGE", "CREATE")

_FOUND_COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull AND NOT atthasdef AND attidentity = ''
    FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
# ON CONFLICT finds an index on these columns alone, of all rows, and not one that is checked later. What an
# index only includes is behind its keys.
_HAS_KEY = """
    SELECT EXISTS (
        SELECT FROM pg_index WHERE indrelid = to_regclass(%s) AND indisunique AND indpred IS NULL
        AND indexprs IS NULL AND indimmediate AND indisvalid
        AND (SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute
             WHERE attrelid = indrelid AND attnum = ANY(indkey[0:indnkeyatts - 1])) = %s
    )
"""


# In a database of another encoding PostgreSQL converts what is sent, and fails at what that cannot hold;
# SQL_ASCII stores the bytes as they are sent.
_ENCODINGS = ("UTF8", "SQL_ASCII")


def place_fault(connection: psycopg.Connection[Any]) -> str | None:
    """Why no batch can be stored in the database as it is set up, with the remedy; None when it can."""
    encoding = _one(connection, "SHOW server_encoding")
    if encoding not in _ENCODINGS:
        return (
            f"The database of POSTGRES_DSN has the encoding {encoding}, which cannot hold every text. Make "
            "another (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0), move the tables with pg_dump, "
            "and correct POSTGRES_DSN."
        )
    if _one(connection, "SELECT current_schema()") is None:
        return (
            f"The search_path of the user of POSTGRES_DSN ({_one(connection, 'SHOW search_path')}) names no "
            "schema that exists and that it may use. Make one, or ALTER ROLE … SET search_path = public."
        )
    if _one(connection, "SHOW transaction_read_only") == "on":
        return (
            "The database of POSTGRES_DSN can only be read: it is a replica, or has "
            "default_transaction_read_only on, as its user may. Name the primary, or switch that off."
        )
    return None


def column_fault(connection: psycopg.Connection[Any]) -> str | None:
    """What is wrong with a table that exists, naming table and column; None when nothing is."""
    for table, expected in _COLUMNS.items():
        found = {name: rest for name, *rest in connection.execute(_FOUND_COLUMNS, [table]).fetchall()}
        if not found:
            continue
        fault = next(_faults(found, expected), None) or _key_fault(connection, table)
        if fault is not None:
            return f"the table {table} {fault}"
    return None


def _faults(found: dict[str, Any], expected: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for name, types in expected.items():
        if name not in found:
            yield f"has no column {name}"
        elif found[name][0] not in types:
            yield f"has a column {name} of type {found[name][0]} instead of {types[0]}"
    for name, (_, needs_value) in found.items():
        if needs_value and name not in expected:
            yield f"has a column {name} that needs a value and that no event has"


def _key_fault(connection: psycopg.Connection[Any], table: str) -> str | None:
    key = _KEYS[table]
    if connection.execute(_HAS_KEY, [table, sorted(key)]).fetchone() == (True,):
        return None
    return f"has no unique index on {', '.join(key)} alone that is valid and not deferrable"


def missing_grants(connection: psycopg.Connection[Any], removes: bool = False) -> list[str]:
    """The GRANT statements that the user of `connection` lacks; of tables that do not exist, none.

    With `removes` also those of the retention.
    """
    schema = _one(connection, "SELECT coalesce(current_schema(), 'public')")
    role = sql.Identifier(_one(connection, "SELECT current_user"))
    wanted = [
        (table, right, sql.SQL(right) + sql.SQL(" ON ") + sql.Identifier(table))
        for table, rights in _TABLE_RIGHTS.items()
        if _one(connection, "SELECT to_regclass(%s)", table) is not None
        for right in (*rights, *(["DELETE"] if removes else []))
    ]
    missing = [
        text
        for table, right, text in wanted
        if not _one(connection, "SELECT has_table_privilege(%s, %s)", table, right)
    ]
    missing += [
        sql.SQL(right) + sql.SQL(" ON SCHEMA ") + sql.Identifier(schema)
        for right in _SCHEMA_RIGHTS
        if not _one(connection, "SELECT has_schema_privilege(%s, %s)", schema, right)
    ]
    return [(sql.SQL("GRANT ") + text + sql.SQL(" TO ") + role).as_string(connection) for text in missing]


def _one(connection: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    ((found,),) = connection.execute(query, values).fetchall()
    return found
