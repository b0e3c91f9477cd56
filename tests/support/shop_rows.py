"""Rows of the e-commerce tables as the pipeline leaves them, for what reads them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from contracts.ecommerce import EVENT_COLUMNS
from simulation.ecommerce.events import EventGenerator
from sinks.ecommerce.schema import ensure_tables

_MINUTES, _EVENTS_A_MINUTE = 60, 20


def insert_batch(
    connection: psycopg.Connection[Any],
    started: float,
    seconds: float,
    counts: tuple[int, int],
    rejected: Mapping[str, int],
    latency: tuple[float, float] = (0.0, 0.0),
) -> None:
    """A batch that began `started` seconds ago and took `seconds`.

    `counts` are inserted and duplicates, `latency` the events' sum and maximum in seconds.
    """
    connection.execute(
        "INSERT INTO user_event_batches (query_id, batch_id, records_in, inserted, duplicates, rejected,"
        " latency, started_at, committed_at) VALUES (%s, 0, %s, %s, %s, %s, %s,"
        " now() - make_interval(secs => %s), now() - make_interval(secs => %s))",
        [
            uuid.uuid4(),
            sum(counts) + sum(rejected.values()),
            *counts,
            Jsonb(rejected),
            Jsonb({"buckets": [], "total": latency[0], "max": latency[1]}),
            started,
            started - seconds,
        ],
    )


def insert_event(
    connection: psycopg.Connection[Any],
    ingested: float,
    latency: float = 1,
    user: str = "u",
    category: str = "c",
    price: str | None = None,
) -> None:
    """A view, with a `price` a purchase, inserted `ingested` seconds ago, `latency` seconds old then."""
    connection.execute(
        "INSERT INTO user_events (event_id, user_id, product_id, product_name, product_category, event_type,"
        " price, event_timestamp, ingested_at) SELECT gen_random_uuid(), %s, 'p', 'n', %s, %s, %s,"
        " t - make_interval(secs => %s), t FROM (SELECT now() - make_interval(secs => %s)) AS times (t)",
        [user, category, "view" if price is None else "purchase", price, latency, ingested],
    )


def fill_an_hour(dsn: str) -> None:
    """What an hour of the generator leaves: a batch a minute, with duplicates and refusals now and then."""
    generator, now = EventGenerator(seed=5), datetime.now(timezone.utc)
    with psycopg.connect(dsn) as connection:
        ensure_tables(connection)
        for minute in range(_MINUTES):
            moment = now - timedelta(minutes=_MINUTES - minute)
            rows = list(generator.events(_EVENTS_A_MINUTE + minute % 7, moment))
            _insert(connection, rows, moment)
            refused = {"invalid_price": minute % 4, "corrupt": minute % 3} if minute % 5 == 0 else {}
            insert_batch(
                connection,
                started=60 * (_MINUTES - minute),
                seconds=1.5 + minute % 3,
                counts=(len(rows), minute % 6),
                rejected={reason: count for reason, count in refused.items() if count},
                latency=(30.0 * len(rows), 55.0 + minute % 9),
            )


def _insert(connection: psycopg.Connection[Any], rows: Sequence[Mapping[str, str]], moment: datetime) -> None:
    places = ", ".join(["%s"] * (len(EVENT_COLUMNS) + 1))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO user_events ({', '.join(EVENT_COLUMNS)}, ingested_at) VALUES ({places})",
            [[*(row[name] or None for name in EVENT_COLUMNS), moment] for row in rows],
        )
