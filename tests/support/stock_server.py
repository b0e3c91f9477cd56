"""A stock database between whose commands anything may happen, watched by a reader after each of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pymongo.database import Database
from pymongo.errors import AutoReconnect, BulkWriteError, PyMongoError, WTimeoutError

from sources.stock.published_ranking import read_published
from tests.support.stock_events import START, CrashError

DIES, LATE, UNCONFIRMED, REFUSED, STALLS = "dies", "late", "unconfirmed", "refused", "stalls"
WRITES = frozenset({"insert_one", "insert_many", "bulk_write", "update_one", "update_many", "delete_many"})
_REFUSED = {"code": 121, "errmsg": "Document failed validation"}


class FixedClock:
    """Always the same moment."""

    def now(self) -> datetime:
        """That moment."""
        return START + timedelta(days=1)


@dataclass(frozen=True)
class Fault:
    """What happens at the `at`-th command of a process, and `part` of which is done.

    `LATE` gives up on the command, which arrives after `later` others. `STALLS` lets `Server.meanwhile`
    happen before it is sent.
    """

    at: int
    kind: str
    part: float = 0.0
    later: int = 0


@dataclass
class Server:
    """What all processes share. `meanwhile` is what another process does while one is stalled.

    With `takes_back` there are corrections, and a total may fall again.
    """

    database: Database[dict[str, Any]]
    takes_back: bool = False
    meanwhile: Callable[[], None] = lambda: None
    struck: bool = False
    _looking: threading.Lock = field(default_factory=threading.Lock)
    _held: list[list[Any]] = field(default_factory=list)
    _seen: dict[str, Counter[str]] = field(default_factory=dict)

    def door(self, fault: Fault | None) -> Any:
        """The database as one process sees it, which `fault` strikes."""
        return _Door(self, fault)

    def land(self, commands: int | None = None) -> None:
        """Let this number of commands pass, all when None: what was held for no longer arrives now."""
        for held in list(self._held):
            held[0] = 0 if commands is None else held[0] - commands
            if held[0] <= 0 and held in self._held:
                self._held.remove(held)
                with suppress(PyMongoError):
                    held[1]()
                self.look()

    def hold(self, commands: int, call: Callable[[], Any]) -> None:
        """Let `call` arrive after this number of further commands."""
        self._held.append([commands, call])
        self.land(0)

    def look(self) -> None:
        """Read as a page would: nothing is counted that is not stored, and nothing is taken back."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        units: Counter[str] = Counter()
        cents: Counter[str] = Counter()
        for sale in self.database["sales"].find({"items": {"$exists": True}}):
            cents[sale["client_id"]] += sale["amount_cents"]
            for item in sale["items"]:
                units[item["product_id"]] += item["quantity"]
        products = list(self.database["product_totals"].find())
        totals = {total["_id"]: total["units"] for total in products}
        clients = list(self.database["clients"].find())
        # What invoices said that say nothing any more.
        units.update({total["_id"]: total.get("past_units", 0) for total in products})
        cents.update({client["_id"]: client.get("past_cents", 0) for client in clients})
        sold = {client["_id"]: client["sales_cents"] for client in clients}
        won = {
            row["product_id"]: row.get("units_sold", 0)
            for row in read_published(self.database, "product_winners")
        }
        if not self.takes_back:
            self._rises("totals", totals, units)
            self._rises("clients", sold, cents)
            self._rises("winners", won, Counter(totals))
        for client in clients:
            assert client["revenue_cents"] == client["opening_cents"] + client["sales_cents"]

    def _rises(self, name: str, now: Mapping[str, int], stored: Mapping[str, int]) -> None:
        before = self._seen.setdefault(name, Counter())
        for key, count in now.items():
            assert before[key] <= count <= stored.get(key, 0), (name, key, before[key], count, stored)
        before.update({key: count - before[key] for key, count in now.items()})


class _Door:
    def __init__(self, server: Server, fault: Fault | None) -> None:
        self._server = server
        self._fault = fault
        # Collection and name of each.
        self.commands: list[tuple[str, str]] = []
        self._is_dead = False

    def arm(self, fault: Fault | None) -> None:
        """Let `fault` strike, counted from now."""
        self._fault, self.commands = fault, []

    def __getitem__(self, name: str) -> Any:
        return _Collection(self, self._server.database[name])

    def run(
        self,
        collection: str,
        name: str,
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: Mapping[str, Any],
    ) -> Any:
        """One command of the process."""
        if self._is_dead:
            raise CrashError
        self.commands.append((collection, name))
        fault = self._fault if self._fault and self._fault.at == len(self.commands) else None
        if fault is not None:
            self._server.struck = True
            self._strike(fault, name, call, arguments, options)
        found = call(*arguments, **options)
        if name in WRITES:
            self._server.look()
        self._server.land(1)
        return found

    def _strike(
        self, fault: Fault, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], options: Any
    ) -> None:
        whole = partial(call, *arguments, **options)
        is_list = bool(arguments) and isinstance(arguments[0], list)
        is_write = name in WRITES
        if fault.kind == STALLS:
            self._server.meanwhile()
            return
        if fault.kind == LATE:
            if is_write:
                self._server.hold(fault.later, whole)
            raise AutoReconnect("no answer")
        if fault.kind == UNCONFIRMED and is_write:
            whole()
            self._server.look()
            if is_list and name != "delete_many":
                raise BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]})
            raise WTimeoutError("not confirmed", 64)
        if fault.kind == DIES or (fault.kind == REFUSED and is_list):
            if is_list and (done := arguments[0][: round(len(arguments[0]) * fault.part)]):
                call(done, **options)
            elif not is_list and is_write and fault.part >= 0.5:
                whole()
            self._server.look()
            if fault.kind == REFUSED:
                raise BulkWriteError({"writeErrors": [_REFUSED], "writeConcernErrors": []})
            self._is_dead = True
            raise CrashError


class _Collection:
    def __init__(self, door: _Door, collection: Any) -> None:
        self._door = door
        self._collection = collection
        self.name = collection.name

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._collection, name)
        return lambda *arguments, **options: self._door.run(self.name, name, call, arguments, options)


class OneByOne:
    """A pool whose work is done at once, or only when it is asked for: the same order each time."""

    def __init__(self, is_eager: bool) -> None:
        self._is_eager = is_eager

    def __call__(self, _workers: int) -> OneByOne:
        return self

    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing is left to wait for."""

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What `work` gives, by `result()`."""
        return _Work(work, arguments, self._is_eager)


class _Work(Future[Any]):
    def __init__(self, work: Callable[..., Any], arguments: Iterable[Any], is_eager: bool) -> None:
        super().__init__()
        self._work, self._arguments = work, arguments
        if is_eager:
            self._do()

    def _do(self) -> None:
        try:
            self.set_result(self._work(*self._arguments))
        except Exception as error:  # noqa: BLE001 - it is handed on, as a pool does
            self.set_exception(error)

    def result(self, timeout: float | None = None) -> Any:
        """Do it now unless it is done."""
        if not self.done():
            self._do()
        return super().result(timeout)
