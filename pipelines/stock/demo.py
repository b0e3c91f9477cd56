"""The demo: the real pipeline on files instead of Kafka and an embedded MongoDB; a shop trades live."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pymongo.database import Database
from rich.console import Console
from rich.table import Column, Table

from monitoring import logs
from pipelines.engine.counted import Counted
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
from simulation.stock.shop import SALES, Shop
from sinks.stock.schema import RISKS, WINNERS
from sources.stock.published_ranking import read_published
from told import told

_LIVE_SECONDS = 25.0
_FILE_EVERY_SECONDS = 1.0
_SALES_A_FILE = 12
_INTERVAL_SECONDS = 3.0


class Trader(Counted):
    """Another program that sells, reprices and errs, and writes what a broker would hold into `folder`.

    `good` is how many different invoices it sent, `again` how many once more, `bad` how many that are to be
    refused; corrections, products and clients are not counted. While it `is_paused` it sends nothing by
    itself.
    """

    def __init__(self, folder: Path, topics: Mapping[str, str]) -> None:
        super().__init__()
        for topic in topics.values():
            (folder / topic).mkdir(parents=True)
        self._folder = folder
        self._topics = topics
        self._shop = Shop(seed=7)
        self._random = random.Random(7)
        self._offsets = dict.fromkeys(topics.values(), 0)
        self._earlier: list[Message] = []
        # By a person, who may send them again.
        self._entered: set[bytes] = set()
        # The accountant of the dashboard's demo sends, too.
        self._turn = threading.Lock()

    def open_shop(self) -> None:
        """Tell of every product and client."""
        self._write(self._shop.master(_now()))

    def trade(self, stop: StopFlag, keep_running: bool) -> None:
        """Sell until the time is over; then ask the stream to stop."""
        ends = time.monotonic() + _LIVE_SECONDS
        while not stop() and (keep_running or time.monotonic() < ends):
            if not self.is_paused:
                self._sell()
            time.sleep(_FILE_EVERY_SECONDS)
        stop.set()

    def send_garbage(self) -> None:
        """Send invoices that break a rule, and what is no JSON."""
        with self._turn:
            sale = self._earlier[0]
            spoilt = [_altered(sale, "none", client_id=None), sale._replace(value=sale.value[:-20])] * 5
            self.bad += len(spoilt)
            self._write(spoilt)

    def send_again(self) -> None:
        """Send the invoices of a second once more, as a sender does that got no answer."""
        with self._turn:
            again = self._earlier[-_SALES_A_FILE:]
            self.again += len(again)
            self._write(again)

    def _sell(self) -> None:
        with self._turn:
            sales = [self._shop.sale(_now()) for _ in range(_SALES_A_FILE)]
            self._earlier += sales
            # Sent twice, changed after it was sent, and without a client.
            again = self._random.choice(self._earlier)
            changed = _altered(again, again.key, total_amount="1.00")
            faulty = _altered(sales[0], "none", client_id=None)
            # Before they can be read, or more would be found than was sent.
            self.good, self.again, self.bad = self.good + len(sales), self.again + 1, self.bad + 2
            self._write([*sales, self._shop.update(_now()), again, changed, faulty])

    def _write(self, messages: Iterable[Message]) -> None:
        named = [message._replace(topic=self._topics[message.topic]) for message in messages]
        write_files(self._folder, self._offsets, named, _now())

    def send(self, messages: Sequence[Message]) -> None:
        """Write `messages`, whose topics are the broker's, behind those that are there."""
        with self._turn:
            for message in messages:
                if message.topic == self._topics[SALES] and is_invoice(message.value):
                    self.good += message.value not in self._entered
                    self.again += message.value in self._entered
                    self._entered.add(message.value)
            write_files(self._folder, self._offsets, messages, _now())


def is_invoice(value: bytes) -> bool:
    """Whether a record of sales is no correction of one; what cannot be read counts as an invoice."""
    return b'"credits"' not in value and b'"voids"' not in value


def _altered(sale: Message, key: str, **fields: Any) -> Message:
    return sale._replace(key=key, value=json.dumps({**json.loads(sale.value), **fields}).encode())


def open_trader(settings: Settings) -> Trader:
    """Who writes the files that the demo of `settings` reads; its shop has opened."""
    trader = Trader(_feed_of(settings), topics_of(settings))
    trader.open_shop()
    return trader


def _feed_of(settings: Settings) -> Path:
    return settings.checkpoint_location.with_name("topics")


@contextmanager
def open_demo(settings: Settings) -> Iterator[tuple[StreamJob, Database[Any]]]:
    """The job of `settings`, made by `demo_settings`, which reads what a trader writes, and the database."""
    with locked(settings), spark_session(settings.spark, True) as spark:
        source = FileInput(spark, _feed_of(settings), [*topics_of(settings).values()])
        database = open_database(settings)
        yield assemble(settings, spark, database, source, open_archive(settings)), database


def run_demo(keep_running: bool, console: Console, stop: StopFlag) -> None:
    """Trade for half a minute, or until Ctrl+C with `keep_running`; then show what the pipeline knows."""
    folder = Path("demo") / f"stock-{_now():%Y%m%d-%H%M%S}"
    settings = demo_settings(folder)
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    trader = open_trader(settings)
    with open_demo(settings) as (job, database), stop.on_signals():
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
    """Everything in `folder`, and an embedded store of its own; `more` are further settings, or others."""
    store = {"mongo_uri": f"mongomock://stock-{time.time_ns()}"}
    return load(
        env_file=None,
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
        **{**store, **more},
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
