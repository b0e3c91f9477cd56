"""Whatever is replayed, re-sent, late, out of order or interrupted, each invoice counts once."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from contracts import ENDS
from pipelines.stock.batch import report_of
from pipelines.stock.writer import BatchKey, Outcome, StockWriter
from sinks.stock_ledger import StaleReadError
from sinks.stream_letters import RejectedRecord
from sources.mongo_client import connect
from tests.stock_events import (
    FORMULAS,
    START,
    CrashError,
    Crashing,
    assert_totals_are_the_sum_of_the_invoices,
    client,
    letters_of,
    product,
    row,
    sale,
)

_NOW = START + timedelta(days=1)
_PRODUCTS, _CLIENTS, _INVOICES = ["P1", "P2", "P3"], ["C1", "C2"], ["I1", "I2", "I3", "I4"]


class FixedClock:
    """Always the same moment."""

    def now(self) -> datetime:
        """That moment."""
        return _NOW


def _invoice(number: int) -> dict[str, Any]:
    """The content of an invoice follows from its id, so that whichever copy arrives first is the same."""
    units = {_PRODUCTS[(number + k) % 3]: number + k + 1 for k in range(number % 3 + 1)}
    return sale(_INVOICES[number], _CLIENTS[number % 2], f"{6_000 + number}.{number}0", **units)


_EVENTS = st.one_of(
    st.integers(0, 3).map(_invoice),
    st.builds(
        product,
        st.sampled_from(_PRODUCTS),
        st.sampled_from(["1.00", "2.50", "9"]),
        st.sampled_from(["3.00", "2.49"]),
        updated_at=st.sampled_from([None, "2026-03-01T00:00:03Z", "2026-02-01"]),
    ),
    st.builds(
        client,
        st.sampled_from(_CLIENTS),
        st.sampled_from(["0", "5000.01", "12000"]),
        updated_at=st.sampled_from([None, "2026-03-01T00:00:03Z", "2026-02-01"]),
    ),
    st.just(sale("I9", amount="-1")),
    st.just(product("P1", sell="much")),
)
# A crash: at which command of a try, and how much of that command is done.
_CRASHES = st.lists(st.tuples(st.integers(1, 22), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=6)


@dataclass
class Log:
    """Kafka: a batch is the same rows however often it comes; a new query reads all again, cut otherwise."""

    events: list[dict[str, Any]]
    done: int = 0
    taken: int = 0
    tried: int = 0
    query: str = "first"
    batch: int = 0
    outcomes: dict[tuple[str, int], Outcome] = field(default_factory=dict)
    kept: list[list[RejectedRecord]] = field(default_factory=list)

    def deliver(self, database: Any, size: int, crash: tuple[int, float] | None) -> bool:
        """One try of the next batch by a fresh process; whether it survived."""
        rows = [row(event, offset) for offset, event in enumerate(self.events)][self.done : self.done + size]
        self.tried = max(self.tried, self.done + size)
        writer = StockWriter(Crashing(database, *crash) if crash else database, FORMULAS, FixedClock())  # type: ignore[arg-type]
        try:
            writer.take_over()
            outcome = writer.write(
                BatchKey(self.query, self.batch),
                lambda: rows,
                lambda found: self.kept.append(list(found)),
                lambda: None,
                lambda _step: None,
            )
        except (CrashError, StaleReadError):
            return False
        found = report_of(0, outcome, _NOW, {})
        found.require_accounted()
        assert found.records_processed == len(rows)
        assert found.records_by_outcome.keys() == set(ENDS)
        assert min(found.records_by_outcome.values()) >= 0
        batch = slice(self.done, self.done + size)
        # What a try that crashed had stored may be known, or not.
        assert _older(self.events, batch, self.taken) <= outcome.superseded
        assert outcome.superseded <= _older(self.events, batch, self.tried)
        self.taken = max(self.taken, self.done + size)
        self.outcomes[self.query, self.batch] = outcome
        self.done, self.batch = self.done + size, self.batch + 1
        return True

    def forget(self) -> None:
        """Somebody deleted the checkpoint."""
        self.done, self.query, self.batch = 0, f"{self.query}'", 0


def _run(database: Database[dict[str, Any]], plan: Mapping[str, Any]) -> None:
    log = Log(plan["events"])
    crashes = list(plan["crashes"])
    sizes = plan["sizes"]
    tries = 0
    while log.done < len(log.events):
        size = sizes[log.batch % len(sizes)]
        crash = crashes.pop() if crashes and tries % 2 == plan["phase"] else None
        log.deliver(database, size, crash)
        tries += 1
        if tries == plan["forget"]:
            log.forget()
    _check(database, log)


def _check(database: Database[dict[str, Any]], log: Log) -> None:
    """Distinct invoices, newest records, totals that are their sum, and every refusal kept."""
    events = list(enumerate(log.events))
    invoices = {e["invoice_id"]: e for _, e in events if "invoice_id" in e and e["total_amount"] != "-1"}
    stored = {s["_id"]: s for s in database["sales"].find()}
    assert stored.keys() == invoices.keys()
    for name, event in invoices.items():
        assert (str(stored[name]["total_amount"]), stored[name]["items"]) == (
            event["total_amount"],
            event["items"],
        )
    assert_totals_are_the_sum_of_the_invoices(database)
    prices = {p["_id"]: p["buy_cents"] for p in database["inventory"].find()}
    assert prices == _newest(events, "product_id", "buy_price")
    openings = {c["_id"]: c["opening_cents"] for c in database["clients"].find() if "order" in c}
    assert openings == _newest(events, "client_id", "total_revenue_generated")
    written = sum(outcome.written["sales"] for outcome in log.outcomes.values())
    # What a batch stored that was never finished, a new query takes for a duplicate.
    assert written == len(stored) if log.query == "first" else written <= len(stored)
    assert letters_of(log.kept) == {
        (f"{row(event, offset)['topic']}/0", offset, reason)
        for offset, event in events
        for reason, wrong in (
            ("negative_total_amount", event.get("total_amount") == "-1"),
            ("invalid_sell_price", event.get("sell_price") == "much"),
        )
        if wrong
    }


def _older(events: list[dict[str, Any]], batch: slice, known: int) -> int:
    """How many records of the batch are older than one of the same product or client in it or in `known`."""
    records = [
        (event.get("product_id") or event.get("client_id"), (_updated(event, offset), offset), offset)
        for offset, event in enumerate(events)
        if ("buy_price" in event or "total_revenue_generated" in event) and event.get("sell_price") != "much"
    ]
    seen = [each for each in records if each[2] < known or each[2] in range(len(events))[batch]]
    return sum(
        any(name == other and order < newer for other, newer, _ in seen)
        for name, order, offset in seen
        if offset in range(len(events))[batch]
    )


def _newest(events: list[tuple[int, dict[str, Any]]], key: str, value: str) -> dict[str, int]:
    """The cents in `value` of the newest accepted record of each product or client."""
    found: dict[str, tuple[datetime, int, int]] = {}
    for offset, event in events:
        if value in event and event.get("sell_price") != "much":
            entry = (_updated(event, offset), offset, round(float(event[value]) * 100))
            found[event[key]] = max(found.get(event[key], entry), entry)
    return {name: cents for name, (_, _, cents) in found.items()}


def _updated(event: Mapping[str, Any], offset: int) -> datetime:
    if event.get("updated_at") is None:
        return START + timedelta(seconds=offset)
    return datetime.fromisoformat(event["updated_at"].replace("Z", "")).replace(tzinfo=timezone.utc)


_PLANS = st.fixed_dictionaries(
    {
        "events": st.lists(_EVENTS, min_size=1, max_size=14),
        "sizes": st.lists(st.integers(1, 6), min_size=1, max_size=3),
        "crashes": _CRASHES,
        "phase": st.integers(0, 1),
        "forget": st.one_of(st.none(), st.integers(1, 6)),
    }
)


@given(_PLANS)
@settings(max_examples=400)
def test_any_interleaving_equals_the_sum_over_distinct_invoices(plan: dict[str, Any]) -> None:
    """Sales, prices and clients in any order, re-sent, replayed, cut anyhow, killed at any command."""
    client_ = connect(f"mongomock://stock-{secrets.token_hex(8)}")
    _run(client_["stock"], plan)


@given(plan=_PLANS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interleaving_on_the_real_server(
    plan: dict[str, Any], database: Database[dict[str, Any]]
) -> None:
    """The same where unique ids, compare-and-set and bulks are the real ones."""
    for name in database.list_collection_names():
        database[name].delete_many({})
    _run(database, plan)


_DAY = [
    product("P1"),
    _invoice(0),
    _invoice(1),
    client("C1", "5000.01"),
    _invoice(2),
    _invoice(1),
    product("P2", "9"),
    _invoice(3),
    product("P1", "2.50"),
    client("C2"),
    _invoice(0),
]


def test_death_at_each_command_of_a_day_and_again_at_each_of_the_next_try(
    database: Database[dict[str, Any]],
) -> None:
    """Nowhere between two commands, nor in the middle of one, is a place where a crash loses or doubles."""
    commands = 0
    for dies_at, part in ((number, part) for number in range(1, 40) for part in (0.0, 0.5, 1.0)):
        for name in database.list_collection_names():
            database[name].delete_many({})
        log = Log(list(_DAY))
        assert log.deliver(database, 4, None)
        survived = log.deliver(database, 7, (dies_at, part))
        if survived:
            break
        commands = dies_at
        # The next process dies while it finishes what the first left behind.
        log.deliver(database, 7, (dies_at % 8 + 1, 1.0 - part))
        while log.done < len(log.events):
            log.deliver(database, 7, None)
        _check(database, log)
    assert 12 < commands < 30, "the crashes missed the batch"
