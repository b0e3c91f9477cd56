"""What Home says of the e-commerce pipeline, on a real PostgreSQL: records of today, by an index."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import psycopg

from dashboard.data.condition import Signs
from dashboard.data.events_today import TODAY, EventsToday, read_today
from dashboard.ecommerce.pages import judge
from tests.support.shop_rows import insert_batch

_SIGNS = Signs(10.0)


def _since_midnight() -> float:
    now = datetime.now(timezone.utc)
    return (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


def test_it_counts_what_was_committed_since_midnight_utc(
    connection: psycopg.Connection[Any], events_dsn: str
) -> None:
    """Before the first batch there is nothing to say."""
    assert judge(EventsToday(events_dsn), _SIGNS).sentence == ""
    insert_batch(connection, _since_midnight() + 60, 30, (1_000, 0), {"corrupt": 9})
    insert_batch(connection, 0, 0, (4, 1), {"invalid_price": 2, "corrupt": 1})
    insert_batch(connection, 0, 0, (2_000, 0), {})
    found = judge(EventsToday(events_dsn), _SIGNS)
    assert found.sentence == "**2,004 events** today, 1 duplicate, 3 refused."
    assert found.signs.newest
    assert (datetime.now(timezone.utc) - found.signs.newest).total_seconds() < 300


def test_a_database_away_is_told() -> None:
    """In the sentence of the page, and nothing is asserted."""
    found = judge(EventsToday("postgresql://127.0.0.1:9/nowhere"), _SIGNS)
    assert (found.sentence, found.has_data) == ("", False)
    assert (found.signs.fault or "").startswith("PostgreSQL does not answer")


def test_it_reads_by_the_index_of_the_ledger(connection: psycopg.Connection[Any]) -> None:
    """A ledger of years costs what today holds."""
    connection.execute("SET enable_seqscan = off")
    plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {TODAY}"))
    assert "Index" in plan
    assert "Seq Scan" not in plan
    assert read_today(connection) is None
