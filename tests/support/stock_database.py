"""A stock database as the pipeline leaves it: made by its own writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from pymongo.database import Database

from analytics.stock.rankings import RiskRules
from contracts import BatchKey
from pipelines.stock.rankings import Rankings
from pipelines.stock.writer import StockTaken, StockWriter
from sinks.stock.schema import ensure_indexes
from sinks.stream_letters import RejectedRecord
from tests.support.stock_events import FORMULAS, client, product, row, sale


class _Clock:
    def now(self) -> datetime:
        return datetime.now(timezone.utc)


def take_batch(
    writer: StockWriter,
    key: BatchKey,
    rows: Iterable[dict[str, Any]],
    keep: Callable[[Sequence[RejectedRecord]], None] = lambda _rejected: None,
    mark: Callable[[str], None] = lambda _step: None,
) -> StockTaken:
    """What the engine does with a batch, but for Spark, Kafka and the cold store."""
    known = writer.known(key)
    if known is not None:
        return known
    judged = writer.judge(key, rows)
    mark("judge")
    keep(judged.intake.rejected)
    mark("dead_letters")
    return writer.write(judged, 0, mark)


def write_events(
    database: Database[dict[str, Any]], events: Iterable[Mapping[str, Any]], batch: int = 0
) -> None:
    """Let the pipeline's writer take `events` as its batch of that number, and publish the rankings."""
    ensure_indexes(database)
    writer = StockWriter(database, FORMULAS, _Clock())
    writer.take_over()
    rows = [row(event, batch * 10_000 + offset) for offset, event in enumerate(events)]
    take_batch(writer, BatchKey("q", batch), rows)
    rankings, now = Rankings(database, RiskRules()), _Clock().now()
    rankings.publish_winners(now)
    rankings.publish_risks(now)


def shop_events(products: int = 14) -> list[dict[str, Any]]:
    """Products, clients and sales with everything that the pages show: loss, all risks, promotions."""
    today = datetime.now(timezone.utc).date()
    names = ("Green tea", "Black tea", "Teapot", "Honey", "Cups, set of six", "Sugar", "Biscuits")
    events = [
        product(
            f"P{number:02}",
            buy=f"{number}.10",
            sell=f"{number + 2}.90" if number != 3 else "1.00",
            name=f"{names[number % len(names)]} {number}",
            category="kitchen" if number % 3 else "tea",
            quantity=number * 7,
            expiry_date=str(today + timedelta(days=number * 5 - 12)),
            last_movement=str(today - timedelta(days=number * 4)),
        )
        for number in range(1, products + 1)
    ]
    events += [
        client(f"C{number}", opening=f"{number * 4500}.50", name=f"Shop {number}") for number in range(1, 7)
    ]
    events += [
        sale(
            f"I{number}",
            client=f"C{number % 6 + 1}",
            amount="99.90",
            **{f"P{number % products + 1:02}": number},
        )
        for number in range(1, 41)
    ]
    return events
