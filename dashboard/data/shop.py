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
from sources.ecommerce.figures import REJECTED, EventFigures, read_figures

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
    SELECT count(*), count(first_view), count(*) FILTER (WHERE last_purchase > first_view)
    FROM (
        SELECT min(event_timestamp) FILTER (WHERE event_type = 'view') AS first_view,
            max(event_timestamp) FILTER (WHERE event_type = 'purchase') AS last_purchase
        FROM user_events WHERE event_timestamp > %(since)s GROUP BY user_id
    ) AS users
"""
QUERIES: Final = (_FLOW, _SALES, _CATEGORIES, _FUNNEL, REJECTED)
FLOW_COLUMNS: Final = ("time", "inserted", "duplicates", "rejected", "latency_avg", "latency_max")
SALES_COLUMNS: Final = ("time", "views", "purchases", "revenue")
CATEGORY_COLUMNS: Final = ("category", "views", "purchases", "revenue")


@dataclass(frozen=True)
class Funnel:
    """The numbers of users of the span who did anything, viewed, and bought after their first view."""

    users: int
    viewers: int
    buyers: int


@dataclass(frozen=True)
class Shop:
    """The last five minutes (`figures`), and a span in steps of `step_seconds`, up to now.

    `flow` (FLOW_COLUMNS) counts records by the end of their batch, latencies in seconds; `sales`
    (SALES_COLUMNS) events by their own time; `time` is the aware UTC begin of the step. `categories`
    (CATEGORY_COLUMNS) are the ten of the largest revenue.
    """

    figures: EventFigures
    step_seconds: float
    flow: pd.DataFrame
    sales: pd.DataFrame
    categories: pd.DataFrame
    funnel: Funnel
    rejected: Mapping[str, int]


def read_shop(connection: psycopg.Connection[Any], span: timedelta) -> Shop | None:
    """Read the figures of `span`; None before the pipeline's first batch. Raises psycopg's errors."""
    if connection.execute("SELECT to_regclass('user_event_batches')").fetchone() == (None,):
        return None
    figures = read_figures(connection, FIGURES_WINDOW)
    if figures.last_commit is None:
        return None
    step = span.total_seconds() / _BARS
    values = {"now": figures.now, "since": figures.now - span, "step": step}

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query, values).fetchall()

    return Shop(
        figures=figures,
        step_seconds=step,
        flow=_timed(rows(_FLOW), FLOW_COLUMNS),
        sales=_timed(rows(_SALES), SALES_COLUMNS),
        categories=pd.DataFrame(rows(_CATEGORIES), columns=list(CATEGORY_COLUMNS)),
        funnel=Funnel(*rows(_FUNNEL)[0]),
        rejected=dict(rows(REJECTED)),
    )


def _timed(rows: list[tuple[Any, ...]], columns: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame.astype({name: float for name in columns if name != "time"})


class ShopData:
    """Reads of PostgreSQL, remembered for all sessions."""

    def __init__(self, dsn: str) -> None:
        """The server is first contacted by the first read."""
        self._dsn = dsn
        self._memory = Remembered(explain, FAULTS)

    def shop(self, span: timedelta) -> Loaded[Shop | None]:
        """The figures of the last `span`; the value is None before the pipeline's first batch."""

        def read() -> Shop | None:
            with reading(self._dsn) as connection:
                return read_shop(connection, span)

        return self._memory.get(f"shop {span}", read, SHOP_SECONDS)
