"""What old invoices say goes, ids and totals stay: wherever a process dies, however they come again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from contracts import BatchKey
from pipelines.catalog import PIPELINES
from pipelines.engine.retention import Kept, kept
from pipelines.stock.job import open_upkeep
from pipelines.stock.writer import StockWriter
from settings import load
from sinks.stock import retirement
from sinks.stock.ledger import StaleReadError
from sinks.stock.schema import ensure_indexes, ensure_times
from tests.support.stock_database import take_batch
from tests.support.stock_events import FORMULAS, CrashError, client, product, row, sale
from tests.support.stock_server import DIES, Fault, FixedClock, Server

_BEFORE = datetime(2026, 3, 2, tzinfo=timezone.utc)
_OLD = [sale(f"I{n}", f"C{n % 2}", P1=n + 1, P2=1 + n % 3) for n in range(5)]
_NEW = [{**sale("N1", "C1", P1=4), "timestamp": "2026-03-02T00:00:00Z"}]
_EVENTS = [product("P1"), client("C1", "7.00"), *_OLD, *_NEW]


class _Shop(Server):
    def look(self) -> None:
        """Invoices without content are no fault here."""


def _writer(database: Any) -> StockWriter:
    writer = StockWriter(database, FORMULAS, FixedClock())
    writer.take_over()
    return writer


def _take(writer: StockWriter, number: int, events: list[dict[str, Any]]) -> tuple[int, int, int]:
    """How many were written, duplicates and refused."""
    rows = [row(event, 100 * number + offset) for offset, event in enumerate(events)]
    taken = take_batch(writer, BatchKey("q", number), rows)
    return taken.written, taken.duplicates, sum(taken.refused.values())


def _totals(database: Database[dict[str, Any]]) -> list[tuple[Any, ...]]:
    units = [(t["_id"], t["units"], t["profit_cents"]) for t in database["product_totals"].find().sort("_id")]
    return [*units, *((c["_id"], c["revenue_cents"]) for c in database["clients"].find().sort("_id"))]


def _left(database: Database[dict[str, Any]]) -> list[str]:
    """The invoices that still say something; all of them still have id, hash and batch."""
    found = list(database["sales"].find().sort("_id"))
    assert [sale["_id"] for sale in found] == ["I0", "I1", "I2", "I3", "I4", "N1"]
    assert all({"digest", "batch"} <= sale.keys() for sale in found)
    bare = [sale for sale in found if "items" not in sale]
    assert all(sale.keys() == {"_id", "digest", "batch"} for sale in bare)
    return [sale["_id"] for sale in found if sale not in bare]


def test_contents_go_and_ids_and_totals_stay(database: Database[dict[str, Any]]) -> None:
    """An invoice that comes again is a duplicate, another one of its id a conflict, and a recount agrees."""
    writer = _writer(database)
    _take(writer, 0, _EVENTS)
    before = _totals(database)
    assert writer.retire(_BEFORE) == 5
    assert (_left(database), _totals(database)) == (["N1"], before)
    assert writer.recount(lambda _step: None) == []
    assert _take(writer, 1, _OLD) == (0, 5, 0)
    assert _take(writer, 2, [sale("I0", "C0", P1=9)]) == (0, 0, 1)
    assert _take(writer, 3, [sale("late", "C0", P1=1)]) == (1, 0, 0)
    assert writer.retire(_BEFORE) == 1
    assert writer.retire(_BEFORE) == 0
    assert _writer(database).recount(lambda _step: None) == []
    assert [t["units"] for t in database["product_totals"].find({"_id": "P1"})] == [1 + 2 + 3 + 4 + 5 + 4 + 1]


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_wherever_a_process_dies_no_total_changes(
    part: float, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each command, before it, half-way in it or after it: the next one goes on, or a recount does."""
    monkeypatch.setattr(retirement, "_AT_ONCE", 2)
    _take(_writer(database), 0, _EVENTS)
    before, server, at = _totals(database), _Shop(database), 0
    kept_sales = list(database["sales"].find())
    names = ("sales", "product_totals", "clients", "stock_ledger")
    stored = {name: list(database[name].find()) for name in names}
    while True:
        at += 1
        writer = _writer(door := server.door(None))
        door.arm(Fault(at, DIES, part))
        try:
            writer.retire(_BEFORE)
        except CrashError:
            pass
        else:
            break
        again = _writer(database)
        if at % 2:
            assert again.recount(lambda _step: None) == []
        again.retire(_BEFORE)
        assert again.recount(lambda _step: None) == []
        assert (_left(database), _totals(database)) == (["N1"], before), at
        for name, documents in stored.items():
            database[name].delete_many({})
            database[name].insert_many(documents)
    assert at > 20
    assert len(kept_sales) == 6


def test_the_command_and_the_stream_do_it_and_not_both_at_once(
    database: Database[dict[str, Any]], mongo_uri: str, tmp_path: Path
) -> None:
    """A dry run counts; while the pipeline runs the command leaves it to that."""
    _take(_writer(database), 0, _EVENTS)
    settings = load(
        env_file=None, mongo_uri=mongo_uri, stock_db_name=database.name, stock_sales_keep_days=30,
        stock_cold_path=tmp_path / "cold", checkpoint_location=tmp_path / "checkpoint",
        log_directory=tmp_path / "logs", dlq_directory=tmp_path / "dlq", metrics_directory=tmp_path / "m",
    )  # fmt: skip
    one = _of_sales(settings)
    assert one.remove(_BEFORE, True) == 5
    assert len(_left(database)) == 6
    with open_upkeep(settings) as upkeep:
        assert one.remove(_BEFORE, False) == 0
        # As the stream does between two batches.
        assert upkeep.retire(_BEFORE - timedelta(days=1), _BEFORE, 2) == 0
        assert upkeep.retire(_BEFORE, _BEFORE, 2) == 2
        assert upkeep.retire(_BEFORE, _BEFORE, 2) == 2
        assert "retired_at" in upkeep.work.writer.settle().notes
    assert one.remove(_BEFORE, False) == 1
    assert _left(database) == ["N1"]


def _of_sales(settings: Any) -> Kept:
    return next(one for one in kept(PIPELINES["stock"], settings) if one.setting == "STOCK_SALES_KEEP_DAYS")


def test_a_note_that_arrives_late_changes_nothing(database: Database[dict[str, Any]]) -> None:
    """Or the ids of what is under way were forgotten, and a crash then counted them twice."""
    ledger = _writer(database).ledger
    ledger.turn_note("retiring", None, 1, ids=["I1"])
    ledger.turn_note("retiring", 1, 1, ids=[])
    ledger.turn_note("retiring", 1, 2, ids=["I2"])
    for before, number, ids in ((None, 1, ["I1"]), (1, 1, []), (1, 2, ["I3"])):
        with pytest.raises(StaleReadError):
            ledger.turn_note("retiring", before, number, ids=ids)
    found = ledger.find()
    assert found is not None
    assert found["notes"]["retiring"] == {"number": 2, "ids": ["I2"]}


@pytest.mark.parametrize("sparse", [True, False])
def test_an_index_that_somebody_made_in_another_way_is_enough(
    database: Database[dict[str, Any]], sparse: bool
) -> None:
    """A retention of an earlier version made it sparse, a person perhaps not: a start takes either."""
    database["sales"].create_index([("timestamp", 1)], sparse=sparse)
    ensure_indexes(database)
    ensure_times(database)
    made = database["sales"].index_information()["timestamp_1"]
    assert made.get("sparse", False) is sparse
