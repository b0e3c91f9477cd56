"""Removes old events, and the lines of the ledger about their batches, an hour of them at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from contracts import ConfigurationError
from sinks.ecommerce.connection import connect, transaction, wait_for_server
from sinks.ecommerce.schema import EVENTS, LEDGER, known_version

# The index on `ingested_at` finds an hour at once, and no transaction is long.
_PIECE = timedelta(hours=1)
# Spark may ask for the last batch of a query again, however old it is.
_OLD_LINES = f"""
    DELETE FROM {LEDGER} AS old WHERE committed_at < %s AND reported
    AND batch_id < (SELECT max(batch_id) FROM {LEDGER} WHERE query_id = old.query_id)
"""


def remove_events(dsn: str, before: datetime, dry_run: bool) -> int:
    """Remove events that were stored before `before`; returns how many. With `dry_run` only count them.

    Raises ConfigurationError with the grant that is missing, and psycopg's errors.
    """
    wait_for_server(dsn, 0, lambda _line: None)
    try:
        with connect(dsn) as connection:
            count, first = _expired(connection, before)
            if dry_run or first is None:
                return count
            removed = 0
            while first < before:
                upto = min(first + _PIECE, before)
                with transaction(connection):
                    piece = f"DELETE FROM {EVENTS} WHERE ingested_at >= %s AND ingested_at < %s"
                    removed += connection.execute(piece, [first, upto]).rowcount
                first = upto
            with transaction(connection):
                connection.execute(_OLD_LINES, [before])
            return removed
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"The user of POSTGRES_DSN may not remove old events ({error.diag.message_primary}). Let it: "
            f"GRANT DELETE ON {EVENTS}, {LEDGER} TO …"
        ) from None


def _expired(connection: psycopg.Connection[Any], before: datetime) -> tuple[int, datetime | None]:
    with transaction(connection):
        known_version(connection)
        if connection.execute("SELECT to_regclass(%s)", [EVENTS]).fetchone() == (None,):
            return 0, None
        asked = f"SELECT count(*), min(ingested_at) FROM {EVENTS} WHERE ingested_at < %s"
        ((count, first),) = connection.execute(asked, [before]).fetchall()
    return count, first
