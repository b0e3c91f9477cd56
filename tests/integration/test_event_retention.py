"""Old events leave PostgreSQL, with the ledger's lines about them, and nothing else does."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from contracts import ConfigurationError
from sinks.ecommerce.retention import remove_events
from sinks.ecommerce.schema import EVENTS, LEDGER
from tests.support.postgres_servers import fresh_role

_NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
_HOURS = [0, 1, 5 * 24, 29 * 24, 31 * 24, 31 * 24 + 1, 400 * 24]


def _fill(connection: psycopg.Connection[Any]) -> None:
    for number, hours in enumerate(_HOURS):
        stored = _NOW - timedelta(hours=hours)
        connection.execute(
            f"INSERT INTO {EVENTS} VALUES (%s, 'u', 'p', 'n', 'c', 'view', NULL, %s, %s)",
            [uuid.UUID(int=number), _NOW, stored],
        )
        for query in (1, 2):
            batch = [uuid.UUID(int=query), len(_HOURS) - number, json.dumps({}), stored, stored, query == 1]
            connection.execute(f"INSERT INTO {LEDGER} VALUES (%s, %s, 1, 1, 0, %s, '[]', %s, %s, %s)", batch)


def _left(connection: psycopg.Connection[Any], what: str, table: str) -> list[Any]:
    return [value for (value,) in connection.execute(f"SELECT {what} FROM {table} ORDER BY 1").fetchall()]


def test_what_was_stored_before_goes_and_a_dry_run_only_counts(
    connection: psycopg.Connection[Any], events_dsn: str
) -> None:
    """By the time of storing, however old the event; a line that was not reported, or is the last, stays."""
    _fill(connection)
    before = _NOW - timedelta(days=30)
    assert remove_events(events_dsn, before, True) == 3
    assert len(_left(connection, "event_id", EVENTS)) == len(_HOURS)
    assert remove_events(events_dsn, before, False) == 3
    assert [event.int for event in _left(connection, "event_id", EVENTS)] == [0, 1, 2, 3]
    reported = _left(connection, "batch_id", f"{LEDGER} WHERE reported")
    assert reported == [4, 5, 6, 7]
    assert len(_left(connection, "batch_id", f"{LEDGER} WHERE NOT reported")) == len(_HOURS)
    assert remove_events(events_dsn, before, False) == 0
    assert remove_events(events_dsn, _NOW + timedelta(days=1), False) == 4
    assert _left(connection, "batch_id", f"{LEDGER} WHERE reported") == [7]


def test_a_right_that_is_missing_is_one_sentence(
    connection: psycopg.Connection[Any], events_dsn: str
) -> None:
    """With the grant; nothing is removed."""
    _fill(connection)
    with fresh_role(events_dsn, f"SELECT, INSERT ON {EVENTS}, {LEDGER}") as dsn:
        with pytest.raises(ConfigurationError, match=f"GRANT DELETE ON {EVENTS}, {LEDGER} TO"):
            remove_events(dsn, _NOW, False)
        assert remove_events(dsn, _NOW, True) == len(_HOURS) - 1


def test_a_database_without_tables_has_nothing_to_remove(events_dsn: str) -> None:
    """The pipeline has not run yet."""
    assert remove_events(events_dsn, _NOW, False) == 0
