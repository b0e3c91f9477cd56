"""What happens without events: risks follow the calendar, old rows go, and totals are counted anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pymongo
from prometheus_client import Counter
from pymongo.errors import PyMongoError

from analytics.stock.rules import newest_possible
from contracts import AlreadyRunningError, ServiceError, UnavailableError
from monitoring.logs import get_logger
from monitoring.metrics import Metrics
from pipelines.engine.faults import Faults
from pipelines.engine.stop_flag import StopFlag
from pipelines.stock.batch import StockWork, is_transient
from retry import RetryPolicy
from sinks.stock.orders import forget_orders
from sinks.stock.publish_ranking import GRACE

logger = get_logger(__name__)

# Between two looks at the clock of the database.
_LOOK_SECONDS, _RETRY_SECONDS = 5.0, 30.0
_DAY = timedelta(days=1)
# Between two batches.
_RETIRED_AT_ONCE = 20_000
_END_SECONDS = 2.0
_SHOWN = 5


def totals_mended(metrics: Metrics) -> Counter:
    """The counter of what recounts set right."""
    text = "Totals that were not the sum of the invoices and were set right by a recount"
    return metrics.registry.counter("totals_mended_total", text)


@dataclass
class Upkeep:
    """Looked after between batches; `rules` are the settings that stored results follow.

    `recount_hours` 0 is never; `on_mended` is told how many totals were wrong. Of an invoice older than
    `sales_keep_days` only its id stays; 0 is for ever.
    """

    work: StockWork
    retry: RetryPolicy
    faults: Faults
    recount_hours: float
    rules: str
    on_mended: Callable[[int], None] = lambda _totals: None
    sales_keep_days: int = 0
    _retiring: bool = False
    _look_at: float = float("-inf")
    _risks_of: date | None = None
    _hold: ExitStack = field(default_factory=ExitStack)

    def start(self, stop: StopFlag | None = None) -> None:
        """Finish what the last process left open, and publish what is true now.

        Raises UnavailableError when MongoDB stayed away.
        """
        retry = self.retry.until(stop) if stop else self.retry
        with self.work.turn():
            self._hold.enter_context(self.work.writer.ledger.held())
            retry.call(self.work.writer.take_over, is_transient)
            retry.call(self._refresh, is_transient)

    def _refresh(self) -> None:
        work = self.work
        now = work.writer.clock.now()
        settled = work.writer.settle()
        frozen = forget_orders(work.writer.database, newest_possible(now))
        if frozen:
            logger.warning(
                f"⏰ {frozen} products and clients were last changed by a clock that was ahead: their next "
                "record counts, whenever it was made"
            )
        if settled.notes.get("rules", self.rules) != self.rules:
            logger.info("⚙️  The thresholds have changed: clients are judged anew")
            self._recount(now)
        work.writer.ledger.note(rules=self.rules)
        work.publish_winners(now)
        work.rankings.publish_risks(now)
        work.rankings.tidy(now)
        self._risks_of = now.date()

    def look(self, at_once: bool = False) -> None:
        """Do what is due, unless a batch is just being written; the batch reports a MongoDB that is away.

        Every few seconds, or `at_once`.
        """
        is_early = not at_once and time.monotonic() < self._look_at
        if is_early or not self.work.writing.acquire(blocking=False):
            return
        pause = _LOOK_SECONDS
        try:
            self._do_what_is_due(at_once)
        except AlreadyRunningError:
            raise
        except Exception as error:
            if not (isinstance(error, UnavailableError) or is_transient(error)):
                raise
            pause = _RETRY_SECONDS
            logger.warning(f"🔁 MongoDB does not answer ({type(error).__name__}); upkeep is tried again")
        finally:
            self._look_at = time.monotonic() + pause
            self.work.writing.release()

    def end(self) -> None:
        """Leave the present rankings alone, and let another process write."""
        try:
            # Not of a start that was refused: the rankings are another's.
            if self._risks_of is not None:
                self._leave_the_present_rankings()
        finally:
            self._hold.close()

    def _leave_the_present_rankings(self) -> None:
        # Who reads an older one begins again, as after the grace time.
        with suppress(PyMongoError, ServiceError), pymongo.timeout(_END_SECONDS):
            self.work.rankings.tidy(self.work.writer.clock.now() + GRACE)

    def _do_what_is_due(self, at_once: bool) -> None:
        work = self.work
        now = work.writer.clock.now()
        settled = work.writer.settle()
        if work.writer.unpublished:
            work.publish_winners(now)
        if now.date() != self._risks_of:
            logger.info(f"📅 {now.date()}: looking for products that became a risk")
            work.rankings.publish_risks(now)
            self._risks_of = now.date()
        if work.rankings.risks_wait:
            work.rankings.publish_risks(now, at_once)
        is_day_over = is_due(settled.notes.get("retired_at"), _DAY, now)
        if self.sales_keep_days and (self._retiring or is_day_over):
            self.retire(now - timedelta(days=self.sales_keep_days), now, _RETIRED_AT_ONCE)
        elif is_due(settled.notes.get("recounted_at"), timedelta(hours=self.recount_hours), now):
            self._recount(now)
        work.rankings.tidy(now)

    def retire(self, before: datetime, now: datetime, at_most: int = 0) -> int:
        """Take out of old invoices, or `at_most`, what they say; returns how many. Raises like the writer.

        Begins with a recount, unless it goes on.
        """
        if not self._retiring:
            self._recount(now)
        count = self.work.writer.retire(before, at_most)
        self._retiring = bool(at_most) and count == at_most
        if not self._retiring:
            self.work.writer.ledger.note(retired_at=now)
        if count:
            logger.info(
                f"🧹 Removed what {count:,} invoices from before {before:%Y-%m-%dT%H:%M:%SZ} said "
                f"(STOCK_SALES_KEEP_DAYS={self.sales_keep_days}); ids and totals stay"
            )
        return count

    def _recount(self, now: datetime) -> None:
        work = self.work
        wrong = work.writer.recount(self.faults.reach)
        if wrong:
            self.on_mended(len(wrong))
            logger.warning(
                f"🧮 The recount mended {len(wrong)} totals that were not the sum of the invoices: "
                f"{'; '.join(wrong[:_SHOWN])}{' …' if len(wrong) > _SHOWN else ''}"
            )
            work.publish_winners(now)
        else:
            logger.info("🧮 The recount found every total to be the sum of the invoices")
        work.writer.ledger.note(recounted_at=now)


def is_due(last: datetime | None, every: timedelta, now: datetime) -> bool:
    """Whether `every` has passed since `last`; never without a time between them."""
    # A later one was noted before the server's clock was set back.
    return bool(every) and not (last and timedelta(0) <= now - last < every)
