"""The connection to PostgreSQL for reading, bounded in time, and its faults as sentences for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from certificates import why_untrusted
from monitoring.logs import get_logger, redact
from sinks.ecommerce.connection import session
from told import told

logger = get_logger(__name__)

# A person waits for the page: finding the server, one statement, a peer that has vanished.
_CONNECT_SECONDS = 3
_STATEMENT_MILLISECONDS = 5_000
_OPTIONS: dict[str, Any] = {
    "connect_timeout": _CONNECT_SECONDS,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "application_name": "dashboard",
}
_REFUSED = ("password", "no pg_hba.conf", "does not exist", "permission denied")


@contextmanager
def reading(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that can only read, whose statements end in time and see one snapshot.

    The user of `dsn` needs SELECT on user_events and user_event_batches, and no more.
    """
    bounded = psycopg.conninfo.make_conninfo(dsn, **_OPTIONS)
    patience = _STATEMENT_MILLISECONDS / 1000 + _CONNECT_SECONDS
    limits = {"statement_timeout": str(_STATEMENT_MILLISECONDS)}
    with session(bounded, read_only=True, quiet_seconds=patience, asks=False, **limits) as connection:
        yield connection


def explain(error: Exception) -> str:
    """Returns a sentence with the remedy for `error`; logs the details, as an address may hold secrets."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        # Its text quotes the address.
        return "POSTGRES_DSN is not a usable PostgreSQL address."
    logger.warning(f"The dashboard could not read from PostgreSQL: {redact(str(error))[:500]}")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return (
            "PostgreSQL refuses the dashboard's user: GRANT SELECT ON user_events, user_event_batches to it."
        )
    if isinstance(error, psycopg.errors.QueryCanceled):
        return (
            f"PostgreSQL took longer than {_STATEMENT_MILLISECONDS / 1000:g} seconds: choose a shorter span."
        )
    if isinstance(error, psycopg.OperationalError) and any(text in str(error) for text in _REFUSED):
        return "PostgreSQL refuses the user, the password or the database of POSTGRES_DSN."
    if why := why_untrusted(str(error)):
        return f"The certificate of PostgreSQL at POSTGRES_DSN {why}."
    return (
        f"PostgreSQL does not answer ({type(error).__name__}): check that the server runs and that "
        f"POSTGRES_DSN is right; {told('ecommerce check')} tells more."
    )


FAULTS: tuple[type[Exception], ...] = (psycopg.Error, OSError)
