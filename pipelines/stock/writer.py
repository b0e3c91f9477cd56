"""One batch into MongoDB: its ordered steps, each a point at which a crash loses and doubles nothing.

judge, then open → sales → seal → totals → close. `settle` is the one door to all of
it, and to the recount: what a crash left behind is finished there, and what arrived late is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.database import Database

from analytics.stock.rules import CLIENTS, INVENTORY, SALES
from contracts import BatchKey, Clock, most
from monitoring.logs import get_logger
from pipelines.engine.stream_batch import Taken
from pipelines.stock.intake import Intake, Row, take_in
from sinks.stock.ledger import DoneBatch, OpenBatch, SealedBatch, Settled, StockLedger
from sinks.stock.recount import Recount
from sinks.stock.retirement import Retirement
from sinks.stock.sales import SalesStore, Sums
from sinks.stock.totals import StockFormulas, StockTotals

logger = get_logger(__name__)

Step = Callable[[str], None]


@dataclass(frozen=True)
class StockTaken(Taken):
    """`by_kind` divides the written records; superseded are inventory and client records older than known."""

    by_kind: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """The records of a batch, or without `key` of dead letters, judged beside what is stored."""

    key: BatchKey | None
    settled: Settled
    intake: Intake
    now: datetime


class StockWriter:
    """The stock database as batches write it. One at a time; see StockLedger for who may.

    `unpublished`: `settle` has changed totals since the rankings were last published.
    """

    def __init__(self, database: Database[dict[str, Any]], formulas: StockFormulas, clock: Clock) -> None:
        self.database = database
        self.ledger = StockLedger(database)
        self.sales = SalesStore(database)
        self.totals = StockTotals(database, formulas)
        self.clock = clock
        self.unpublished = False
        self._may_move = True

    def take_over(self) -> None:
        """Become the only process that writes, and finish what the last one left open."""
        if self.ledger.take_over(self.sales.last_number):
            logger.warning(
                "🧾 stock_ledger was older than the invoices, as after a restored backup: it goes on from "
                "the newest of them. The next recount (RECONCILE_INTERVAL_HOURS) mends totals that are wrong."
            )
        self._may_move = self.sales.may_move()
        if not self._may_move:
            logger.warning(
                "🔑 This MongoDB user may not update the collection sales: an invoice that arrives late is "
                "counted by the next recount only. Grant it the rights in docs/security.md."
            )
        self.settle()

    def settle(self) -> Settled:
        """Finish what was left open and count what arrived late, so that the totals are those of `sales`.

        Raises AlreadyRunningError when another process has taken over, StaleReadError when it is to be called
        again.
        """
        while True:
            found = self.ledger.read()
            if isinstance(found, OpenBatch):
                # Without the right the invoices that are there now are all that count.
                if self._may_move:
                    self.ledger.give_up(found)
                else:
                    self.sales.reverse(found.number)
                    self.ledger.seal(found)
            elif isinstance(found, SealedBatch):
                self._count(found, self.sales.sums(found.number))
            elif late := self.sales.find_late(found.given_up):
                opened = self.ledger.open(found)
                self.sales.move(late, found.given_up, opened.number)
                self.sales.reverse(opened.number)
                self._count(self.ledger.seal(opened), self.sales.sums(opened.number))
            else:
                return found

    def recount(self, mark: Step) -> list[str]:
        """Count the totals anew; those that were wrong. Raises what `settle` raises."""
        settled = self.settle()
        Retirement(self.database, self.ledger, settled).finish()
        return Recount(self.database, self.totals, self.ledger, settled).run(mark)

    def retire(self, before: datetime, at_most: int = 0) -> int:
        """Take out of invoices before `before`, or `at_most`, what they say; raises like `settle`."""
        return Retirement(self.database, self.ledger, self.settle()).run(before, at_most)

    def known(self, key: BatchKey) -> StockTaken | None:
        """What the ledger says of a batch that was done before. Raises what `settle` raises."""
        done = self.settle().done(key)
        return None if done is None else _from_ledger(done)

    def judge(self, key: BatchKey | None, rows: Iterable[Row]) -> Judged:
        """Judge the rows of a batch. Raises what `settle` raises, and pymongo's errors."""
        settled, now = self.settle(), self.clock.now()
        return Judged(key, settled, take_in(rows, settled, key, self.sales, now), now)

    def write(self, judged: Judged, lost: int, mark: Step) -> StockTaken:
        """Count what was judged, once, however often its batch comes.

        Raises pymongo's errors, and StaleReadError when the batch is simply to be tried again.
        """
        taken = judged.intake
        opened = self.ledger.open(judged.settled, judged.key)
        mark("open")
        # The number is this try's alone, so its invoices are those; after a crash they are read back.
        sums = self.sales.insert(taken.new_sales, opened.number)
        mark("sales")
        sealed = self.ledger.seal(opened)
        mark("seal")
        products, clients = self.totals.apply(
            sealed, sums, [*taken.products.values()], [*taken.clients.values()]
        )
        mark("totals")
        by_kind = {SALES: taken.sales_written, INVENTORY: products.written, CLIENTS: clients.written}
        written, superseded = (
            sum(by_kind.values()),
            taken.superseded + products.superseded + clients.superseded,
        )
        done = StockTaken(
            written=written,
            duplicates=taken.accepted - written - superseded,
            superseded=superseded,
            refused=dict(Counter(record.reason for record in taken.rejected)),
            noted=most(taken.noted),
            lost=lost,
            by_kind=by_kind,
        )
        # The ledger knows the last batch of Spark's, whatever letters are tried again after it.
        self.ledger.close(sealed, _for_ledger(done, judged.now) if judged.key else None)
        mark("close")
        return done

    def _count(self, batch: SealedBatch, sums: Sums) -> None:
        self.totals.apply(batch, sums)
        self.ledger.close(batch)
        self.unpublished = True


def _for_ledger(taken: StockTaken, now: datetime) -> dict[str, Any]:
    """In the words in which earlier versions stored it."""
    return {
        "started_at": now,
        "records_in": taken.records,
        "written": taken.by_kind,
        "duplicates": taken.duplicates,
        "superseded": taken.superseded,
        "rejected": taken.refused,
        "noted": taken.noted,
    }


def _from_ledger(done: DoneBatch) -> StockTaken:
    """An earlier version stored neither `superseded` nor `noted`."""
    stored = done.outcome
    return StockTaken(
        written=sum(stored["written"].values()),
        duplicates=stored["duplicates"],
        superseded=stored.get("superseded", 0),
        refused=stored["rejected"],
        noted=stored.get("noted", {}),
        was_reported=done.reported,
        by_kind=stored["written"],
    )
