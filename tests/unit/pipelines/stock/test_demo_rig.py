"""The shop of the demo knows what of its invoices is bad; what became of them is read from the stores."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts import Rejected
from pipelines.engine.demo_rig import Found
from pipelines.stock.demo import Trader, demo_settings, open_trader
from pipelines.stock.demo_rig import Invoices
from pipelines.stock.pipeline import STOCK
from settings import Settings
from simulation.program import Message
from sinks.parquet.dataset import ParquetDataset
from sinks.stock.archive import DATASET, StockArchive
from sources.mongo_client import connect

_NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
_QUERY = "0b1e6f6c-2f0e-4a7b-9b7e-8d7e3f1a2b3c"


def _sales(trader: Trader, topic: str) -> list[bytes]:
    files = sorted((trader._folder / topic).glob("*.jsonl"), key=lambda file: file.stem.rpartition("_")[2])
    return [line for file in files for line in file.read_bytes().splitlines()]


def _first(line: bytes) -> dict[str, Any] | None:
    """The invoice, or None where it is to be refused whatever was sent before."""
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return found if found["client_id"] else None


def test_the_sender_counts_its_invoices(tmp_path: Path) -> None:
    """By the files: each number once, the same content again, another content or no client at all."""
    settings = demo_settings(tmp_path)
    trader = open_trader(settings)
    for _ in range(20):
        trader._sell()
    trader.send_garbage()
    trader.send_again()
    counts, known = {"written": 0, "duplicate": 0, "refused": 0}, dict[str, bytes]()
    for line in _sales(trader, settings.kafka_topic_sales):
        invoice = _first(line)
        if invoice is None or known.get(invoice["invoice_id"], line) != line:
            counts["refused"] += 1
        else:
            counts["duplicate" if invoice["invoice_id"] in known else "written"] += 1
            known[invoice["invoice_id"]] = line
    assert trader.sent == counts
    assert counts == {"written": 240, "duplicate": 32, "refused": 50}


def test_what_a_person_enters_is_counted_but_no_correction(tmp_path: Path) -> None:
    """Sent again it is a duplicate; products are no invoices."""
    settings = demo_settings(tmp_path)
    trader = open_trader(settings)
    one = Message(settings.kafka_topic_sales, "I1", b'{"invoice_id": "I1"}')
    void = one._replace(value=b'{"invoice_id": "V1", "voids": "I1"}')
    product = Message(settings.kafka_topic_inventory, "P1", b'{"product_id": "P1"}')
    trader.send([one, void, product])
    trader.send([one])
    assert trader.sent == {"written": 1, "duplicate": 1, "refused": 0}


class _Stores:
    """The stores of a demo as the pipeline leaves them, which are asked by `find`."""

    def __init__(self, settings: Settings) -> None:
        self.database = connect(settings.mongo_uri.get_secret_value())[settings.stock_db_name]
        self._letters = STOCK.open_letters(settings)
        self._topic, self._offset = settings.kafka_topic_sales, 0
        archive = ParquetDataset(settings.stock_cold_path, DATASET)
        archive.open()
        self._archive = StockArchive(archive)
        self.find = Invoices(settings, self.database).find

    def batch(self, number: int, new: int = 0, again: int = 0, bad: int = 0) -> None:
        """A batch in the cold store and the letters, whose `new` invoices, each of one piece, are stored."""
        rows = [self._row(b'{"invoice_id": 1}') for _ in range(new + again + bad)]
        rows.append(self._row(b'{"voids": "I1"}'))
        self._archive.store(f"{_QUERY}-{number:06d}", rows, {self._topic: "id"})
        records = [{"offset": row["offset"], "raw": "{}"} for row in rows[:bad]]
        if bad:
            letter = {"_id": f"b{number}", "source": f"{self._topic}/0", "records": records, "note": "id"}
            self._letters.store([Rejected(letter, "missing_client", group="g")], f"stock {number}", _NOW)
        items = [{"product_id": "P1", "quantity": 1}]
        if new:
            self.database["sales"].insert_many([{"batch": number, "items": items} for _ in range(new)])

    def ledger(self, number: int, *, is_open: bool = False, outcome: bool = True, **more: Any) -> None:
        """What the ledger says, of the batch of the same number."""
        said: dict[str, Any] = {
            "number": number,
            "batch_id": number,
            "open": is_open,
            "outcome": {} if outcome else None,
        }
        self.database["stock_ledger"].replace_one({"_id": "ledger"}, {**said, **more}, upsert=True)

    def total(self, units: int) -> None:
        """What the totals have."""
        self.database["product_totals"].replace_one({"_id": "P1"}, {"units": units}, upsert=True)

    def _row(self, value: bytes) -> dict[str, Any]:
        self._offset += 1
        place = {"topic": self._topic, "partition": 0, "offset": self._offset, "timestamp": _NOW}
        return {**place, "key": None, "value": value, "kind": "sales"}


@pytest.fixture
def stores(tmp_path: Path) -> _Stores:
    """Two batches that are done."""
    name = f"demo_{secrets.token_hex(4)}"
    found = _Stores(demo_settings(tmp_path, mongo_uri="mongomock://rig", stock_db_name=name))
    found.batch(0, new=3, bad=1)
    found.batch(1, new=2, again=2)
    found.ledger(1)
    found.total(5)
    return found


_DONE = {"written": 5, "duplicate": 2, "refused": 1}


def test_what_is_found_is_of_done_batches(stores: _Stores) -> None:
    """What lies in the cold store and the letters alone has not come yet; a correction is no invoice."""
    assert stores.find() == Found(_DONE, 5, 5)
    stores.batch(2, bad=4)
    assert stores.find() == Found(_DONE, 5, 5)
    stores.ledger(2)
    assert stores.find() == Found({**_DONE, "refused": 5}, 5, 5)


def test_while_a_batch_is_at_work_nothing_is_said(stores: _Stores) -> None:
    """Its invoices are stored before they are in the totals: that is no loss."""
    stores.batch(2, new=4)
    stores.ledger(2, is_open=True, outcome=False)
    assert stores.find() is None
    # A crash: the number is given up, and what is stored under it is counted with another one.
    stores.ledger(2, outcome=False, given_up=[2])
    assert stores.find() == Found(_DONE, 5, 5)


def test_before_the_first_batch_nothing_is_said(tmp_path: Path) -> None:
    """There is no ledger yet."""
    assert _Stores(demo_settings(tmp_path, stock_db_name=f"demo_{secrets.token_hex(4)}")).find() is None


@pytest.mark.parametrize("units", [4, 6])
def test_totals_that_lost_or_doubled_an_invoice_are_seen(stores: _Stores, units: int) -> None:
    """What the totals have is not what the invoices say."""
    stores.total(units)
    found = stores.find()
    assert found
    assert (found.rows, found.due) == (units, 5)


def test_a_batch_that_ends_while_one_looks_is_looked_at_again(stores: _Stores) -> None:
    """What was counted before its end is not told, although the ledger has the same number afterwards."""
    stores.batch(2, new=4)
    stores.ledger(2, is_open=True, outcome=False)
    invoices = stores.find.__self__  # type: ignore[attr-defined]
    ledger, asked = invoices._ledger, iter([True])

    def find() -> Any:
        now = ledger.find()
        if not next(asked, False):
            stores.total(9)
            stores.ledger(2)
            now = ledger.find()
        return now

    invoices._ledger = SimpleNamespace(find=find)
    assert stores.find() == Found({**_DONE, "written": 9}, 9, 9)
