"""The accountant of the demo: what he saves becomes records of the files that the shop's pipeline reads."""

from __future__ import annotations

import json
from pathlib import Path

from accounting.outbox import SENT, WAITING
from contracts.stock import Product
from dashboard.stock.demo import PASSWORD, Broker
from dashboard.stock.pages import open_accountant
from pipelines.stock.demo import Trader, demo_settings
from pipelines.stock.kafka_input import topics_of
from tests.support.waiting import wait_for


def test_what_the_accountant_saves_waits_for_the_shop_and_then_reaches_it(tmp_path: Path) -> None:
    """Once, behind what the shop has written, by the offsets of its own topic."""
    settings, broker = demo_settings(tmp_path, accountant_password=PASSWORD), Broker()
    desk = open_accountant(settings, broker.producer).desk
    assert desk
    desk.books.save([Product("P1", "Tea", None, 5, 110, 290, None, None, None, "")])
    assert desk.outbox.state().counts[WAITING] == 1
    trader = Trader(tmp_path / "topics", topics_of(settings))
    trader.open_shop()
    broker.opens(trader)
    wait_for(lambda: desk.outbox.state().counts[SENT] == 1, lambda: str(desk.outbox.state()))
    *_, last = sorted((tmp_path / "topics" / settings.kafka_topic_inventory).glob("*.jsonl"))
    shop, mine = last.parent.glob("*.jsonl"), json.loads(last.read_bytes())
    assert (mine["product_id"], mine["name"]) == ("P1", "Tea")
    lines = [file.read_bytes().count(b"\n") for file in sorted(shop)]
    assert last.stem.endswith(f"{sum(lines[:-1]):012d}")
