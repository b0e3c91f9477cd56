"""`main.py --pipeline stock` as a process: the seed's three scenarios; deaths are in tests/contract."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from dashboard.data.stock_data import StockData
from sources.stock.published_ranking import read_published
from tests.support.job import Job, environment_of
from tests.support.shell import in_a_shell
from tests.support.stock_events import assert_totals_are_the_sum_of_the_invoices, product, sale
from tests.support.stock_shop import StockShop, StockTopics
from tests.support.waiting import meanwhile, wait_for

_INTERVAL_SECONDS = 5.0
_STREAM = ("--pipeline", "stock")


@pytest.fixture
def shop(
    tmp_path: Path, kafka: str, mongo_uri: str, database: Database[dict[str, Any]]
) -> Iterator[StockShop]:
    """A shop with empty topics and database, for processes."""
    topics = StockTopics(kafka)
    yield StockShop(tmp_path, topics, mongo_uri, database)
    topics.remove()


@pytest.fixture
def job(shop: StockShop) -> Iterator[Job]:
    """The processes of the shop."""
    made = Job(shop.folder, environment_of(shop.settings))
    made.environment["STOCK_INTERVAL_SECONDS"] = f"{_INTERVAL_SECONDS:g}"
    yield made
    made.end()


def test_the_three_scenarios_of_the_seed(shop: StockShop, job: Job) -> None:
    """A new sale is visible within two intervals; without new data results stay; a crash loses nothing.

    Meanwhile a reader polls in a tight loop: once there are winners, there always are.
    """
    shop.topics.send(product("P1", "1.00", "3.00"), product("P2", "1.00", "2.00"), sale("I0", P1=1))
    shown = [0]

    def read() -> None:
        ranks = [row["rank"] for row in read_published(shop.database, "product_winners")]
        assert ranks == list(range(1, len(ranks) + 1))
        assert ranks or not shown[0]
        shown[0] = len(ranks)

    process = job.start(*_STREAM)
    with meanwhile(read, 0.01):
        wait_for(lambda: shop.winners() == [("P1", "2.00")], "the first winners", process)
        # Each of three, without the work itself: other tests may have the machine.
        waits = [_seconds_until_seen(shop, process, number) for number in (1, 2, 3)]
        assert max(waits) <= 2 * _INTERVAL_SECONDS, waits
        wait_for(lambda: "No new data - keeping previous results" in job.output(), "idleness", process)
        before = list(shop.database["product_winners"].find({"product_id": "P1"}).sort("_id", -1).limit(1))
        time.sleep(2 * _INTERVAL_SECONDS)
        assert list(shop.database["product_winners"].find({"_id": before[0]["_id"]})) == before
        process.kill()
        process.wait()
        # The broker goes on taking sales, and what was shown stays.
        shop.topics.send(sale("I4", "C9", "1.00", P1=100), sale("I1", P1=10))
        assert shop.winners() == [("P1", "62.00")]
        process = job.start(*_STREAM)
        wait_for(lambda: shop.winners() == [("P1", "262.00")], "the sale during the crash", process)
        assert job.stop(process) == 0
    assert_totals_are_the_sum_of_the_invoices(shop.database)
    assert "Records:" in job.output()
    assert "Traceback" not in job.output()


def _seconds_until_seen(shop: StockShop, process: subprocess.Popen[str], number: int) -> float:
    """Sell ten pieces of P1; how long until the page has the profit, less what the batch itself took."""
    page, before = StockData(shop.database), len(shop.log())

    def seen() -> bool:
        shown = page.standing().value
        return shown is not None and [str(row.profit) for row in shown.winners] == [f"{2 + 20 * number}.00"]

    shop.topics.send(sale(f"I{number}", P1=10))
    began = time.monotonic()
    wait_for(seen, f"sale {number}", process)
    waited = time.monotonic() - began
    wait_for(lambda: len(shop.log()) > before, "the batch's line", process)
    return waited - float(shop.log()[before]["processing_time_ms"]) / 1000


def test_a_missing_topic_is_one_clear_line(shop: StockShop, job: Job) -> None:
    """Exit code 2, the name of the thing, and the remedy; no stack trace."""
    missing = shop.topics.names["clients"]
    shop.topics.remove()
    assert job.run(*_STREAM, "--once") == 2
    output = job.output()
    assert f"{missing} does not exist on Kafka" in output
    assert "KAFKA_TOPIC_CLIENTS" in output
    assert "Traceback" not in output


def test_the_demo_needs_no_server_and_ends_by_itself(tmp_path: Path) -> None:
    """Winners, risks, promotions and the summary are shown; mistakes of the traders are dead letters."""
    nowhere = {"MONGO_URI": "mongodb://127.0.0.1:9", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    job = Job(tmp_path, nowhere, own_java=True)
    assert job.run("--demo", *_STREAM) == 0, job.output()
    for shown in ("Product winners", "Loss-risk products", "each counted once", "conflict", "Records:"):
        assert shown in job.output()
    assert "Traceback" not in job.output()
    assert list(tmp_path.glob("demo/stock-*/dlq/stock_dlq_*.json"))
    (shown,) = re.findall(r"^📬 Dead letters: (.*)$", job.output(), re.MULTILINE)
    assert "conflict" in in_a_shell(shown, tmp_path)
