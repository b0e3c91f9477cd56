"""The two rankings, computed from what is stored and published as a whole when they differ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from pymongo.database import Database

from analytics.stock.rankings import RiskRules, risk_rows, winner_rows
from sinks.stock.publish_ranking import Publication
from sinks.stock.ranking_queries import best_sold, possible_risks
from sinks.stock.schema import RISKS, WINNERS
from sinks.stock.totals import bson_values

_WINNERS = 10
# Of fewer rows the risks are published with each batch that changed a product.
_MANY = 1_000
_REST_TIMES = 9


class Rankings:
    """`product_winners` and `loss_risk_products`. pymongo's errors pass through.

    `risks_wait`: products changed since the risks were published.
    """

    def __init__(self, database: Database[dict[str, Any]], rules: RiskRules) -> None:
        self._database = database
        self._rules = rules
        self._winners = Publication(database, WINNERS)
        self.risks_wait = False
        self._rests_until = float("-inf")
        self._risk_count = 0
        self._risks = Publication(database, RISKS, summed=("value_at_risk",))

    def publish_winners(self, now: datetime) -> bool:
        """The products that earn most, after sales or prices changed; False when they are the same ones."""
        return self._winners.publish(self._winner_rows, now)

    def publish_risks(self, now: datetime, at_once: bool = True) -> bool | None:
        """The products that may bring a loss on the day of `now`; False when they are the same ones.

        Unless `at_once`, None when they wait: a ranking of many rows, which is written as a whole, takes no
        more than a tenth of the time.
        """
        began = time.monotonic()
        self.risks_wait = not at_once and began < self._rests_until
        if self.risks_wait:
            return None
        changed = self._risks.publish(lambda: self._risk_rows(now.date()), now)
        ended = time.monotonic()
        self._rests_until = ended + _REST_TIMES * (ended - began) if self._risk_count > _MANY else ended
        return changed

    def tidy(self, now: datetime) -> None:
        """Remove rows that no reader needs any more."""
        self._winners.tidy(now)
        self._risks.tidy(now)

    def _winner_rows(self) -> Iterator[dict[str, Any]]:
        return map(bson_values, winner_rows(best_sold(self._database, _WINNERS), _WINNERS))

    def _risk_rows(self, today: date) -> Iterator[dict[str, Any]]:
        found = possible_risks(self._database, *self._rules.bounds(today))
        rows = risk_rows(found, self._rules, today)
        self._risk_count = len(rows)
        return map(bson_values, rows)
