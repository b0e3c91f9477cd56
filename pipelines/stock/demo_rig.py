"""What the stock demo is struck with: its process, which reads files, and the stores of invoices.

The account is of invoices. Written ones are in MongoDB, refused ones in the dead letters; the cold store has
every record as it came, so that the others were duplicates.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipelines.engine.demo_rig import Found, Rig, demo_process, run_process
from pipelines.engine.stop_flag import StopFlag
from pipelines.stock.demo import Trader, is_invoice, open_demo
from pipelines.stock.kafka_input import topics_of
from pipelines.stock.pipeline import STOCK
from settings import Settings
from simulation.stock.shop import SALES
from sinks.parquet.dataset import ParquetDataset
from sinks.stock.archive import DATASET
from sinks.stock.ledger import StockLedger
from sinks.stock.sales import COLLECTION
from sinks.stock.totals import TOTALS
from sinks.stream_letters import records_of
from sources.mongo_client import connect

_LOOKS: Final = 3


def open_rig(settings: Settings, trader: Trader, command: Sequence[str] = ()) -> Rig:
    """The rig of the demo of `settings`, whose MongoDB is a server; `command` runs in its place."""
    database = connect(settings.mongo_uri.get_secret_value())[settings.stock_db_name]
    find = Invoices(settings, database).find
    rig = Rig(settings, trader, command or demo_process(__name__), "MongoDB", find, "units sold")
    rig.strikes |= {
        "Send garbage": lambda: rig.send("invoices that break a rule", trader.send_garbage),
        "Send invoices again": lambda: rig.send("the last invoices once more", trader.send_again),
    }
    return rig


class Invoices:
    """What became of the invoices of a demo, by its stores."""

    def __init__(self, settings: Settings, database: Database[dict[str, Any]]) -> None:
        self._database, self._ledger = database, StockLedger(database)
        self._topic = topics_of(settings)[SALES]
        self._letters = STOCK.open_letters(settings)
        self._cold = ParquetDataset(settings.stock_cold_path, DATASET)
        # Of each batch, which never changes: how many invoices came.
        self._came: dict[Path, int] = {}
        self._turn = threading.Lock()

    def find(self) -> Found | None:
        """What all stores say after one and the same batch; None while one is at work, or none answers."""
        with suppress(PyMongoError), self._turn:
            for _ in range(_LOOKS):
                before = self._ledger.find()
                if before is None or before["open"]:
                    continue
                found = self._count(before)
                after = self._ledger.find()
                if after and (after["number"], after["open"]) == (before["number"], False):
                    return found
        return None

    def _count(self, ledger: Mapping[str, Any]) -> Found:
        done = ledger.get("batch_id", -1)
        if ledger.get("outcome") is None:
            done -= 1
        # What is stored under a number that was given up is counted with another one, later.
        counted = {"batch": {"$nin": list(ledger.get("given_up", ()))}}
        written = self._database[COLLECTION].count_documents({**counted, "correction": {"$exists": False}})
        refused = sum(
            is_invoice(record.raw or b"")
            for letter in self._letters.list()
            if _number(letter.batch_id) <= done
            for record in records_of(letter.record, letter.reason)
            if record.source.startswith(f"{self._topic}/")
        )
        again = max(0, self._read(done) - written - refused)
        sold: list[Mapping[str, Any]] = [
            {"$match": counted},
            {"$unwind": "$items"},
            _sum_of("$items.quantity"),
        ]
        due = _one(self._database[COLLECTION].aggregate(sold))
        units = _one(self._database[TOTALS].aggregate([_sum_of("$units")]))
        return Found({"written": written, "duplicate": again, "refused": refused}, units, due)

    def _read(self, done: int) -> int:
        """How many invoices came with the batches up to `done`."""
        for batch in self._cold.batches():
            if batch not in self._came:
                tables = (pq.read_table(file, columns=["value"]) for file in batch.glob(f"kind={SALES}/*"))
                self._came[batch] = sum(
                    is_invoice(value or b"") for table in tables for value in table["value"].to_pylist()
                )
        return sum(
            came for batch, came in self._came.items() if _number(batch.name.replace("-", " ")) <= done
        )


def _number(batch: str) -> int:
    """The number at the end of the name of a batch."""
    return int(batch.rpartition(" ")[2])


def _sum_of(field: str) -> dict[str, Any]:
    return {"$group": {"_id": None, "sum": {"$sum": field}}}


def _one(sums: Any) -> int:
    return int(next(iter(sums), {"sum": 0})["sum"])


def main() -> None:
    """Be the process of the rig."""

    def run(settings: Settings, stop: StopFlag) -> None:
        with open_demo(settings) as (job, _), stop.on_signals():
            job.stream(stop)

    run_process(run)


if __name__ == "__main__":
    main()
