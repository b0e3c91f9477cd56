"""The e-commerce pipeline: CSV files to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from pyspark.sql import SparkSession

from settings import Settings
from simulation.ecommerce.events import event_id
from sinks.dead_letters import Letter, RetryOutcome
from tests.contract.systems.system import STREAM_METRICS, Given, System
from tests.support.postgres_servers import fresh_database
from tests.support.shop import Shop, as_csv

_TIME = "2026-03-01T10:00:00+00:00"


class Ecommerce(System):
    """A record is what one user views; a bad one has an unknown type, or the id of another one."""

    name = "ecommerce"
    killed_first = ("stage", "commit")
    killed_later = ("dead_letters", "insert", "report")
    sink_setting, sink_server = "POSTGRES_DSN", "postgres_dsn"
    knows_content = True
    knows_names = True
    # The seed wants to know how old an event is when it is stored.
    own_metrics = (
        *STREAM_METRICS, "event_latency_max_seconds", "event_latency_seconds_bucket{le}",
        "event_latency_seconds_count", "event_latency_seconds_sum",
    )  # fmt: skip
    log_files = "ecommerce_batch_logs_*.jsonl"
    metrics_file = "ecommerce_metrics.prom"

    def __init__(self, folder: Path, spark: SparkSession, dsn: str) -> None:
        super().__init__(folder, spark)
        self._dsn = dsn

    @classmethod
    @contextmanager
    def opened(cls, given: Given, folder: Path, spark: SparkSession) -> Iterator[System]:
        with fresh_database(given("postgres_dsn")) as dsn:
            yield cls(folder, spark, dsn)

    def _shop(self, fault: str = "") -> Shop:
        # Each file is a batch.
        options = {"ecommerce_max_files_per_trigger": 1, "retry_base_seconds": 0.1, "fault": fault}
        return Shop(self.folder, self._dsn, self.spark, **{**options, **self.options})

    def settings(self, fault: str = "") -> Settings:
        return self._shop(fault).settings

    def send(self, good: Iterable[int], bad: Iterable[int] = ()) -> int:
        rows = [_event(number) for number in good]
        contradiction = {**_event(0), "product_name": "another"}
        rows += [contradiction if number % 2 else _event(number, "click") for number in bad]
        shop = self._shop()
        shop.put(as_csv(rows), f"{len(list(shop.incoming.iterdir())):06d}.csv")
        return len(rows)

    def make_source_anew(self) -> None:
        for file in self._shop().incoming.iterdir():
            file.unlink()

    def run(self, fault: str = "", at_once: int = 1_000) -> bool:  # noqa: ARG002 - each file is a batch
        return self._shop(fault).run()

    def written(self) -> list[int]:
        return sorted(int(user) for (user,) in self._shop().query("SELECT user_id FROM user_events"))

    def seen(self) -> int:
        with suppress(psycopg.errors.UndefinedTable):
            return len(self.written())
        return 0

    def staged(self) -> Sequence[object]:
        return self._shop().query("SELECT relname FROM pg_class WHERE relname LIKE 'ecommerce_staging%'")

    def check(self) -> None:
        columns = "sum(records_in), sum(inserted), sum(duplicates)"
        ((came, inserted, duplicates),) = self._shop().query(f"SELECT {columns} FROM user_event_batches")
        # What was mended is in no batch.
        assert inserted <= len(self.written())
        assert came >= inserted + duplicates

    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        return self._shop().retrying().retry(letters)

    def raw(self, number: int) -> str:
        return as_csv([_event(number)]).splitlines()[1]

    def is_of(self, number: int, raw: str) -> bool:
        return raw.split(",")[1] == str(number)


def _event(number: int, event_type: str = "view") -> dict[str, str]:
    user = str(number)
    return {
        "event_id": event_id(user, "P1", _TIME),
        "user_id": user,
        "product_id": "P1",
        "product_name": "Tea",
        "product_category": "tea",
        "event_type": event_type,
        "price": "",
        "event_timestamp": _TIME,
    }
