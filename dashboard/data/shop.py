"""Reads the figures of the e-commerce page from PostgreSQL, each bounded by a span of time.

Batches come from the ledger by its index on `committed_at`, events by the index on `event_timestamp`; a read
costs what its span holds, and the connection ends one that takes too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pandas as pd
import psycopg

from dashboard.data.events_database import FAULTS, explain, reading
from dashboard.data.remembered import Loaded, Remembered
from sources.ecommerce.figures import FIRST_START, REJECTED, EventFigures, read_figures

FIGURES_WINDOW: Final = timedelta(minutes=5)
# How old the page may be; all open pages share one answer.
SHOP_SECONDS: Final = 10.0
_BARS: Final = 60
_TOP: Final = 10

_FLOW = """
    SELECT to_timestamp(floor(extract(epoch FROM committed_at) / %(step)s) * %(step)s), sum(inserted)::float8,
        sum(duplicates)::float8, sum(records_in - inserted - duplicates)::float8,
        sum((latency->>'total')::float8) / nullif(sum(inserted), 0)::float8, max((latency->>'max')::float8)
    FROM user_event_batches WHERE committed_at > %(since)s GROUP BY 1 ORDER BY 1
"""
_SALES = """
    SELECT to_timestamp(floor(extract(epoch FROM event_timestamp) / %(step)s) * %(step)s),
        count(*) FILTER (WHERE event_type = 'view')::float8,
        count(*) FILTER (WHERE event_type = 'purchase')::float8, coalesce(sum(price), 0)::float8
    FROM user_events WHERE event_timestamp > %(since)s GROUP BY 1 ORDER BY 1
"""
_CATEGORIES = f"""
    SELECT product_category, count(*) FILTER (WHERE event_type = 'view')::float8,
        count(*) FILTER (WHERE event_type = 'purchase')::float8, coalesce(sum(price), 0)::float8 AS revenue
    FROM user_events WHERE event_timestamp > %(since)s
    GROUP BY product_category ORDER BY revenue DESC, product_category LIMIT {_TOP}
"""
_FUNNEL = """
    SELECT count(*), count(first_view), count(*) FILTER (WHERE last_purchase > first_view),
        coalesce(sum(views), 0)::float8, coalesce(sum(purchases), 0)::float8,
        coalesce(sum(revenue), 0)::float8
    FROM (
        SELECT min(event_timestamp) FILTER (WHERE event_type = 'view') AS first_view,
            max(event_timestamp) FILTER (WHERE event_type = 'purchase') AS last_purchase,
            count(*) FILTER (WHERE event_type = 'view') AS views,
            count(*) FILTER (WHERE event_type = 'purchase') AS purchases, sum(price) AS revenue
        FROM user_events WHERE event_timestamp > %(since)s AND event_timestamp <= %(until)s GROUP BY user_id
    ) AS users
"""
QUERIES: Final = (_FLOW, _SALES, _CATEGORIES, _FUNNEL, REJECTED)
FLOW_COLUMNS: Final = ("time", "inserted", "duplicates", "rejected", "latency_avg", "latency_max")
SALES_COLUMNS: Final = ("time", "views", "purchases", "revenue")
CATEGORY_COLUMNS: Final = ("category", "views", "purchases", "revenue")


@dataclass(frozen=True, slots=True)
class Business:
    """What customers did in a span, by the events' own times.

    `users` did anything, `viewers` viewed something, `buyers` bought something after their first view;
    `views` and `purchases` count events, `revenue` is the sum of the prices paid.
    """

    users: int
    viewers: int
    buyers: int
    views: float
    purchases: float
    revenue: float

    @property
    def per_purchase(self) -> float | None:
        """The average price of a purchase; None without one."""
        return self.revenue / self.purchases if self.purchases else None

    @property
    def conversion(self) -> float | None:
        """The share of viewers who bought something afterwards, 0 to 1; None without viewers."""
        return self.buyers / self.viewers if self.viewers else None


@dataclass(frozen=True)
class Shop:
    """The last five minutes (`figures`), and a span in steps of `step_seconds`, up to now (`business`).

    `figures_before` and `business_before` are the same of the span of the same length before; None where the
    pipeline began within it, so that there is nothing to compare with. `flow` (FLOW_COLUMNS) counts records
    by the end of their batch, latencies in seconds; `sales` (SALES_COLUMNS)
    events by their own time; `time` is the aware UTC begin of the step. `categories` (CATEGORY_COLUMNS) are
    the ten of the largest revenue.
    """

    figures: EventFigures
    figures_before: EventFigures | None
    step_seconds: float
    flow: pd.DataFrame
    sales: pd.DataFrame
    categories: pd.DataFrame
    business: Business
    business_before: Business | None
    rejected: Mapping[str, int]


def read_shop(connection: psycopg.Connection[Any], span: timedelta) -> Shop | None:
    """Read the figures of `span`; None before the pipeline's first batch. Raises psycopg's errors."""
    if connection.execute("SELECT to_regclass('user_event_batches')").fetchone() == (None,):
        return None
    figures = read_figures(connection, FIGURES_WINDOW)
    if figures.last_commit is None:
        return None
    step = span.total_seconds() / _BARS
    since = figures.now - span
    # An event may be dated some seconds ahead.
    last = {"now": figures.now, "since": since, "until": "infinity", "step": step}
    before = {"since": since - span, "until": since}
    (first,) = connection.execute(FIRST_START).fetchone() or (figures.now,)

    def rows(query: str, values: Mapping[str, Any] = last) -> list[tuple[Any, ...]]:
        return connection.execute(query, values).fetchall()

    return Shop(
        figures=figures,
        figures_before=read_figures(connection, FIGURES_WINDOW, FIGURES_WINDOW)
        if first <= figures.now - 2 * FIGURES_WINDOW
        else None,
        step_seconds=step,
        flow=_timed(rows(_FLOW), FLOW_COLUMNS),
        sales=_timed(rows(_SALES), SALES_COLUMNS),
        categories=pd.DataFrame(rows(_CATEGORIES), columns=list(CATEGORY_COLUMNS)),
        business=Business(*rows(_FUNNEL)[0]),
        business_before=Business(*rows(_FUNNEL, before)[0]) if first <= before["since"] else None,
        rejected=dict(rows(REJECTED)),
    )


def _timed(rows: list[tuple[Any, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame.astype({name: float for name in columns if name != "time"})


class ShopData:
    """Reads of PostgreSQL, remembered for all sessions."""

    def __init__(self, dsn: str, currency: str = "EUR") -> None:
        """Prices are in `currency`. The server is first contacted by the first read."""
        self._dsn = dsn
        self.currency = currency
        self._memory = Remembered(explain, FAULTS)

    def shop(self, span: timedelta) -> Loaded[Shop | None]:
        """The figures of the last `span`; the value is None before the pipeline's first batch."""

        def read() -> Shop | None:
            with reading(self._dsn) as connection:
                return read_shop(connection, span)

        return self._memory.get(f"shop {span}", read, SHOP_SECONDS)
