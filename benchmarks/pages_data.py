"""What the pages are measured on: each store as its pipeline leaves it, filled in the shortest way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from bson import ObjectId
from pymongo.database import Database

from accounting.database import BooksDatabase
from benchmarks.population import fill as fill_raw
from benchmarks.population import user_ids
from contracts import BatchReport, WriteResult
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from pipelines.catalog import PIPELINES
from simulation.esports.season import Season
from simulation.program import Message
from sinks.ecommerce.schema import EVENTS, LEDGER, ensure_tables
from sinks.health.indexes import ensure_indexes
from tests.support.analytics_documents import analytics_documents
from tests.support.esports_dataset import Writer

# The people whose results the pages read whole; of the others they read an index or an estimate alone.
_WHOLE_USERS = 1_100
_TEMPLATES = 12
_DOCUMENTS_PER_INSERT = 2_400
_RAW_DAYS = 5
_LOGGED_BATCHES = 2_000
_SEASON, _SEASON_STEP = timedelta(days=6.5), timedelta(minutes=3)
# As if it were compacted now and then: a file for each three minutes would be too many for a page.
_STEPS_A_BATCH = 10
_DAY = timedelta(days=1)

_NEW_EVENTS = f"""
    INSERT INTO {EVENTS} (event_id, user_id, product_id, product_name, product_category, event_type, price,
        event_timestamp, ingested_at)
    SELECT md5('page' || n)::uuid, 'USER_' || lpad((n::bigint * 7919 %% %(users)s)::text, 6, '0'),
        'PROD_' || n %% 80, 'Garden Hose, 20 m Classic', 'Category ' || n / 7 %% 8,
        CASE WHEN n %% 10 < 3 THEN 'purchase' ELSE 'view' END,
        CASE WHEN n %% 10 < 3 THEN 10 + n %% 100 END, moment - interval '20 seconds', moment
    FROM generate_series(1, %(rows)s) n,
        LATERAL (SELECT now() - (%(rows)s - n) * (interval '2 days' / %(rows)s) AS moment) m
"""
_BATCHES = f"""
    INSERT INTO {LEDGER} (query_id, batch_id, records_in, inserted, duplicates, rejected, latency, started_at,
        committed_at, reported)
    SELECT '00000000-0000-0000-0000-000000000000', n, 35, 30, 3, '{{"invalid_price": 2}}',
        '{{"buckets": [], "total": 600, "max": 40}}', now() - n * interval '10 seconds',
        now() - n * interval '10 seconds' + interval '2 seconds', true
    FROM generate_series(0, 17280) n
"""
_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {})"
_TIME = "strftime('%Y-%m-%dT%H:%M:%S.000Z', 'now', '-' || n || ' seconds')"


def fill_health(database: Database[dict[str, Any]], users: int) -> None:
    """Fill it with raw documents and 24 results for each of `users`, all of the last day."""
    fill_raw(database, users, _RAW_DAYS, only_steps=True)
    target = database["analytics"]
    target.drop()
    ensure_indexes(target)
    results = _results(users)
    while piece := list(islice(results, _DOCUMENTS_PER_INSERT)):
        target.insert_many(piece, ordered=False)


def _results(users: int) -> Iterator[dict[str, Any]]:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    by_user: dict[ObjectId, list[dict[str, Any]]] = {}
    for document in analytics_documents(_TEMPLATES, now):
        by_user.setdefault(document["userId"], []).append(document)
    templates = [documents for documents in by_user.values() if len(documents) == 24]
    for number, user in enumerate(user_ids(users)):
        at = now - number * _DAY / users
        for document in templates[number % len(templates)]:
            is_whole = number < _WHOLE_USERS
            history = document["historicalData"] if is_whole else document["historicalData"][-1:]
            times = {"calculatedAt": at, "expiresAt": at + timedelta(days=90)}
            yield {**document, **times, "userId": user, "historicalData": history, "_id": ObjectId()}


def fill_files(folder: Path) -> None:
    """Leave the log and the metrics of each pipeline that has just worked."""
    for one in PIPELINES.values():
        _fill_files(folder, one.name if one.prefixed else "")


def _fill_files(folder: Path, prefix: str) -> None:
    history, metrics = BatchHistory(folder, prefix), Metrics(folder, prefix)
    now = datetime.now(timezone.utc)
    steps = {"poll": 2.0, "read": 5.0, "compute": 90.0, "write": 9.0}
    report = BatchReport("", now, now, records_processed=30, writes=WriteResult(1, 29), users=3)
    for number in range(_LOGGED_BATCHES):
        end = now - (_LOGGED_BATCHES - number) * timedelta(seconds=30)
        start, name = end - timedelta(seconds=1), f"batch_{number}"
        one = replace(report, batch_id=name, start_time=start, end_time=end, steps_ms=steps)
        history.record(one)
    metrics.observe(one)


def fill_events(dsn: str, rows: int, users: int) -> None:
    """Fill the tables of e-commerce with `rows` events of the last two days, of `users`."""
    with psycopg.connect(dsn) as connection:
        ensure_tables(connection)
        connection.execute(_NEW_EVENTS, {"rows": rows, "users": users})
        connection.execute(_BATCHES)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def fill_books(path: Path, invoices: int) -> None:
    """Fill the accountant's file with `invoices` that were sent, one a second until now."""
    books = BooksDatabase(path)
    books.prepare()
    numbers = _NUMBERS.format(invoices)
    few = _NUMBERS.format(min(5_000, invoices))
    with books.write() as connection:
        for table, values in {
            "products": f"{few} SELECT 'P' || n, 'Product ' || n, '', 5, 100, 150, NULL, NULL, NULL, {_TIME}",
            "clients": f"{few} SELECT 'C' || n, 'Client ' || n, NULL, NULL, 0, {_TIME}",
            "sales": f"{numbers} SELECT 'I' || n, 'C' || (n % 5000), {_TIME}, 1000 + n % 999, NULL",
            "sale_items": f"{numbers} SELECT 'I' || n, 0, 'P' || (n % 5000), 1",
            "events": f"{numbers} SELECT n, 'sales', 'I' || n, '{{}}', {_TIME}",
            "outbox": f"{numbers} SELECT n, n, 'sent', {_TIME}, {_TIME}, NULL",
        }.items():
            connection.execute(f"INSERT INTO {table} {values} FROM numbers")


def fill_season(output: Path, rows: int) -> None:
    """Fill the datasets of esports with about `rows` of a week's season, until now."""
    writer, now = Writer(output), datetime.now(timezone.utc)
    steps = int(_SEASON / _SEASON_STEP)
    season = Season(1, max(1, rows // steps), now - _SEASON)
    for first in range(0, steps + 1, _STEPS_A_BATCH):
        messages: list[Message] = []
        for number in range(first, min(first + _STEPS_A_BATCH, steps + 1)):
            at = now - _SEASON + number * _SEASON_STEP
            messages += season.advance(at)
        writer.add(messages, at)
        for generations in writer.generations.values():
            # Pages go by the time at which a batch was published.
            newest = max(generations.current().glob("batch=*"), default=None)
            if newest is not None:
                os.utime(newest, (at.timestamp(), at.timestamp()))
