"""Measures Kafka → MongoDB for the stock pipeline against the seed's way, on the same sales in one run.

The seed appends a batch's sales, then reads every sale there is, computes winners and clients anew and
overwrites both collections. Its cost follows the history; ours should not. Both must end in the same winners.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from pymongo import MongoClient
from pymongo.database import Database
from pyspark.sql import DataFrame, SparkSession
from rich.console import Console

from analytics.stock.rankings import LoyaltyRules, profit
from benchmarks.common import drop_topics, folders
from benchmarks.connector_peer import PACKAGE
from benchmarks.figures import Figures
from benchmarks.stock_seed import Seed, copy_sales, winners
from contracts.stock import Product, Sale
from monitoring import logs
from pipelines.engine.kafka_connector import connector_conf
from pipelines.engine.stop_flag import StopFlag
from pipelines.stock.job import assemble, open_archive, open_database
from pipelines.stock.kafka_input import open_input, topics_of
from pipelines.stock.writer import StockWriter
from session import build_session
from settings import Settings, load
from simulation.kafka_sender import kafka_sender
from simulation.program import Message
from sinks.stock.sales import Sums
from sinks.stock.totals import StockFormulas
from sources.kafka_broker import KafkaBroker
from sources.kafka_stream import read_topics
from sources.mongo_client import ServerClock
from sources.stock.published_ranking import read_published

_PRODUCTS, _CLIENTS = 1_000, 5_000
_TIME = datetime(2026, 3, 1, tzinfo=timezone.utc)
_BUDGET = 5.0
_GROWTH = 1.3
_LEAST_SALES = 5_000
_IVY = tempfile.gettempdir() + "/connector-peer-ivy"


def sales(first: int) -> Iterator[Sale]:
    """Invoices from number `first` on, always the same, of one to four items each."""
    number = first
    while True:
        rng = random.Random(number)
        items = tuple(
            (f"P{int(_PRODUCTS * rng.random() ** 2)}", rng.randint(1, 9)) for _ in range(rng.randint(1, 4))
        )
        yield Sale(f"I{number}", f"C{rng.randrange(_CLIENTS)}", _TIME, rng.randrange(10**5), items)
        number += 1


def _json(sale: Sale) -> bytes:
    items = [{"product_id": product, "quantity": quantity} for product, quantity in sale.items]
    amount = f"{sale.amount // 100}.{sale.amount % 100:02d}"
    fields = {"invoice_id": sale.invoice_id, "client_id": sale.client_id, "timestamp": sale.time.isoformat()}
    return json.dumps({**fields, "total_amount": amount, "items": items}).encode()


def fill(database: Database[dict[str, Any]], history: int, with_seed: bool) -> None:
    """Fill `database` with `history` sales of batch 1, as the pipeline and the seed would have left them."""
    writer = StockWriter(
        database, StockFormulas(LoyaltyRules().standing, profit), ServerClock(database.client)
    )
    writer.take_over()
    products = [
        Product(f"P{n}", f"Product {n}", None, 5, 100 + n, 150 + 2 * n, None, None, None, "0")
        for n in range(_PRODUCTS)
    ]
    settled = writer.settle()
    opened = writer.ledger.open(settled)
    writer.sales.insert(islice(sales(0), history), opened.number)
    sealed = writer.ledger.seal(opened)
    writer.totals.apply(sealed, Sums(), products)
    writer.settle()
    if with_seed:
        copy_sales(database, history)


@dataclass
class Bench:
    """Each history in a database and topics of its own; turns of `batches` batches of `size` sales."""

    spark: SparkSession
    settings: Settings
    scratch: Path
    size: int
    batches: int
    steps: dict[str, float] = field(default_factory=dict)

    def measure(self, history: int, with_seed: bool) -> tuple[float, float | None]:
        """Returns the median seconds of a batch with `history` sales before it: ours, and the seed's."""
        settings = self._fresh(history)
        client: MongoClient[dict[str, Any]] = MongoClient(
            settings.mongo_uri.get_secret_value(), tz_aware=True
        )
        database = open_database(settings)
        try:
            fill(database, history, with_seed)
            self._produce(settings, history)
            ours = self._ours(settings, database)
            seeds = self._seeds(settings, database) if with_seed else None
        finally:
            client.drop_database(settings.stock_db_name)
            drop_topics(settings.kafka_bootstrap_servers, topics_of(settings).values())
        return ours, seeds

    def _fresh(self, history: int) -> Settings:
        name = f"bench_stock_{history}_{time.time_ns()}"
        given: dict[str, Any] = folders(self.scratch / name, "stock_cold_path")
        topics = ("kafka_topic_sales", "kafka_topic_inventory", "kafka_topic_clients")
        given |= {topic: f"{topic}_{name}" for topic in topics}
        given |= {"stock_db_name": name, "stock_max_offsets_per_trigger": self.size}
        return self.settings.model_copy(update=given)

    def _produce(self, settings: Settings, history: int) -> None:
        topics = {name: name for name in topics_of(settings).values()}
        sold = islice(sales(history), self.size * (self.batches + 2))
        records = (Message(settings.kafka_topic_sales, sale.invoice_id, _json(sale)) for sale in sold)
        with kafka_sender(settings.kafka_bootstrap_servers, topics) as send:
            send(records, datetime.now(timezone.utc))

    def _ours(self, settings: Settings, database: Database[dict[str, Any]]) -> float:
        broker = KafkaBroker(self.spark, settings.kafka_bootstrap_servers, {})
        archive = open_archive(settings)
        checkpoint = settings.checkpoint_location / "stock" / "events"
        source = open_input(self.spark, settings, broker, checkpoint, archive)
        if not assemble(settings, self.spark, database, source, archive).once(StopFlag()):
            raise RuntimeError("the pipeline failed; its log says why")
        broker.close()
        lines = [
            line for file in settings.log_directory.glob("*.jsonl") for line in file.read_text().splitlines()
        ]
        # The first two are for warming up.
        entries = [json.loads(line) for line in lines][2:]
        names = entries[0]["steps_ms"]
        self.steps = {name: median(entry["steps_ms"][name] for entry in entries) for name in names}
        return median(float(entry["processing_time_ms"]) for entry in entries) / 1000

    def _seeds(self, settings: Settings, database: Database[dict[str, Any]]) -> float:
        seed, seconds = Seed(self.spark, settings, database.name), []

        def timed(frame: DataFrame, number: int) -> None:
            began = time.perf_counter()
            seed.batch(frame, number)
            seconds.append(time.perf_counter() - began)

        frame = read_topics(
            self.spark, settings.kafka_bootstrap_servers, settings.kafka_options,
            list(topics_of(settings).values()), self.size, settings.kafka_starting_offsets,
        )  # fmt: skip
        writer = frame.writeStream.foreachBatch(timed).trigger(availableNow=True)
        query = writer.option("checkpointLocation", f"file://{settings.checkpoint_location}/seed").start()
        query.awaitTermination()
        self._check_equal(database)
        return median(seconds[2:])

    def _check_equal(self, database: Database[dict[str, Any]]) -> None:
        rows = read_published(database, "product_winners")
        ours = [(row["product_id"], row["total_profit"].to_decimal()) for row in rows]
        theirs = winners(database)
        if ours != theirs:
            raise RuntimeError(f"the winners differ, so a time would mean nothing: {ours} {theirs}")


def main(
    uri: Annotated[str, typer.Option(envvar="MONGO_TEST_URI", help="A server to fill with test data.")],
    servers: Annotated[str, typer.Option(envvar="KAFKA_TEST_SERVERS", help="A broker to fill.")],
    histories: Annotated[str, typer.Option(help="Sales before the first batch.")] = "10000,100000,1000000",
    seed_up_to: Annotated[
        int, typer.Option(help="The largest history for the seed's way; 0: none.")
    ] = 100_000,
    size: Annotated[int, typer.Option(help="Sales in a batch.")] = 1_000,
    batches: Annotated[int, typer.Option(help="Measured batches.")] = 12,
) -> None:
    """Seconds of a batch from Kafka to the published winners (medians), ours and the seed's."""
    logs.configure("ERROR")
    out = Console(width=120)
    settings = load(
        env_file=None,
        mongo_uri=uri,
        kafka_bootstrap_servers=servers,
        health_port=0,
        reconcile_interval_hours=0,
    )
    found: dict[int, float] = {}
    figures, rows = Figures(out, "stock"), []
    with tempfile.TemporaryDirectory() as folder:
        conf = dict(connector_conf(settings))
        if seed_up_to:
            conf |= {"spark.jars.packages": PACKAGE, "spark.jars.ivy": _IVY}
        spark = build_session(settings.spark, streaming=True, extra=conf)
        bench = Bench(spark, settings, Path(folder), size, batches)
        for history in map(int, histories.split(",")):
            ours, seed = bench.measure(history, history <= seed_up_to)
            found[history] = ours
            theirs = [f"{seed:.2f}", f"{size / seed:.0f}", f"{seed / ours:.1f}"] if seed else ["", "", ""]
            rows.append([f"{history:,}", f"{ours:.2f}", f"{size / ours:.0f}", *theirs])
            steps = " ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in bench.steps.items())
            out.print(
                f"{history} sales: ours {ours:.2f} s, seed {theirs[0] or '-'} s; ms: {steps}", highlight=False
            )
            if seed and history == 100_000:
                what = f"at {history} sales, against the seed's way"
                figures.judge(what, seed / ours, " ×", least=_BUDGET)
        spark.stop()
    growth = found[max(found)] / found[min(found)]
    what = f"time of a batch after {max(found)} sales, against {min(found)}"
    figures.judge(what, growth, " ×", most=_GROWTH)
    largest = max(found)
    figures.judge(f"sales/s after {largest} sales", size / found[largest], "", least=_LEAST_SALES)
    columns = ["sales before", "a batch, s", "sales/s", "the seed's way, s", "sales/s", "times as fast"]
    figures.table(f"Batches of {size:,} sales, medians", columns, rows)
    figures.end()


if __name__ == "__main__":
    typer.run(main)
