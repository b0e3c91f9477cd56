"""Measures dead letters: 100 to 10 000 of them stored, tried again and purged, and what the first poll waits.

Health's are judged by their documents, those of stock by the records that they hold; so there are the two
kinds of retry. In the best case all are mended, in the worst all are still refused.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from bson import ObjectId
from pymongo import MongoClient
from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.common import folders
from benchmarks.figures import Figures
from contracts.health import SOURCE_COLLECTION
from monitoring import logs
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline, assemble
from pipelines.health.polling import open_poll
from pipelines.health.stores import open_cursor, open_database
from pipelines.stock.job import assemble_retry
from pipelines.stock.job import open_database as open_stock
from pipelines.stock.pipeline import STOCK
from session import build_session
from settings import Settings, load
from sinks.dead_letters import DeadLetters
from sinks.health.indexes import ensure_indexes
from sinks.stream_letters import RejectedRecord, as_letters

# A phone has sent a month with text in the place of its steps.
_LETTERS_PER_USER = 30
_MOST_SECONDS = 60.0
_FIRST_POLL_SECONDS = 10.0
_FIGURES = ("stored", "first poll", "still refused", "mended", "purged")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _fresh(given: Settings, scratch: Path, name: str) -> Iterator[Settings]:
    """`given` with a database and folders of its own; the database is dropped."""
    database = f"bench_letters_{name}_{time.time_ns()}"
    changed: dict[str, Any] = folders(scratch / database, "stock_cold_path")
    client: MongoClient[dict[str, Any]] = MongoClient(given.mongo_uri.get_secret_value())
    try:
        yield given.model_copy(update={**changed, "mongo_db_name": database, "stock_db_name": database})
    finally:
        client.drop_database(database)


def _require(queue: DeadLetters, letters: int) -> None:
    if queue.count() != letters:
        raise RuntimeError(f"{queue.count()} letters instead of {letters}, so a time would mean nothing")


@dataclass(frozen=True)
class Health:
    """One letter for each of the documents of a month, by the pipeline itself."""

    spark: SparkSession
    settings: Settings

    def measure(self, letters: int) -> Mapping[str, float]:
        """Seconds of each of _FIGURES."""
        now = datetime.now(timezone.utc)
        client: MongoClient[dict[str, Any]] = MongoClient(self.settings.mongo_uri.get_secret_value())
        documents = client[self.settings.mongo_db_name][SOURCE_COLLECTION]
        documents.insert_many(_bad_documents(letters, now - timedelta(minutes=10)))
        job = self._job()
        queue = job.letters.letters
        found = {"stored": _timed(lambda: job.batch.drain(StopFlag()))}
        _require(queue, letters)
        # Also whatever a start does with the letters before it polls.
        began = time.perf_counter()
        job = self._job()
        job.batch.drain(StopFlag())
        found["first poll"] = time.perf_counter() - began
        found["still refused"] = _timed(lambda: job.letters.run_due(StopFlag()))
        _require(queue, letters)
        documents.update_many({}, {"$set": {"metrics.steps": 5_000}})
        found["mended"] = _timed(lambda: job.letters.run(queue.each()))
        _require(queue, 0)
        documents.update_many(
            {}, {"$set": {"metrics.steps": "many", "updatedAt": datetime.now(timezone.utc)}}
        )
        job.batch.drain(StopFlag())
        _require(queue, letters)
        found["purged"] = _timed(queue.purge)
        return found

    def _job(self) -> HealthPipeline:
        database, clock = open_database(self.settings)
        source, target = database[SOURCE_COLLECTION], database[self.settings.analytics_collection]
        ensure_indexes(target)
        cursor = open_cursor(self.settings)
        poll = open_poll(self.settings, source, cursor)
        poll.ensure_index()
        return assemble(self.settings, self.spark, source, target, clock, cursor, poll)


def _bad_documents(number: int, updated: datetime) -> Iterator[dict[str, Any]]:
    """One document a second, so that the overlap of the next poll holds few of them."""
    for first in range(0, number, _LETTERS_PER_USER):
        user = ObjectId()
        for back in range(min(_LETTERS_PER_USER, number - first)):
            day = (updated - timedelta(days=back + 1)).replace(hour=0, minute=0, second=0, microsecond=0)
            values = {"metrics": {"steps": "many"}, "source": "manual"}
            moment = updated - timedelta(seconds=first + back)
            yield {"userId": user, "date": day, "updatedAt": moment, **values}


@dataclass(frozen=True)
class Stock:
    """One letter for each sale, as a trickle of refused records leaves them: one in a batch."""

    settings: Settings

    def measure(self, letters: int) -> Mapping[str, float]:
        """Seconds of each of _FIGURES; no record is read before the first poll, which is the reporting's."""
        queue = STOCK.open_letters(self.settings)
        bad = _rejected(self.settings.kafka_topic_sales, [b'{"invoice_id": "?"}'] * letters)
        found = {"stored": _timed(lambda: queue.store(bad, "bench", datetime.now(timezone.utc)))}
        _require(queue, letters)
        found["first poll"] = _timed(lambda: StreamReporting(STOCK, self.settings, 5.0))
        found["still refused"] = self._retry(queue)
        _require(queue, letters)
        found["purged"] = _timed(queue.purge)
        good = _rejected(self.settings.kafka_topic_sales, [_sale(number) for number in range(letters)])
        queue.store(good, "bench", datetime.now(timezone.utc))
        found["mended"] = self._retry(queue)
        _require(queue, 0)
        return found

    def _retry(self, queue: DeadLetters) -> float:
        database = open_stock(self.settings)
        return _timed(lambda: assemble_retry(self.settings, database).retry(queue.each()))


def _rejected(topic: str, values: Sequence[bytes]) -> list[Any]:
    records = (RejectedRecord("corrupt", f"{topic}/0", n, value) for n, value in enumerate(values))
    return [letter for record in records for letter in as_letters([record], "offset")]


def _sale(number: int) -> bytes:
    fields = {"invoice_id": f"I{number}", "client_id": f"C{number % 500}", "total_amount": "10.00"}
    items = [{"product_id": f"P{number % 100}", "quantity": 1}]
    return json.dumps({**fields, "timestamp": "2026-03-01T10:00:00Z", "items": items}).encode()


def main(
    uri: Annotated[str, typer.Option(envvar="MONGO_TEST_URI", help="A server to fill with test data.")],
    letters: Annotated[str, typer.Option(help="Letters in the queue.")] = "100,1000,10000",
) -> None:
    """Seconds for as many dead letters of the health and the stock pipeline."""
    logs.configure("ERROR")
    out = Console(width=120)
    settings = load(env_file=None, mongo_uri=uri, health_port=0)
    rows, figures = [], Figures(out, "letters")
    with tempfile.TemporaryDirectory() as folder:
        spark = build_session(settings.spark, streaming=False)
        for number in map(int, letters.split(",")):
            for name in ("health", "stock"):
                with _fresh(settings, Path(folder), name) as fresh:
                    bench = Health(spark, fresh) if name == "health" else Stock(fresh)
                    found = bench.measure(number)
                row = [f"{found[figure]:.2f}" for figure in _FIGURES]
                rows.append([name, f"{number:,}", *row])
                out.print(f"{name} {number}: {' '.join(row)}", highlight=False)
                for figure in ("still refused", "mended", "purged"):
                    figures.judge(
                        f"{name}, {number} letters {figure}", found[figure], " s", most=_MOST_SECONDS
                    )
                what = f"{name}, the first poll with {number} letters"
                figures.judge(what, found["first poll"], " s", most=_FIRST_POLL_SECONDS)
        spark.stop()
    figures.table("Dead letters", ["pipeline", "letters", *(f"{name}, s" for name in _FIGURES)], rows)
    figures.end()


if __name__ == "__main__":
    typer.run(main)
