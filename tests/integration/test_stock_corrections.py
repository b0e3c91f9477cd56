"""Credit notes and voids: each in effect once, in any order, however often it comes, whatever strikes."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from accounting.books import Books
from accounting.database import BooksDatabase
from accounting.entries import Entry
from accounting.outbox import Outbox
from analytics.stock.rankings import RiskRules
from contracts import BatchKey
from contracts.stock import Sale, Void
from pipelines.stock.rankings import Rankings
from pipelines.stock.writer import StockWriter
from sinks.stock.schema import ensure_indexes
from sources.mongo_client import connect
from sources.stock.published_ranking import read_published
from tests.integration.test_stock_any_interleaving import Log, Step
from tests.support.stock_database import take_batch
from tests.support.stock_events import FORMULAS, credit, letters_of, product, row, sale, void
from tests.support.stock_server import (
    DIES,
    LATE,
    REFUSED,
    STALLS,
    UNCONFIRMED,
    Fault,
    FixedClock,
    OneByOne,
    Server,
)

_NOW = FixedClock().now()
# The content follows from the number, so that whichever copy arrives first is the same.
_RECORDS = [
    sale("I1", "C1", "60.10", P1=3, P2=1),
    sale("I2", "C2", "41.00", P2=4),
    sale("I3", "C1", "7.00", P1=7),
    credit("N1", "I1", "C1", "20.00", P1=1),
    credit("N2", "I1", "C1", "10.10", P2=1),
    credit("N3", "I2", "C2", "41.00", P2=4),
    # Of an invoice that never comes.
    credit("N4", "I9", "C2", "1.00", P1=1),
    void("V1", "I1"),
    # The same once more under another number.
    void("V2", "I1", timestamp="2026-03-03"),
    void("V3", "I2"),
    # Of a credit note, of what never comes, and of a void, which is final.
    void("V4", "N2"),
    void("V5", "I8"),
    void("V6", "V1"),
    product("P1"),
]


def _expected(events: Iterable[Mapping[str, Any]]) -> tuple[Counter[str], Counter[str]]:
    """Pieces by product and cents by client, by a plain reading of the rules."""
    records = {event["invoice_id"]: event for event in events if "invoice_id" in event}
    voided = {event["voids"] for event in records.values() if "voids" in event}
    units: Counter[str] = Counter()
    cents: Counter[str] = Counter()
    for number, event in records.items():
        if "voids" in event or number in voided or event.get("credits") in voided:
            continue
        sign = -1 if "credits" in event else 1
        cents[event["client_id"]] += sign * round(float(event["total_amount"]) * 100)
        for item in event["items"]:
            units[item["product_id"]] += sign * item["quantity"]
    return units, cents


def _assert_as_expected(database: Database[dict[str, Any]], events: Iterable[Mapping[str, Any]]) -> None:
    units, cents = _expected(events)
    totals = {total["_id"]: total["units"] for total in database["product_totals"].find() if total["units"]}
    assert totals == {name: count for name, count in units.items() if count}
    sold = {one["_id"]: one["sales_cents"] for one in database["clients"].find() if one["sales_cents"]}
    assert sold == {name: count for name, count in cents.items() if count}


_FAULTS = st.builds(
    Fault,
    st.integers(1, 30),
    st.sampled_from([DIES, LATE, LATE, UNCONFIRMED, REFUSED, STALLS]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 40),
)
_STEPS = st.builds(
    Step,
    st.sampled_from(["batch", "batch", "again", "recount", "anew"]),
    st.integers(1, 6),
    st.booleans(),
    st.one_of(_FAULTS, st.none()),
    st.sampled_from(["batch", "recount", "anew"]),
)
_PLANS = st.tuples(
    st.lists(st.sampled_from(_RECORDS), min_size=1, max_size=16), st.lists(_STEPS, min_size=1, max_size=8)
)


def _run(database: Database[dict[str, Any]], events: list[dict[str, Any]], steps: Iterable[Step]) -> None:
    log = Log(events, Server(database, takes_back=True))
    with patch("sinks.stock.totals.ThreadPoolExecutor", OneByOne(False)):
        for step in steps:
            log.do(step)
        log.finish()
    _assert_as_expected(database, events)
    assert letters_of(log.kept) == set()


@given(_PLANS)
@settings(max_examples=100)
def test_any_order_and_replay_of_sales_credits_and_voids_gives_the_totals_of_a_plain_reading(
    plan: tuple[list[dict[str, Any]], list[Step]],
) -> None:
    """Under deaths, late, refused and unconfirmed commands, other processes, recounts, new queries."""
    _run(connect(f"mongomock://stock-{secrets.token_hex(8)}")["stock"], *plan)


@given(plan=_PLANS)
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_so_it_is_on_the_real_server(
    plan: tuple[list[dict[str, Any]], list[Step]], database: Database[dict[str, Any]]
) -> None:
    """Where the unique ids and the indexes are the real ones."""
    for name in database.list_collection_names():
        database[name].delete_many({})
    ensure_indexes(database)
    _run(database, *plan)


_STRIKES = (
    *((DIES, 0.5, 0), (DIES, 1.0, 0), (LATE, 0.0, 3), (LATE, 0.0, 15)),
    *((UNCONFIRMED, 0.0, 0), (STALLS, 0.0, 0)),
)
_PLAIN = Step("batch", 2, False, None, "batch")


@pytest.mark.parametrize("order", list(permutations(["I1", "N1", "V1"])), ids="-".join)
def test_no_command_is_a_place_where_a_fault_takes_back_twice_or_not_at_all(order: tuple[str, ...]) -> None:
    """Whichever of the invoice, its credit note and its void comes first, each fault at each command."""
    by_number = {event.get("invoice_id"): event for event in _RECORDS}
    events = [product("P1"), *(by_number[number] for number in order)]
    at = 0
    struck = True
    while struck:
        at += 1
        struck = False
        for kind, part, later in _STRIKES:
            database = connect(f"mongomock://stock-{secrets.token_hex(8)}")["stock"]
            log = Log(events, Server(database, takes_back=True))
            with patch("sinks.stock.totals.ThreadPoolExecutor", OneByOne(False)):
                log.do(_PLAIN)
                log.do(replace(_PLAIN, fault=Fault(at, kind, part, later)))
                struck = struck or log.server.struck
                log.finish()
            _assert_as_expected(database, events)
    assert at > 15, "the faults miss the batch"


def _writer(database: Database[dict[str, Any]]) -> StockWriter:
    ensure_indexes(database)
    writer = StockWriter(database, FORMULAS, FixedClock())
    writer.take_over()
    return writer


def _refused(writer: StockWriter, number: int, *events: dict[str, Any]) -> dict[str, int]:
    rows = [row(event, number * 100 + offset) for offset, event in enumerate(events)]
    return dict(take_batch(writer, BatchKey("q", number), rows).refused)


def test_other_content_under_the_number_of_a_correction_is_a_conflict() -> None:
    """As it is for an invoice: a credit note is none, and another reference is other content."""
    writer = _writer(connect(f"mongomock://{secrets.token_hex(8)}")["stock"])
    assert _refused(writer, 0, sale("I1"), credit("N1", "I1"), void("V1", "I2")) == {}
    again = (credit("I1", "I2"), sale("N1"), credit("N1", "I3"), void("V1", "I1"), sale("V1"))
    assert _refused(writer, 1, *again) == {"conflict": 5}
    assert _refused(writer, 2, sale("I1"), credit("N1", "I1"), void("V1", "I2")) == {}


def test_what_an_old_invoice_no_longer_says_cannot_be_taken_back() -> None:
    """A void of it is refused; one that was done before is known, and a credit note says all itself."""
    database = connect(f"mongomock://{secrets.token_hex(8)}")["stock"]
    writer = _writer(database)
    events = [sale("I1", P1=5), sale("I2", P1=7), void("V2", "I2")]
    assert _refused(writer, 0, *events) == {}
    assert writer.retire(_NOW) == 3
    assert _refused(writer, 1, void("V1", "I1")) == {"voids_retired_invoice": 1}
    assert _refused(writer, 2, *events) == {}
    assert _refused(writer, 3, credit("N1", "I1", P1=2)) == {}
    assert writer.recount(lambda _step: None) == []
    _assert_as_expected(database, [sale("I1", P1=5), credit("N1", "I1", P1=2)])


@given(
    st.lists(
        st.one_of(
            st.builds(
                Sale,
                st.sampled_from(["N1", "N2", "N3"]),
                st.just("C1"),
                st.just(_NOW),
                st.integers(0, 4000),
                st.tuples(st.tuples(st.sampled_from(["P1", "P2"]), st.integers(1, 4))),
                st.sampled_from(["I1", "I2", "N1"]),
            ),
            st.builds(
                Void,
                st.sampled_from(["V1", "V2", "N3"]),
                st.sampled_from(["I1", "I2", "N1", "N2"]),
                st.just(_NOW),
            ),
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40)
def test_the_pipeline_counts_what_the_desk_says_in_any_order(corrections: list[Entry], rng: Random) -> None:
    """All that the desk accepts is accepted there; and no more comes back than was sold."""
    with TemporaryDirectory() as folder:
        file = BooksDatabase(Path(folder) / "books.db")
        file.prepare()
        books = Books(file)
        sold = [
            Sale("I1", "C1", _NOW, 3000, (("P1", 3), ("P2", 2))), Sale("I2", "C1", _NOW, 700, (("P1", 5),))
        ]  # fmt: skip
        for entry in [*sold, *corrections]:
            books.save([entry])
        events = [json.loads(message.payload) for message in Outbox(file).waiting(99)]
        left = [one.left() for one in books.invoices() if not (one.is_voided or one.sale.credits)]
    rng.shuffle(events)
    database = connect(f"mongomock://{secrets.token_hex(8)}")["stock"]
    writer = _writer(database)
    for number, some in enumerate((events[:2], events[2:], events)):
        assert _refused(writer, number, *some) == {}
    sums = Counter[str]()
    for sale_left in left:
        for product_id, count in sale_left.items:
            assert count >= 0
            sums[product_id] += count
    assert sum(one.amount for one in left) == sum(one["sales_cents"] for one in database["clients"].find())
    assert all(one.amount >= 0 for one in left)
    totals = {total["_id"]: total["units"] for total in database["product_totals"].find() if total["units"]}
    assert totals == {name: count for name, count in sums.items() if count}


def test_a_product_that_was_taken_back_whole_earns_nothing_and_is_no_winner() -> None:
    """Nor one of which more came back than is known to be sold; the client's standing follows."""
    database = connect(f"mongomock://{secrets.token_hex(8)}")["stock"]
    writer = _writer(database)
    sold = [
        sale("I1", "C1", "30000.00", P1=5),
        sale("I2", "C1", "10.00", P2=2),
        credit("N9", "I9", "C2", P3=1),
    ]
    prices = [product(name) for name in ("P1", "P2", "P3")]
    assert _refused(writer, 0, *prices, *sold) == {}
    rankings = Rankings(database, RiskRules())
    rankings.publish_winners(_NOW)
    assert [one["product_id"] for one in read_published(database, "product_winners")] == ["P1", "P2"]
    assert [one["loyalty_tier"] for one in database["clients"].find({"_id": "C1"})] == ["Gold"]
    assert _refused(writer, 1, void("V1", "I1")) == {}
    rankings.publish_winners(_NOW)
    assert [one["product_id"] for one in read_published(database, "product_winners")] == ["P2"]
    assert [one["loyalty_tier"] for one in database["clients"].find({"_id": "C1"})] == ["Standard"]


def test_without_the_right_to_update_invoices_a_crash_takes_back_all_the_same() -> None:
    """The batch that was left open is sealed as it is; what its process did not come to is done before."""
    database = connect(f"mongomock://{secrets.token_hex(8)}")["stock"]
    writer = _writer(database)
    assert _refused(writer, 0, sale("I1", P1=5)) == {}
    opened = writer.ledger.open(writer.settle())
    writer.sales._insert(
        [
            {
                "_id": "V1",
                "invoice_id": "V1",
                "voids": "I1",
                "correction": "void",
                "digest": "d",
                "batch": opened.number,
            }
        ]
    )
    with patch("sinks.stock.sales.SalesStore.may_move", lambda _self: False):
        _writer(database)
    _assert_as_expected(database, [sale("I1", P1=5), void("V1", "I1")])
