"""One batch into MongoDB: its ordered steps, each a point at which a crash loses and doubles nothing.

judge → dead letters → cold store → open → sales → seal → totals → close. `settle` is the one door to all of
it, and to the recount: what a crash left behind is finished there, and what arrived late is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pymongo.database import Database

from analytics.stock.rules import CLIENTS, INVENTORY, SALES
from contracts import Clock, most
from monitoring.logs import get_logger
from pipelines.stock.intake import Intake, Row, take_in
from sinks.stock.ledger import BatchKey, OpenBatch, SealedBatch, Settled, StockLedger
from sinks.stock.recount import Recount
from sinks.stock.sales import SalesStore, Sums
from sinks.stock.totals import StockFormulas, StockTotals
from sinks.stream_letters import RejectedRecord

logger = get_logger(__name__)

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch's records: `written` counts by kind, `rejected` by reason.

    `superseded` are inventory and client records older than the one known; `duplicates` were there before.
    """

    started_at: datetime
    records_in: int
    written: Mapping[str, int]
    duplicates: int
    rejected: Mapping[str, int]
    # An outcome that an earlier version stored in the ledger has none of these.
    superseded: int = 0
    noted: Mapping[str, int] = field(default_factory=dict)
    reported: bool = False


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
        self.ledger.take_over(self.sales.last_number)
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
                    self.ledger.seal(found)
            elif isinstance(found, SealedBatch):
                self._count(found, self.sales.sums(found.number))
            elif late := self.sales.find_late(found.given_up):
                opened = self.ledger.open(found)
                self.sales.move(late, found.given_up, opened.number)
                self._count(self.ledger.seal(opened), self.sales.sums(opened.number))
            else:
                return found

    def recount(self, mark: Step) -> list[str]:
        """Count the totals anew; those that were wrong. Raises what `settle` raises."""
        return Recount(self.database, self.totals, self.ledger, self.settle()).run(mark)

    def write(
        self,
        key: BatchKey,
        rows: Callable[[], Iterable[Row]],
        keep: Callable[[Sequence[RejectedRecord]], None],
        archive: Callable[[], None],
        mark: Step,
    ) -> Outcome:
        """Write a batch once, however often it comes. `keep` stores dead letters, `archive` the raw records.

        Raises pymongo's errors, and StaleReadError when the batch is simply to be tried again.
        """
        settled = self.settle()
        if done := settled.done(key):
            return Outcome(**done.outcome, reported=done.reported)
        now = self.clock.now()
        taken = take_in(rows(), settled, key, self.sales, now)
        mark("judge")
        keep(taken.rejected)
        mark("dead_letters")
        archive()
        mark("cold")
        opened = self.ledger.open(settled, key)
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
        written = {SALES: taken.sales_written, INVENTORY: products.written, CLIENTS: clients.written}
        superseded = taken.superseded + products.superseded + clients.superseded
        outcome = _outcome(taken, written, superseded, now)
        stored = asdict(outcome)
        del stored["reported"]
        self.ledger.close(sealed, stored)
        mark("close")
        return outcome

    def _count(self, batch: SealedBatch, sums: Sums) -> None:
        self.totals.apply(batch, sums)
        self.ledger.close(batch)
        self.unpublished = True


def _outcome(taken: Intake, written: Mapping[str, int], superseded: int, now: datetime) -> Outcome:
    return Outcome(
        started_at=now,
        records_in=taken.accepted + len(taken.rejected),
        written=written,
        duplicates=taken.accepted - sum(written.values()) - superseded,
        superseded=superseded,
        rejected=dict(Counter(record.reason for record in taken.rejected)),
        noted=most(taken.noted),
    )
