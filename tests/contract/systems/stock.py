"""The stock pipeline: Kafka to MongoDB."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from pymongo.database import Database
from pyspark.sql import SparkSession

from analytics.stock.rules import SALES
from pipelines.stock.job import assemble_retry, open_database
from settings import Settings
from sinks.dead_letters import Letter, RetryOutcome
from tests.contract.systems.on_kafka import OnKafka
from tests.contract.systems.system import KAFKA_METRICS, STREAM_METRICS, Given, System
from tests.support.fresh_mongo import fresh_mongo
from tests.support.stock_events import assert_totals_are_the_sum_of_the_invoices, product, sale
from tests.support.stock_shop import StockShop, StockTopics

_PROFIT = 2


class Stock(OnKafka):
    """A record is a sale of one P1; a bad one costs less than nothing, or has the number of another one."""

    name = "stock"
    killed_first = ("cold", "sales", "totals", "close")
    # Between two batches the totals are recounted.
    killed_later = ("dead_letters", "open", "seal", "publish", "report", "recount")
    sink_setting, sink_server = "MONGO_URI", "mongo_uri"
    locks_sink = True
    knows_content = True
    own_metrics = (*STREAM_METRICS, *KAFKA_METRICS, "totals_mended_total")
    log_files = "stock_batch_logs_*.jsonl"
    metrics_file = "stock_metrics.prom"

    def __init__(
        self,
        folder: Path,
        spark: SparkSession,
        topics: StockTopics,
        uri: str,
        database: Database[dict[str, Any]],
    ) -> None:
        super().__init__(folder, spark, topics, topics.names[SALES])
        self._topics, self._uri, self._database = topics, uri, database

    @classmethod
    @contextmanager
    def opened(cls, given: Given, folder: Path, spark: SparkSession) -> Iterator[System]:
        uri = given("mongo_uri")
        topics = StockTopics(given("kafka"))
        with fresh_mongo(uri) as database:
            yield cls(folder, spark, topics, uri, database)
        topics.remove()

    def _shop(self, fault: str = "", at_once: int = 1_000) -> StockShop:
        options: dict[str, Any] = {"stock_max_offsets_per_trigger": at_once, "retry_base_seconds": 0.1}
        # A recount is due whenever nothing is written.
        options |= {"reconcile_interval_hours": 1e-6, "fault": fault}
        return StockShop(
            self.folder, self._topics, self._uri, self._database, self.spark, **{**options, **self.options}
        )

    def settings(self, fault: str = "") -> Settings:
        return self._shop(fault).settings

    def send(self, good: Iterable[int], bad: Iterable[int] = ()) -> int:
        # Without its price there is no profit to be seen.
        values = [] if self.others else [product("P1", "1.00", "3.00")]
        self.others += len(values)
        values += [_sale(number) for number in good]
        values += [_sale(0, "0.05") if number % 2 else _sale(number, "-1") for number in bad]
        self._topics.send(*values)
        return len(values)

    def run(self, fault: str = "", at_once: int = 1_000) -> bool:
        return self._shop(fault, at_once).run()

    def written(self) -> list[int]:
        return sorted(int(one["_id"][1:]) for one in self._database["sales"].find())

    def seen(self) -> int:
        (profit,) = [Decimal(profit) for _, profit in self._shop().winners()] or [Decimal(0)]
        return int(profit / _PROFIT)

    def staged(self) -> Sequence[object]:
        return list(self.settings().stock_cold_path.rglob(".staging/**/*.parquet"))

    def check(self) -> None:
        assert_totals_are_the_sum_of_the_invoices(self._database)
        assert self.metrics()["totals_mended_total"] == 0
        assert max(Counter(row[1:4] for row in self._shop().cold()).values()) <= self.made

    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        shop = self._shop()
        return assemble_retry(shop.settings, open_database(shop.settings)).retry(letters)

    def raw(self, number: int) -> str:
        return json.dumps(_sale(number))

    def is_of(self, number: int, raw: str) -> bool:
        return bool(json.loads(raw)["invoice_id"] == f"I{number}")


def _sale(number: int, amount: str = "10.00") -> dict[str, Any]:
    return sale(f"I{number}", amount=amount, P1=1)
