"""Money of the stock pipeline in single cases: what an invoice is, sums without bounds, rights, clocks."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure

from analytics.stock.rankings import RiskRules
from contracts import AlreadyRunningError, BatchKey
from pipelines.engine.faults import Faults
from pipelines.stock.batch import StockWork
from pipelines.stock.rankings import Rankings
from pipelines.stock.upkeep import Upkeep, is_due
from pipelines.stock.writer import StockTaken, StockWriter
from retry import RetryPolicy
from sinks.stock.ledger import StaleReadError
from sources.mongo_client import connect
from sources.stock.published_ranking import read_published
from tests.support.stock_database import take_batch
from tests.support.stock_events import (
    FORMULAS,
    START,
    CrashError,
    assert_totals_are_the_sum_of_the_invoices,
    product,
    row,
    sale,
)
from tests.support.stock_server import LATE, Fault, FixedClock, Server

_GREATEST = 2**63 - 1


def _nothing(*_arguments: Any) -> None:
    pass


def _die_with_the_invoices_stored(step: str) -> None:
    if step == "sales":
        raise CrashError


def _start(database: Any) -> StockWriter:
    writer = StockWriter(database, FORMULAS, FixedClock())
    writer.take_over()
    return writer


def _write(writer: StockWriter, batch: int, events: Sequence[Any], mark: Any = _nothing) -> StockTaken:
    rows = [row(event, batch * 100 + offset) for offset, event in enumerate(events)]
    return take_batch(writer, BatchKey("q", batch), rows, mark=mark)


@pytest.fixture
def store() -> Database[dict[str, Any]]:
    """An empty database of the embedded store."""
    database: Database[dict[str, Any]] = connect(f"mongomock://{secrets.token_hex(8)}")["stock"]
    return database


_INVOICE = sale("I1", "C1", "10.00", P1=2, P2=3)


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "C2"},
        {"timestamp": "2026-03-01T10:00:01Z"},
        {"total_amount": "10.01"},
        {"items": [{"product_id": "P1", "quantity": 2}, {"product_id": "P2", "quantity": 4}]},
        {"items": [{"product_id": "P1", "quantity": 2}, {"product_id": "P3", "quantity": 3}]},
        {"items": [{"product_id": "P1", "quantity": 2}]},
    ],
    ids=["client", "time", "amount", "quantity", "product", "item"],
)
def test_an_invoice_with_anything_else_under_its_id_is_a_conflict_and_counts_nothing(
    store: Database[dict[str, Any]], change: dict[str, Any]
) -> None:
    """In the batch that brings both as well as in a later one; the first content stays."""
    writer = _start(store)
    first = _write(writer, 0, [_INVOICE, {**_INVOICE, **change}])
    again = _write(writer, 1, [{**_INVOICE, **change}, _INVOICE])
    assert (first.by_kind["sales"], first.refused, first.duplicates) == (1, {"conflict": 1}, 0)
    assert (again.by_kind["sales"], again.refused, again.duplicates) == (0, {"conflict": 1}, 1)
    assert {total["_id"]: total["units"] for total in store["product_totals"].find()} == {"P1": 2, "P2": 3}
    assert_totals_are_the_sum_of_the_invoices(store)


def test_the_same_invoice_told_in_another_way_is_a_duplicate(store: Database[dict[str, Any]]) -> None:
    """Its items in another order, one of them in two lines, its time in another zone."""
    items = [("P2", 1), ("P1", 2), ("P2", 2)]
    other = {
        **_INVOICE,
        "timestamp": "2026-03-01T12:00:00+02:00",
        "items": [{"product_id": name, "quantity": count} for name, count in items],
    }
    outcome = _write(_start(store), 0, [_INVOICE, other])
    assert (outcome.by_kind["sales"], outcome.duplicates, outcome.refused) == (1, 1, {})


def test_a_recount_that_falls_due_at_a_restart_finishes_what_was_left_open(
    store: Database[dict[str, Any]],
) -> None:
    """The invoices of a batch are stored and its process dies: 21 units, 42.00, and nothing to mend."""
    writer = _start(store)
    _write(writer, 0, [product("P1"), sale("I1", P1=1)])
    with pytest.raises(CrashError):
        _write(writer, 1, [sale("I2", P1=20)], _die_with_the_invoices_stored)
    assert _start(store).recount(_nothing) == []
    # Also when nobody has started anew.
    with pytest.raises(CrashError):
        _write(writer := _start(store), 2, [sale("I3", P1=5)], _die_with_the_invoices_stored)
    assert writer.recount(_nothing) == []
    (total,) = store["product_totals"].find()
    assert (total["units"], total["profit_cents"]) == (26, 5200)


def test_what_arrives_late_is_published_by_the_next_look(store: Database[dict[str, Any]]) -> None:
    """Without a batch and without a recount; the winners are those of the mended totals."""
    writer = _start(store)
    _write(writer, 0, [product("P1"), sale("I1", P1=1)])
    with pytest.raises(CrashError):
        _write(writer, 1, [sale("I2", P1=20)], _die_with_the_invoices_stored)
    held = store["sales"].find_one_and_delete({"_id": "I2"})
    rankings: Any = Rankings(store, RiskRules())
    work = StockWork({}, _start(store), rankings)
    upkeep = Upkeep(work, RetryPolicy(attempts=1), Faults(), 0, "rules")
    upkeep.start()
    assert [winner["units_sold"] for winner in read_published(store, "product_winners")] == [1]
    store["sales"].insert_one(dict(held or {}))
    upkeep.look()
    assert [winner["units_sold"] for winner in read_published(store, "product_winners")] == [21]
    assert_totals_are_the_sum_of_the_invoices(store)


def test_what_arrives_in_the_middle_of_a_recount_counts_once(store: Database[dict[str, Any]]) -> None:
    """The recount leaves it to the next look: else it would be added a second time."""
    writer = _start(store)
    with pytest.raises(CrashError):
        _write(writer, 0, [product("P1"), sale("I1", P1=20)], _die_with_the_invoices_stored)
    held = store["sales"].find_one_and_delete({"_id": "I1"}) or {}
    writer.settle()

    def arrive(_step: str) -> None:
        store["sales"].insert_one(held)

    assert writer.recount(arrive) == []
    assert store["clients"].count_documents({}) == 0
    writer.settle()
    assert_totals_are_the_sum_of_the_invoices(store)


def test_what_arrives_in_the_middle_of_a_batch_is_counted_before_that_ends(
    store: Database[dict[str, Any]],
) -> None:
    """The batch begins again, so that its winners have all that it brought."""
    writer = _start(store)
    with pytest.raises(CrashError):
        _write(writer, 0, [sale("I1", P1=20)], _die_with_the_invoices_stored)
    held = store["sales"].find_one_and_delete({"_id": "I1"}) or {}
    writer.settle()

    def rows() -> Iterator[dict[str, Any]]:
        # They are looked at after the ledger.
        store["sales"].update_one({"_id": "I1"}, {"$setOnInsert": held}, upsert=True)
        yield row(sale("I1", P1=20), 0)

    with pytest.raises(StaleReadError):
        take_batch(writer, BatchKey("q", 0), rows())
    assert take_batch(writer, BatchKey("q", 0), rows()).by_kind["sales"] == 1
    assert_totals_are_the_sum_of_the_invoices(store)


def test_a_recount_ends_when_another_process_takes_over(store: Database[dict[str, Any]]) -> None:
    """What it has counted is of a time before; its clients stay as the other one leaves them."""
    writer = _start(store)
    _write(writer, 0, [product("P1"), sale("I1", P1=20)])
    store["clients"].update_one({}, {"$set": {"sales_cents": 7}})
    with pytest.raises(AlreadyRunningError):
        writer.recount(lambda _step: _start(store).take_over())
    assert [client["sales_cents"] for client in store["clients"].find()] == [7]


def test_a_profit_that_arrives_late_is_not_that_of_an_older_price(store: Database[dict[str, Any]]) -> None:
    """Units and number are the same then as when it was sent; the price is not."""
    _write(_start(store), 0, [product("P1", "0", "1.00"), sale("I1", P1=10)])
    server = Server(store)
    door = server.door(None)
    writer = _start(door)
    door.arm(None)
    _write(writer, 1, [product("P1", "0", "2.00")])
    door.arm(Fault(door.commands.index(("product_totals", "bulk_write")) + 1, LATE, later=1_000))
    with pytest.raises(AutoReconnect):
        _write(writer, 2, [product("P1", "0", "3.00")])
    _write(writer, 2, [product("P1", "0", "3.00")])
    _write(writer, 3, [product("P1", "0", "4.00")])
    server.land()
    assert_totals_are_the_sum_of_the_invoices(store)


def test_sums_beyond_what_can_be_stored_stop_nothing(database: Database[dict[str, Any]]) -> None:
    """They stay at the greatest number, also when the server counts them anew; the others go on."""
    writer = _start(database)
    greatest = sale("I1", "C1", "1000000000.00", P1=10**9)
    _write(writer, 0, [product("P1", "0", "1000000000"), product("P2"), greatest])
    for name in ("product_totals", "clients"):
        database[name].update_one({"units": {"$exists": True}}, {"$set": {"units": _GREATEST - 5}})
    database["clients"].update_one({}, {"$set": {"sales_cents": _GREATEST - 5}})
    _write(writer, 1, [sale("I2", "C1", "999.99", P1=1000, P2=1)])
    assert _units_and_cents(database) == ({"P1": _GREATEST, "P2": 1}, {"C1": _GREATEST})
    for number in range(3):
        stored = database["sales"].find_one({"_id": "I1"}) or {}
        items = [{"product_id": "P1", "quantity": _GREATEST}]
        database["sales"].insert_one(
            {**stored, "_id": f"huge {number}", "items": items, "amount_cents": _GREATEST}
        )
    assert writer.recount(_nothing) == []
    assert _units_and_cents(database) == ({"P1": _GREATEST, "P2": 1}, {"C1": _GREATEST})


def _units_and_cents(database: Database[dict[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
    units = {total["_id"]: total["units"] for total in database["product_totals"].find()}
    return units, {client["_id"]: client["sales_cents"] for client in database["clients"].find()}


@pytest.mark.parametrize(
    ("hours", "due"), [(None, True), (25, True), (24, True), (23, False), (0, False), (-1, True)]
)
def test_a_recount_is_due_after_its_hours_and_when_the_clock_was_set_back(
    hours: int | None, due: bool
) -> None:
    """A moment of the future was noted by a clock that was wrong; nobody waits until it has come."""
    last = None if hours is None else START - timedelta(hours=hours)
    assert is_due(last, timedelta(hours=24), START) is due
    assert not is_due(last, timedelta(0), START)


class _MayNotUpdateSales:
    """A database whose user has the rights that earlier versions asked for."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._database = database

    def __getitem__(self, name: str) -> Any:
        return _NoUpdate(self._database[name]) if name == "sales" else self._database[name]


class _NoUpdate:
    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        if name.startswith("update"):
            raise OperationFailure("not authorized", 13)
        return getattr(self._collection, name)


def test_without_the_right_to_move_invoices_everything_else_goes_on(
    store: Database[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A user with the rights of earlier versions is told once; what a dead process left counts as before."""
    door = _MayNotUpdateSales(store)
    with pytest.raises(CrashError):
        _write(_start(door), 0, [product("P1"), sale("I1", P1=7)], _die_with_the_invoices_stored)
    writer = _start(door)
    assert "may not update the collection sales" in capsys.readouterr().out
    assert _write(writer, 0, [product("P1"), sale("I1", P1=7)]).by_kind["sales"] == 1
    assert_totals_are_the_sum_of_the_invoices(store)


@pytest.mark.parametrize("kept", [None, 0, 1, 2])
def test_a_ledger_that_is_gone_or_older_lets_no_batch_go_uncounted(
    store: Database[dict[str, Any]], kept: int | None
) -> None:
    """Its numbers go on from the invoices, not from those which the totals have had; after each batch."""
    writer = _start(store)
    before: list[dict[str, Any]] = []
    for number in range(3):
        _write(writer, number, [sale(f"I{number}", P1=1)])
        before += store["stock_ledger"].find({})
    store["stock_ledger"].delete_many({})
    if kept is not None:
        store["stock_ledger"].insert_one(before[kept])
    writer = _start(store)
    for number in range(3, 6):
        _write(writer, number, [sale(f"I{number}", P1=4)])
        assert_totals_are_the_sum_of_the_invoices(store)


def test_a_batch_that_is_opened_during_a_take_over_is_not_taken_for_a_restored_ledger(
    store: Database[dict[str, Any]],
) -> None:
    """It is open, with invoices that no total has: who took its number for the newest would lose them."""
    writer = _start(store)
    _write(writer, 0, [sale("I0", P1=1)])
    taken = StockWriter(store, FORMULAS, FixedClock())

    def last_number() -> int:
        if taken.sales.find(["I1"]) == {}:
            with pytest.raises(CrashError):
                _write(writer, 1, [sale("I1", P1=2)], _die_with_the_invoices_stored)
        return taken.sales.last_number()

    with pytest.raises(StaleReadError):
        taken.ledger.take_over(last_number)
    assert taken.ledger.take_over(last_number) is False
    taken.settle()
    assert_totals_are_the_sum_of_the_invoices(store)
