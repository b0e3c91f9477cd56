"""What happens without events: risks follow the calendar, old rows go, and totals are counted anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta

from analytics.stock.rules import newest_possible
from contracts import AlreadyRunningError, UnavailableError
from monitoring.logs import get_logger
from pipelines.stock.batch import StockBatch, is_transient
from sinks.stock.ledger import Settled
from sinks.stock.orders import forget_orders

logger = get_logger(__name__)

# Between two looks at the clock of the database.
_LOOK_SECONDS, _RETRY_SECONDS = 5.0, 30.0
_SHOWN = 5


class Upkeep:
    """Looked after between batches; `rules` are the settings that stored results follow."""

    def __init__(
        self,
        batch: StockBatch,
        recount_hours: float,
        rules: str,
        on_mended: Callable[[int], None] = lambda _totals: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`recount_hours` 0 is never; `on_mended` is told how many totals were wrong."""
        self._batch = batch
        self._every = timedelta(hours=recount_hours)
        self._rules = rules
        self._on_mended = on_mended
        self._monotonic = monotonic
        self._look_at = float("-inf")
        self._risks_of: date | None = None

    def start(self) -> None:
        """Finish what the last process left open, and publish what is true now.

        Raises UnavailableError when MongoDB stayed away.
        """
        batch = self._batch
        with batch.turn:
            batch.retry.call(batch.writer.take_over, is_transient)
            batch.retry.call(self._refresh, is_transient)

    def _refresh(self) -> None:
        batch = self._batch
        now = batch.writer.clock.now()
        settled = batch.writer.settle()
        frozen = forget_orders(batch.writer.database, newest_possible(now))
        if frozen:
            logger.warning(
                f"⏰ {frozen} products and clients were last changed by a clock that was ahead: their next "
                "record counts, whenever it was made"
            )
        if settled.notes.get("rules", self._rules) != self._rules:
            logger.info("⚙️  The thresholds have changed: clients are judged anew")
            self._recount(now)
        batch.writer.ledger.note(rules=self._rules)
        batch.publish_winners(now)
        batch.rankings.publish_risks(now)
        batch.rankings.tidy(now)
        self._risks_of = now.date()

    def look(self, at_once: bool = False) -> None:
        """Do what is due, unless a batch is just being written; the batch reports a MongoDB that is away.

        Every few seconds, or `at_once`.
        """
        is_early = not at_once and self._monotonic() < self._look_at
        if is_early or not self._batch.turn.acquire(blocking=False):
            return
        pause = _LOOK_SECONDS
        try:
            self._do_what_is_due()
        except AlreadyRunningError:
            raise
        except Exception as error:
            if not (isinstance(error, UnavailableError) or is_transient(error)):
                raise
            pause = _RETRY_SECONDS
            logger.warning(f"🔁 MongoDB does not answer ({type(error).__name__}); upkeep is tried again")
        finally:
            self._look_at = self._monotonic() + pause
            self._batch.turn.release()

    def _do_what_is_due(self) -> None:
        batch = self._batch
        now = batch.writer.clock.now()
        settled = batch.writer.settle()
        if batch.writer.unpublished:
            batch.publish_winners(now)
        if now.date() != self._risks_of:
            logger.info(f"📅 {now.date()}: looking for products that became a risk")
            batch.rankings.publish_risks(now)
            self._risks_of = now.date()
        if self._is_recount_due(settled, now):
            self._recount(now)
        batch.rankings.tidy(now)

    def _is_recount_due(self, settled: Settled, now: datetime) -> bool:
        last = settled.notes.get("recounted_at")
        # A later one was noted before the server's clock was set back.
        return bool(self._every) and not (last and timedelta(0) <= now - last < self._every)

    def _recount(self, now: datetime) -> None:
        batch = self._batch
        wrong = batch.writer.recount(batch.faults.reach)
        if wrong:
            self._on_mended(len(wrong))
            logger.warning(
                f"🧮 The recount mended {len(wrong)} totals that were not the sum of the invoices: "
                f"{'; '.join(wrong[:_SHOWN])}{' …' if len(wrong) > _SHOWN else ''}"
            )
            batch.publish_winners(now)
        else:
            logger.info("🧮 The recount found every total to be the sum of the invoices")
        batch.writer.ledger.note(recounted_at=now)
