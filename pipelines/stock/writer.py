"""One batch into MongoDB: its ordered steps, each a point at which a crash loses and doubles nothing.

open → judge → dead letters → cold store → sales → totals → close. What a crash leaves behind is finished,
from the invoices that are stored, when the next batch is opened or the next process starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pymongo.database import Database

from analytics.stock import CLIENTS, INVENTORY, SALES
from contracts import Clock
from pipelines.stock.intake import Intake, Row, take_in
from sinks.stock_ledger import DoneBatch, OpenBatch, StockLedger
from sinks.stock_sales import SalesStore
from sinks.stock_totals import StockFormulas, StockTotals
from sinks.stream_letters import RejectedRecord

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
    # An outcome that an earlier version stored in the ledger has none.
    superseded: int = 0
    reported: bool = False


@dataclass(frozen=True, slots=True)
class BatchKey:
    """Spark's name for a batch: numbers begin again with a new query."""

    query_id: str
    batch_id: int


class StockWriter:
    """The stock database as batches write it. One at a time; see StockLedger for who may."""

    def __init__(self, database: Database[dict[str, Any]], formulas: StockFormulas, clock: Clock) -> None:
        self.database = database
        self.ledger = StockLedger(database)
        self.sales = SalesStore(database)
        self.totals = StockTotals(database, formulas)
        self.clock = clock

    def take_over(self) -> None:
        """Become the only process that writes, and finish what the last one left open."""
        self.ledger.take_over()
        self.ledger.finish_open(self._finish)

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
        opened = self.ledger.begin(key.query_id, key.batch_id, self._finish)
        if isinstance(opened, DoneBatch):
            return Outcome(**opened.outcome, reported=opened.reported)
        mark("open")
        now = self.clock.now()
        taken = take_in(rows(), opened, self.sales, now)
        mark("judge")
        keep(taken.rejected)
        mark("dead_letters")
        archive()
        mark("cold")
        # The number is this try's alone, so its invoices are those; after a crash they are read back.
        sums = self.sales.insert(taken.new_sales, opened.number)
        mark("sales")
        products, clients = self.totals.apply(
            opened, sums, [*taken.products.values()], [*taken.clients.values()]
        )
        mark("totals")
        written = {SALES: taken.sales_written, INVENTORY: products.written, CLIENTS: clients.written}
        superseded = taken.superseded + products.superseded + clients.superseded
        outcome = _outcome(taken, written, superseded, now)
        stored = asdict(outcome)
        del stored["reported"]
        self.ledger.close(opened, stored)
        mark("close")
        return outcome

    def _finish(self, number: int) -> None:
        self.totals.apply(OpenBatch(number, number), self.sales.sums(number))


def _outcome(taken: Intake, written: Mapping[str, int], superseded: int, now: datetime) -> Outcome:
    return Outcome(
        started_at=now,
        records_in=taken.accepted + len(taken.rejected),
        written=written,
        duplicates=taken.accepted - sum(written.values()) - superseded,
        superseded=superseded,
        rejected=dict(Counter(record.reason for record in taken.rejected)),
    )
