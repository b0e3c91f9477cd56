"""Wherever the renaming of a client dies, the next one ends it with the same pseudonym; no total changes."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from contracts import BatchKey, ConfigurationError
from pipelines.stock.writer import StockWriter
from sinks.stock import forgetting
from sinks.stock.forgetting import ClientForgetting
from tests.support.stock_database import take_batch
from tests.support.stock_events import FORMULAS, CrashError, client, credit, product, row, sale, void
from tests.support.stock_server import DIES, Fault, FixedClock, Server

_MINE = [sale(f"I{n}", "Zoë", P1=n + 1) for n in range(4)]
_EVENTS = [
    *(product("P1"), client("Zoë", "7.00", email="c4nary@x"), client("Other"), sale("O", "Other", P1=2)),
    *(*_MINE, credit("K", "I0", "Zoë", P1=1), void("V", "I1")),
]
_NAMES = ("sales", "product_totals", "clients", "stock_ledger")


class _Shop(Server):
    def look(self) -> None:
        """A client who has another name is no fault here."""


def _writer(database: Any) -> StockWriter:
    writer = StockWriter(database, FORMULAS, FixedClock())
    writer.take_over()
    return writer


def _forget(database: Any, known: Database[dict[str, Any]], pseudonym: str) -> list[str]:
    """As the command does it in the database; the totals that were wrong at the end."""
    writer = _writer(database)
    one = ClientForgetting(database, "Zoë")
    used = ClientForgetting(known, "Zoë").begun().get("pseudonym", pseudonym)
    one.begin(writer.ledger, used, {"Zoë"})
    one.rename(writer.ledger, writer.settle(), used)
    wrong = writer.recount(lambda _step: None)
    one.end(writer.ledger)
    return wrong


def _amounts(database: Database[dict[str, Any]]) -> Any:
    units = [(one["_id"], one["units"]) for one in database["product_totals"].find().sort("_id")]
    fields = ("opening_cents", "sales_cents", "revenue_cents")
    clients = sorted([one[name] for name in fields] for one in database["clients"].find())
    sales = [(one["_id"], one.get("amount_cents")) for one in database["sales"].find().sort("_id")]
    return units, clients, sales


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_wherever_it_dies_it_is_ended(
    part: float, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each command, before it, half-way in it or after it."""
    monkeypatch.setattr(forgetting, "_AT_ONCE", 2)
    take_batch(_writer(database), BatchKey("q", 0), [row(event, n) for n, event in enumerate(_EVENTS)])
    before, server, at = _amounts(database), _Shop(database), 0
    stored = {name: list(database[name].find()) for name in _NAMES}
    while True:
        at += 1
        door = server.door(Fault(at, DIES, part))
        try:
            assert _forget(door, database, "forgotten-1") == []
        except CrashError:
            _forget(database, database, "forgotten-2")
        assert _amounts(database) == before, at
        names = {str(one["_id"]) for one in database["clients"].find()} - {"Other"}
        assert len(names) == 1
        assert {one.get("client_id") for one in database["sales"].find()} == {"Other", None, *names}
        assert not any("Zoë" in str(one) for name in _NAMES for one in database[name].find())
        if len(door.commands) < at:
            break
        for name, documents in stored.items():
            database[name].delete_many({})
            database[name].insert_many(documents)
    assert at > 15
    again = [row(event, 100 + n) for n, event in enumerate([sale("O", "Other", P1=2), *_MINE])]
    taken = take_batch(_writer(database), BatchKey("q", 1), again)
    # Whoever sends the old invoices again is told, and their client is not made anew.
    assert (taken.written, taken.duplicates, dict(taken.refused)) == (0, 1, {"conflict": 4})


def test_one_client_at_a_time(database: Database[dict[str, Any]]) -> None:
    """What was begun of another is named, for that has to end first."""
    writer = _writer(database)
    ClientForgetting(database, "A").begin(writer.ledger, "p", {"A"})
    with pytest.raises(ConfigurationError, match="'A' was begun and did not end"):
        ClientForgetting(database, "B").begun()
    assert ClientForgetting(database, "A").begun()["pseudonym"] == "p"
    ClientForgetting(database, "A").end(writer.ledger)
    assert ClientForgetting(database, "B").begun() == {}
