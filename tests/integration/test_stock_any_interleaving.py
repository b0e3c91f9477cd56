"""Whatever is replayed, re-sent, late, out of order or interrupted, each invoice counts once."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import PyMongoError

from analytics.stock.rankings import RiskRules
from contracts import ENDS, AlreadyRunningError, BatchKey, UnavailableError
from pipelines.engine.faults import Faults
from pipelines.engine.steps import Steps
from pipelines.engine.stream_batch import report_of
from pipelines.stock.rankings import Rankings
from pipelines.stock.writer import StockTaken, StockWriter
from sinks.stock.ledger import StaleReadError
from sinks.stream_letters import RejectedRecord
from sources.mongo_client import connect
from tests.support.stock_database import take_batch
from tests.support.stock_events import (
    FORMULAS,
    START,
    CrashError,
    assert_totals_are_the_sum_of_the_invoices,
    client,
    letters_of,
    product,
    row,
    sale,
)
from tests.support.stock_server import (
    DIES,
    LATE,
    REFUSED,
    STALLS,
    UNCONFIRMED,
    WRITES,
    Fault,
    FixedClock,
    OneByOne,
    Server,
)

_NOW = FixedClock().now()
_PRODUCTS, _CLIENTS, _INVOICES = ["P1", "P2", "P3"], ["C1", "C2"], ["I1", "I2", "I3", "I4"]


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
# At which command of a process what goes wrong; the largest batch takes about 25.
_FAULTS = st.builds(
    Fault,
    st.integers(1, 26),
    st.sampled_from([DIES, LATE, LATE, UNCONFIRMED, REFUSED, STALLS]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 40),
)
_BATCH, _AGAIN, _RECOUNT, _ANEW, _RETIRE = "batch", "again", "recount", "anew", "retire"


@dataclass(frozen=True)
class Step:
    """What is done next: by the same process or, with `restarts`, by a new one; and by another in between."""

    does: str
    size: int
    restarts: bool
    fault: Fault | None
    other: str


_STEPS = st.builds(
    Step,
    st.sampled_from([_BATCH, _BATCH, _BATCH, _AGAIN, _RECOUNT, _ANEW, _RETIRE]),
    st.integers(1, 6),
    st.booleans(),
    st.one_of(_FAULTS, _FAULTS, st.none()),
    st.sampled_from([_BATCH, _RECOUNT, _ANEW, _RETIRE]),
)


def _nothing(_step: str) -> None:
    pass


_PLAIN = Step(_BATCH, 5, False, None, _BATCH)


class Process:
    """A stock pipeline, but for Spark and Kafka, on a server that may strike it."""

    def __init__(self, server: Server, fault: Fault | None) -> None:
        self.door = server.door(fault)
        self.writer = StockWriter(self.door, FORMULAS, FixedClock())
        self.rankings = Rankings(self.door, RiskRules())
        self.writer.take_over()
        self.publish()

    def publish(self) -> None:
        """What a start, a batch and a look do."""
        self.rankings.publish_winners(_NOW)
        self.rankings.tidy(_NOW)

    def may_write(self) -> bool:
        """Whether nobody has taken over."""
        try:
            self.writer.ledger.note()
        except AlreadyRunningError:
            return False
        return True

    def recount(self) -> None:
        """Nobody has changed a total by hand, so it never finds one to mend."""
        assert self.writer.recount(_nothing) == []
        self.publish()


@dataclass
class Log:
    """Kafka: a batch is the same rows however often it comes; a new query reads all again, cut otherwise."""

    events: list[dict[str, Any]]
    server: Server
    done: int = 0
    taken: int = 0
    tried: int = 0
    sizes: dict[tuple[str, int], int] = field(default_factory=dict)
    query: str = "first"
    batch: int = 0
    process: Process | None = None
    takes_over: int = 0
    outcomes: dict[tuple[str, int], StockTaken] = field(default_factory=dict)
    kept: list[list[RejectedRecord]] = field(default_factory=list)

    def do(self, step: Step) -> None:
        """One step, whatever becomes of it; a process that did not survive is followed by a new one."""
        before = self.takes_over
        self.server.meanwhile = lambda: self._stall(step)
        try:
            process = self.process
            if step.restarts or process is None:
                self.process = None
                process = Process(self.server, step.fault)
                # One that stalls before it takes over is the one who goes on.
                if self.process is None or process.may_write():
                    self.process = process
            else:
                process.door.arm(step.fault)
            self._run(step.does, process, step.size)
        except CrashError:
            self.process = None
        except AlreadyRunningError:
            # Who took over is there now.
            assert self.takes_over > before
        except (StaleReadError, UnavailableError, PyMongoError):
            # The step comes again.
            pass

    def deliver(self, process: Process, size: int, mark: Callable[[str], None] = _nothing) -> None:
        """Give the next batch to `process`, or let it look after what is there."""
        size = self.sizes.setdefault((self.query, self.batch), size)
        rows = [row(event, offset) for offset, event in enumerate(self.events)][self.done : self.done + size]
        if not rows:
            process.writer.settle()
            process.publish()
            return
        self.tried = max(self.tried, self.done + size)
        key, before = BatchKey(self.query, self.batch), self.takes_over
        keep = lambda found: self.kept.append(list(found))  # noqa: E731
        outcome = take_batch(process.writer, key, rows, keep, mark)
        assert self.takes_over == before, "a process that was overtaken closed its batch"
        found = report_of(0, outcome, _NOW, Steps(Faults()))
        found.require_accounted()
        assert found.records_processed == len(rows)
        assert found.records_by_outcome.keys() == set(ENDS)
        assert min(found.records_by_outcome.values()) >= 0
        batch = slice(self.done, self.done + size)
        # What a try that failed had stored may be known, or not.
        assert _older(self.events, batch, self.taken) <= outcome.superseded
        assert outcome.superseded <= _older(self.events, batch, self.tried)
        self.taken = max(self.taken, self.done + size)
        process.publish()
        process.writer.ledger.mark_reported(key)
        self.outcomes[self.query, self.batch] = outcome
        self.done, self.batch = self.done + size, self.batch + 1

    def finish(self) -> None:
        """All that is left, without a fault; what arrives last is counted by the next look at it."""
        for _ in range(3 + len(self.events)):
            self.do(_PLAIN)
        assert self.done >= len(self.events), "it does not come to its end"
        self.server.land()
        self.do(_PLAIN)
        # Which finds nothing to mend, but for the profit of a price whose record never came again.
        self.do(replace(_PLAIN, does=_RECOUNT))
        assert_totals_are_the_sum_of_the_invoices(self.server.database)

    def _run(self, does: str, process: Process, size: int) -> None:
        if does == _RECOUNT:
            process.recount()
            return
        if does == _RETIRE:
            process.writer.retire(_NOW)
            return
        if does == _ANEW:
            self.forget()
        if does == _AGAIN and self.batch and (self.query, self.batch) not in self.sizes:
            # Spark had not noted that the batch before was done.
            self.batch -= 1
            self.done -= self.sizes[self.query, self.batch]
        self.deliver(process, size)

    def _stall(self, step: Step) -> None:
        self.takes_over += 1
        self.process = Process(self.server, None)
        self._run(step.other, self.process, step.size)

    def forget(self) -> None:
        """Somebody deleted the checkpoint."""
        self.done, self.query, self.batch = 0, f"{self.query}'", 0


def _run(database: Database[dict[str, Any]], plan: Mapping[str, Any]) -> None:
    server = Server(database)
    log = Log(plan["events"], server)
    if plan["history"]:
        _leave_as_the_version_before(log, plan["history"], plan["left_open"])
    one_by_one = patch("sinks.stock.totals.ThreadPoolExecutor", OneByOne(plan["clients_first"]))
    with one_by_one, patch("sinks.stock.retirement._AT_ONCE", 1):
        for step in plan["steps"]:
            log.do(step)
        log.finish()
    _check(database, log)


def _check(database: Database[dict[str, Any]], log: Log) -> None:
    """Distinct invoices, newest records, totals that are their sum, and every refusal kept."""
    events = list(enumerate(log.events))
    invoices = {e["invoice_id"]: e for _, e in events if "invoice_id" in e and e["total_amount"] != "-1"}
    stored = {s["_id"]: s for s in database["sales"].find()}
    assert stored.keys() == invoices.keys()
    for name, event in invoices.items():
        if "items" not in stored[name]:
            # Retired.
            continue
        assert (str(stored[name]["total_amount"]), stored[name]["items"]) == (
            event["total_amount"],
            event["items"],
        )
    assert_totals_are_the_sum_of_the_invoices(database)
    prices = {p["_id"]: p["buy_cents"] for p in database["inventory"].find()}
    assert prices == _newest(events, "product_id", "buy_price")
    openings = {c["_id"]: c["opening_cents"] for c in database["clients"].find() if "order" in c}
    assert openings == _newest(events, "client_id", "total_revenue_generated")
    written = sum(outcome.by_kind["sales"] for outcome in log.outcomes.values())
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


def _leave_as_the_version_before(log: Log, history: int, left_open: bool) -> None:
    """`history` events are taken in by a program that knew no seals and died in the batch after that."""
    log.do(replace(_PLAIN, size=history))
    if left_open and log.process:
        with suppress(CrashError):
            log.deliver(log.process, 3, _die_with_the_invoices_stored)
    database = log.server.database
    database["stock_ledger"].update_one({}, {"$set": {"fence": 7}, "$unset": {"sealed": 1, "given_up": 1}})
    database["product_totals"].update_many({}, {"$unset": {"priced": 1}})
    log.process = None


def _die_with_the_invoices_stored(step: str) -> None:
    if step == "sales":
        raise CrashError


_PLANS = st.fixed_dictionaries(
    {
        "history": st.sampled_from([0, 0, 3, 6]),
        "events": st.lists(_EVENTS, min_size=1, max_size=14),
        "steps": st.lists(_STEPS, min_size=1, max_size=10),
        "clients_first": st.booleans(),
        "left_open": st.booleans(),
    }
)


@given(_PLANS)
@settings(max_examples=100)
def test_any_interleaving_equals_the_sum_over_distinct_invoices(plan: dict[str, Any]) -> None:
    """Sales, prices and clients in any order, re-sent, replayed, cut anyhow; recounts and restarts anywhere.

    A command is the last of its process, arrives late, is done but not confirmed, is refused in part, or
    another process takes over before it is sent. Whenever a reader looks, nothing counts that is not stored,
    and no total was ever greater.
    """
    client_ = connect(f"mongomock://stock-{secrets.token_hex(8)}")
    _run(client_["stock"], plan)


@given(plan=_PLANS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def _faults(at: int, is_write: bool) -> Iterator[Fault]:
    """What may happen at one command."""
    yield Fault(at, STALLS)
    yield from (Fault(at, DIES, part) for part in ((0.0, 0.5, 1.0) if is_write else (0.0,)))
    yield from (Fault(at, LATE, later=later) for later in ((0, 4, 7, 20) if is_write else (0,)))
    if is_write:
        yield from (Fault(at, UNCONFIRMED), Fault(at, REFUSED, 0.5))


@pytest.mark.parametrize("is_full", [False, True])
def test_no_command_of_a_batch_is_a_place_where_a_fault_loses_or_doubles(is_full: bool) -> None:
    """On an empty and on a full database; also when Kafka deletes the records before they come again.

    What is stored then counts all the same, without a recount.
    """
    commands = _struck(is_full, None, True)
    assert 20 < len(commands) < 60, "the faults miss the batch"
    for at, (collection, name) in enumerate(commands, start=1):
        for fault in _faults(at, name in WRITES):
            _struck(is_full, fault, True)
            if collection == "sales":
                _struck(is_full, fault, False)


def _struck(is_full: bool, fault: Fault | None, comes_again: bool) -> list[tuple[str, str]]:
    """One day in the middle of which `fault` strikes; the commands of the batch that it was meant for."""
    log = Log(_DAY, Server(connect(f"mongomock://stock-{secrets.token_hex(8)}")["stock"]))
    with patch("sinks.stock.totals.ThreadPoolExecutor", OneByOne(is_full)):
        if is_full:
            log.do(replace(_PLAIN, size=4))
        log.do(Step(_BATCH, 7, False, fault, _RECOUNT if comes_again else _BATCH))
        commands = list(log.process.door.commands) if log.process else []
        if not comes_again:
            log.done = len(_DAY)
        log.finish()
    return commands


def test_death_at_each_command_of_a_batch_and_of_the_recount_after_it(
    database: Database[dict[str, Any]],
) -> None:
    """The same on the real server, and a recount that dies half-way is simply begun again."""
    for does, least in ((_BATCH, 12), (_RECOUNT, 8)):
        commands, struck = 0, True
        while struck:
            commands += 1
            for name in database.list_collection_names():
                database[name].delete_many({})
            log = Log(_DAY, Server(database))
            log.do(replace(_PLAIN, size=4))
            log.do(Step(does, 7, False, Fault(commands, DIES, commands % 3 / 2), _BATCH))
            struck = log.server.struck
            log.finish()
            _check(database, log)
        assert least < commands < 40, "the deaths missed it"
