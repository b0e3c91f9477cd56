"""The demo: the real pipeline on files instead of Kafka and an embedded MongoDB; a shop trades live."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pymongo.database import Database
from rich.console import Console
from rich.table import Column, Table

from monitoring import logs
from pipelines.engine.file_input import FileInput
from pipelines.engine.report import demo_report
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.stock.job import assemble, locked, open_archive, open_database
from pipelines.stock.kafka_input import topics_of
from pipelines.stock.pipeline import STOCK
from session import spark_session
from settings import Settings, load
from simulation.json_files import write_files
from simulation.program import Message
from simulation.stock.shop import Shop
from sinks.stock.schema import RISKS, WINNERS
from sources.stock.published_ranking import read_published
from told import told

_LIVE_SECONDS = 25.0
_FILE_EVERY_SECONDS = 1.0
_SALES_A_FILE = 12
_INTERVAL_SECONDS = 3.0


class Trader:
    """Another program that sells, reprices and errs, and writes what a broker would hold into `folder`."""

    def __init__(self, folder: Path, topics: Mapping[str, str]) -> None:
        for topic in topics.values():
            (folder / topic).mkdir(parents=True)
        self._folder = folder
        self._topics = topics
        self._shop = Shop(seed=7)
        self._random = random.Random(7)
        self._offsets = dict.fromkeys(topics.values(), 0)
        self._earlier: list[Message] = []
        # The accountant of the dashboard's demo sends, too.
        self._turn = threading.Lock()

    def open_shop(self) -> None:
        """Tell of every product and client."""
        self._write(self._shop.master(_now()))

    def trade(self, stop: StopFlag, keep_running: bool) -> None:
        """Sell until the time is over; then ask the stream to stop."""
        ends = time.monotonic() + _LIVE_SECONDS
        while not stop() and (keep_running or time.monotonic() < ends):
            sales = [self._shop.sale(_now()) for _ in range(_SALES_A_FILE)]
            self._earlier += sales
            # Sent twice, changed after it was sent, and without a client.
            again = self._random.choice(self._earlier)
            changed = _altered(again, again.key, total_amount="1.00")
            faulty = _altered(sales[0], "none", client_id=None)
            self._write([*sales, self._shop.update(_now()), again, changed, faulty])
            time.sleep(_FILE_EVERY_SECONDS)
        stop.set()

    def _write(self, messages: Iterable[Message]) -> None:
        self.send(message._replace(topic=self._topics[message.topic]) for message in messages)

    def send(self, messages: Iterable[Message]) -> None:
        """Write `messages`, whose topics are the broker's, behind those that are there."""
        with self._turn:
            write_files(self._folder, self._offsets, messages, _now())


def _altered(sale: Message, key: str, **fields: Any) -> Message:
    return sale._replace(key=key, value=json.dumps({**json.loads(sale.value), **fields}).encode())


@contextmanager
def open_demo(settings: Settings) -> Iterator[tuple[StreamJob, Trader, Database[Any]]]:
    """The job of `settings`, made by `demo_settings`, the trader whose files it reads, and the database."""
    folder = settings.checkpoint_location.with_name("topics")
    trader = Trader(folder, topics_of(settings))
    trader.open_shop()
    with locked(settings), spark_session(settings.spark, True) as spark:
        source = FileInput(spark, folder, [*topics_of(settings).values()])
        database = open_database(settings)
        yield assemble(settings, spark, database, source, open_archive(settings)), trader, database


def run_demo(keep_running: bool, console: Console, stop: StopFlag) -> None:
    """Trade for half a minute, or until Ctrl+C with `keep_running`; then show what the pipeline knows."""
    folder = Path("demo") / f"stock-{_now():%Y%m%d-%H%M%S}"
    settings = demo_settings(folder)
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    with open_demo(settings) as (job, trader, database), stop.on_signals():
        console.print(f"🛒 A shop trades: every second {_SALES_A_FILE} sales and a new price")
        console.print(
            "🧫 Planted faults, each second: a sale twice, one changed after it was sent, one without a "
            "client; their batches say so"
        )
        thread = threading.Thread(target=trader.trade, args=(stop, keep_running), daemon=True)
        thread.start()
        job.stream(stop)
        thread.join()
        # What arrived after the last trigger is still worked off, so that the figures are complete.
        job.once(StopFlag())
        _show(job, database, settings, console)


def demo_settings(folder: Path, **more: Any) -> Settings:
    """Everything in `folder`, and an embedded store of its own; `more` are further settings."""
    return load(
        env_file=None,
        mongo_uri=f"mongomock://stock-{time.time_ns()}",
        dashboard_mongo_uri=None,
        checkpoint_location=folder / "checkpoints",
        dlq_directory=folder / "dlq",
        log_directory=folder / "logs",
        metrics_directory=folder / "metrics",
        stock_cold_path=folder / "cold",
        sqlite_db_path=folder / "books.db",
        stock_interval_seconds=_INTERVAL_SECONDS,
        # The port may be a real job's.
        health_port=0,
        # Nobody is to hear of invented data.
        openlineage_url="",
        otlp_endpoint="",
        **more,
    )


def _show(job: StreamJob, database: Database[Any], settings: Settings, console: Console) -> None:
    figures = [Column(name, justify="right") for name in ("units", "revenue", "profit")]
    winners = Table("", "product", *figures, title="🏆 Product winners")
    for row in read_published(database, WINNERS):
        money = [f"{row[name].to_decimal():,.2f}" for name in ("revenue", "total_profit")]
        winners.add_row(str(row["rank"]), row["name"], str(row["units_sold"]), *money)
    risks = Table("product", "why", Column("at risk", justify="right"), title="⚠️  Loss-risk products")
    for row in read_published(database, RISKS)[:10]:
        risks.add_row(row["name"], ", ".join(row["reasons"]), f"{row['value_at_risk'].to_decimal():,.2f}")
    console.print(winners)
    console.print(risks)
    promoted = database["clients"].count_documents({"eligible_promo": True})
    sales = database["sales"].count_documents({})
    console.print(f"🧾 {sales} invoices, each counted once; 💸 {promoted} clients are offered promotions")
    job.reporting.listed_by = ""
    job.finish(console.print)
    console.print(f"📂 All of it: {settings.dlq_directory.parent}")
    # Whose letters they are tells the database's address.
    whose = settings.mongo_uri.get_secret_value()
    letters = told("stock dlq list", DLQ_DIRECTORY=settings.dlq_directory, MONGO_URI=whose)
    console.print(f"📬 Dead letters: {letters}")
    console.print(demo_report(settings.dlq_directory.parent, STOCK, STOCK.open_letters(settings)))
    pages = told("dashboard --demo --pipeline stock")
    console.print(f"📊 The pages, with a shop that trades: {pages}")


def _now() -> datetime:
    return datetime.now(timezone.utc)
