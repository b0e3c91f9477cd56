"""Gives a user another name in PostgreSQL: views, purchases and prices stay."""

from __future__ import annotations

import psycopg

from contracts import ConfigurationError
from sinks.ecommerce.connection import connect, transaction, wait_for_server
from sinks.ecommerce.schema import EVENTS, known_version


def count_events(dsn: str, user: str) -> int:
    """How many events the user has. Raises ConfigurationError, and psycopg's errors."""
    wait_for_server(dsn, 0, lambda _line: None)
    with connect(dsn) as connection, transaction(connection):
        known_version(connection)
        if connection.execute("SELECT to_regclass(%s)", [EVENTS]).fetchone() == (None,):
            return 0
        ((count,),) = connection.execute(
            f"SELECT count(*) FROM {EVENTS} WHERE user_id = %s", [user]
        ).fetchall()
        return int(count)


def rename_user(dsn: str, user: str, pseudonym: str) -> int:
    """Put `pseudonym` in the user's place, all events at once; returns how many.

    Raises ConfigurationError with the grant that is missing, and psycopg's errors.
    """
    try:
        with connect(dsn) as connection, transaction(connection):
            changed = f"UPDATE {EVENTS} SET user_id = %s WHERE user_id = %s"
            return connection.execute(changed, [pseudonym, user]).rowcount
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"The user of POSTGRES_DSN may not change events ({error.diag.message_primary}). Let it: "
            f"GRANT UPDATE (user_id) ON {EVENTS} TO …"
        ) from None
