"""Whether a batch could write into tables that others set up: tried with one row, which is taken back."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
from psycopg import sql

from contracts.ecommerce import EVENT_COLUMNS
from sinks.ecommerce.connection import is_transient_postgres
from sinks.ecommerce.schema import EVENTS, LEDGER

# Bits of pg_trigger.tgtype.
_INSERT, _UPDATE = 4, 16
# What a batch does to a table; another trigger does not run.
_WRITES = {EVENTS: _INSERT, LEDGER: _INSERT | _UPDATE}
# For each row, before it or instead of it; those of partitions count too.
_TRIGGERS = """
    SELECT tgname, tgrelid::regclass::text FROM pg_trigger
    WHERE tgrelid IN (SELECT to_regclass(%s) UNION SELECT relid FROM pg_partition_tree(to_regclass(%s)))
    AND NOT tgisinternal AND tgparentid = 0 AND tgenabled <> 'D'
    AND tgtype & 1 > 0 AND tgtype & 66 > 0 AND tgtype & %s > 0
    ORDER BY 2, 1
"""
_INSERTIONS = {
    EVENTS: f"INSERT INTO {EVENTS} ({', '.join(EVENT_COLUMNS)}) VALUES (%s, 'u', 'p', 'n', 'c', 'view', NULL,"
    " '2000-01-01T00:00:00Z') ON CONFLICT (event_id) DO NOTHING RETURNING ingested_at",
    LEDGER: f"INSERT INTO {LEDGER} (query_id, batch_id, records_in, inserted, duplicates, rejected, latency,"
    " started_at, committed_at) VALUES (%s, 0, 0, 0, 0, '{}', '{}', now(), now()) RETURNING reported",
}
# What only some rows break; the server names the constraint. Triggers that raise an error are the owner's.
_OF_THE_ROW = (
    psycopg.errors.CheckViolation,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.UniqueViolation,
    psycopg.errors.ExclusionViolation,
)


def write_fault(connection: psycopg.Connection[Any]) -> str | None:
    """Why a batch could not write as it has to, with the remedy; None when it can, or a table is not there.

    Raises psycopg's errors when the connection or the server's state is the cause.
    """
    return next((fault for table in _INSERTIONS if (fault := _fault(connection, table)) is not None), None)


def _fault(connection: psycopg.Connection[Any], table: str) -> str | None:
    if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
        return None
    for trigger, place in connection.execute(_TRIGGERS, [table, table, _WRITES[table]]):
        name = sql.Identifier(trigger).as_string(connection)
        return (
            f"The table {place} has the trigger {trigger}, which may change a row before it is stored or "
            f"leave it out, so that figures and duplicates would be wrong. DROP TRIGGER {name} ON {place}, "
            "or make it an AFTER trigger."
        )
    refusal = _refusal(connection, table)
    return None if refusal is None else f"The table {table} takes no row of a batch: {refusal}"


def _refusal(connection: psycopg.Connection[Any], table: str) -> str | None:
    """What PostgreSQL says when one row is inserted; the row is taken back."""
    statement = _INSERTIONS[table]
    try:
        with connection.transaction(force_rollback=True):
            found = connection.execute(statement, [uuid.uuid4()]).fetchone()
    except _OF_THE_ROW as error:
        return None if error.diag.constraint_name else _words(error)
    except psycopg.Error as error:
        if is_transient_postgres(error):
            raise
        return None if (error.sqlstate or "").startswith("P0") else _words(error)
    if found is None:
        return "it is left out. Look for rules."
    return None if found != (None,) else f"{statement.split()[-1]} stays empty. Give it a default."


def _words(error: psycopg.Error) -> str:
    told = ". ".join(part for part in (error.diag.message_primary, error.diag.message_detail) if part)
    return f"{told}. Mend the table, or rename it: the start makes its own."
