"""The stock stream, with all that feeds it, while Kafka is away."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pyspark.sql import SparkSession

from accounting.books import ACCEPTED, Books
from accounting.database import BooksDatabase
from accounting.outbox import WAITING, Outbox
from contracts.stock import Sale
from dashboard.data.stock_data import StockData
from tests.support.kafka_records import arrived
from tests.support.kafka_servers import OwnBroker, assert_outage_is_told
from tests.support.outbox import sending
from tests.support.stock_events import assert_totals_are_the_sum_of_the_invoices, product, sale
from tests.support.stock_shop import StockShop, StockTopics
from tests.support.waiting import streaming, wait_for


def test_a_minute_without_kafka_loses_and_doubles_nothing(
    own_kafka: OwnBroker,
    tmp_path: Path,
    mongo_uri: str,
    database: Database[dict[str, Any]],
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A hundred sales are entered meanwhile: each is one record of Kafka, counts once, and is on the page.

    What was shown stays until then, and people are told why nothing goes.
    """
    shop = StockShop(tmp_path, StockTopics(own_kafka.servers), mongo_uri, database, spark)
    file, page = BooksDatabase(tmp_path / "books.db"), StockData(database)
    file.prepare()
    shop.topics.send(product("P1"), sale("before", P1=1))
    with streaming(shop.pipeline()), sending(file, own_kafka.servers, shop.topics.names):
        wait_for(lambda: _profit(page) == Decimal("2.00"), "the first profit")
        own_kafka.run("kill")
        ends = time.monotonic() + 60
        for number in range(100):
            entered = Sale(f"I{number}", "C2", datetime.now(timezone.utc), 250, (("P1", 1),))
            assert [verdict.state for verdict in Books(file).save([entered])] == [ACCEPTED]
            time.sleep(max(0.0, ends - time.monotonic()) / (100 - number))
        state = Outbox(file).state()
        assert (state.counts[WAITING], own_kafka.servers in (state.fault or "")) == (100, True)
        assert _profit(page) == Decimal("2.00")
        own_kafka.run("start")
        wait_for(lambda: _profit(page) == Decimal("202.00"), "the profit of all sales")
        assert_outage_is_told("Kafka", capsys)
    assert len(arrived(own_kafka.servers, shop.topics.names["sales"])) == 101
    assert shop.revenue() == {"C1": "10.00", "C2": "250.00"}
    assert_totals_are_the_sum_of_the_invoices(database)
    shop.assert_accounted(102)
    assert shop.total("duplicates") == 0


def _profit(page: StockData) -> Decimal | None:
    """What the Administrator's page shows for the best product."""
    shown = page.standing().value
    return shown.winners[0].profit if shown and shown.winners else None
