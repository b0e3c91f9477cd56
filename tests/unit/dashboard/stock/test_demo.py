"""The accountant of the demo: what he saves becomes records of the files that the shop's pipeline reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accounting.outbox import SENT, WAITING
from contracts.stock import Product
from dashboard.page import Room
from dashboard.stock.demo import PASSWORD, Broker, trade
from dashboard.stock.pages import open_accountant, pages
from pipelines.stock.demo import demo_settings, open_trader
from settings import Settings
from tests.support.waiting import wait_for


def test_what_the_accountant_saves_waits_for_the_shop_and_then_reaches_it(tmp_path: Path) -> None:
    """Once, behind what the shop has written, by the offsets of its own topic."""
    settings, broker = demo_settings(tmp_path, accountant_password=PASSWORD), Broker()
    desk = open_accountant(settings, broker.producer).desk
    assert desk
    desk.books.save([Product("P1", "Tea", None, 5, 110, 290, None, None, None, "")])
    assert desk.outbox.state().counts[WAITING] == 1
    trader = open_trader(settings)
    broker.opens(trader)
    wait_for(lambda: desk.outbox.state().counts[SENT] == 1, lambda: str(desk.outbox.state()))
    *_, last = sorted((tmp_path / "topics" / settings.kafka_topic_inventory).glob("*.jsonl"))
    shop, mine = last.parent.glob("*.jsonl"), json.loads(last.read_bytes())
    assert (mine["product_id"], mine["name"]) == ("P1", "Tea")
    lines = [file.read_bytes().count(b"\n") for file in sorted(shop)]
    assert last.stem.endswith(f"{sum(lines[:-1]):012d}")


def test_without_a_server_the_demo_says_why_it_cannot_be_struck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what to do; with one it has a database of its own there, and a rig."""
    monkeypatch.delenv("DEMO_MONGO_URI", raising=False)
    room = trade(tmp_path / "without", lambda settings, broker: pages(settings, broker.producer))
    assert isinstance(room.rig, str)
    assert "`DEMO_MONGO_URI`" in room.rig
    assert "script/crashtest --pipeline stock" in room.rig
    monkeypatch.setenv("DEMO_MONGO_URI", "mongomock://a-server")
    seen = []

    def shown(settings: Settings, broker: Broker) -> Room:
        seen.append(settings)
        return pages(settings, broker.producer)

    assert not isinstance(trade(tmp_path / "with", shown).rig, str)
    assert seen[0].mongo_uri.get_secret_value() == "mongomock://a-server"
    assert seen[0].stock_db_name.startswith("demo_stock_")
