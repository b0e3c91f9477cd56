"""The stock pipeline on real Kafka and a real server: the seed's table, and no record is forgotten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pymongo.database import Database
from pyspark.sql import SparkSession

from analytics.stock.rules import CLIENTS, INVENTORY, SALES
from contracts import AlreadyRunningError
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.stock.batch import StockWork
from pipelines.stock.upkeep import Upkeep
from tests.support.compiled import assert_later_batches_need_no_code
from tests.support.documents import ROOT, blocks
from tests.support.stock_events import assert_totals_are_the_sum_of_the_invoices, client, product, sale
from tests.support.stock_shop import StockShop


def test_events_become_collections(shop: StockShop) -> None:
    """All five collections and the cold store, money decimal, all items of a sale counted."""
    shop.topics.send(
        product("P1", "1.00", "3.00", expiry_date=_in_days(3)),
        product("P2", "5", "4.50", last_movement=_in_days(-31)),
        client("C1", "9999.99"),
        sale("I1", "C1", "0.02", P1=4, P2=1),
        sale("I2", "C2", "7.10", P1=1, P3=2),
    )
    assert shop.run()
    assert shop.winners() == [("P1", "10.00"), ("P2", "-0.50")]
    assert shop.risks() == {"P1": ["expiring"], "P2": ["dead_stock"]}
    assert shop.revenue() == {"C1": "10000.01", "C2": "7.10"}
    promoted = {
        c["client_id"]: (c["eligible_promo"], c["loyalty_tier"]) for c in shop.database["clients"].find()
    }
    # What is sold changes neither: that is for the inventory to tell.
    tea = shop.database["inventory"].find_one({"product_id": "P2"}) or {}
    assert (tea["quantity"], tea["last_movement"].date().isoformat()) == (5, _in_days(-31))
    assert promoted == {"C1": (True, "Silver"), "C2": (False, "Standard")}
    assert str(shop.database["inventory"].find_one({"product_id": "P2"})["sell_price"]) == "4.50"  # type: ignore[index]
    assert {row[0] for row in shop.cold()} == {SALES, INVENTORY, CLIENTS}
    shop.assert_accounted(5)
    assert shop.total("records_written") == 5


def test_large_records_come_in_pieces(
    shop: StockShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch that the driver could not hold is planned anew; each record counts once."""
    monkeypatch.setattr("pipelines.engine.topics.MOST_BYTES", 4_000)
    for first in (0, 40):
        events = [sale(f"I{first + number}", P1=1) for number in range(40)]
        shop.topics.send(*events)
        assert len(json.dumps(events)) > 4_000
        assert shop.run()
    told = capsys.readouterr().out
    assert told.count("are large") == 2
    assert "was damaged" not in told
    shop.assert_accounted(80)
    batches = [entry["records_processed"] for entry in shop.log()]
    assert max(batches) < 40
    assert shop.total("duplicates") == 0


def test_a_batch_needs_no_code_that_the_one_before_had_not(shop: StockShop, spark: SparkSession) -> None:
    """Java has compiled it by the second."""

    def batch(number: int) -> None:
        shop.topics.send(product(f"P{number}"), client("C"), sale(f"I{number}"))
        assert shop.run()

    assert_later_batches_need_no_code(spark, batch)


def test_no_new_events_and_empty_batches_change_nothing(shop: StockShop) -> None:
    """The seed's second scenario: what is published stays as it is, to the byte."""
    shop.topics.send(product("P1", expiry_date=_in_days(-1)), sale("I1"))
    assert shop.run()
    before = _everything(shop.database)
    assert shop.run()
    assert _everything(shop.database) == before
    shop.assert_accounted(2)


def test_an_inventory_update_and_a_sale_move_the_rankings(shop: StockShop) -> None:
    """Who is no longer at risk, or no longer among the best ten, leaves; a restart goes on where it was."""
    products = [product(f"P{n:02d}", "1.00", "2.00") for n in range(11)]
    shop.topics.send(*products, *[sale(f"I{n}", "C1", "1.00", **{f"P{n:02d}": n + 1}) for n in range(11)])
    shop.topics.send(product("Q", expiry_date=_in_days(-1), last_movement=_in_days(-40)))
    assert shop.run()
    assert shop.winners() == [(f"P{n:02d}", f"{n + 1}.00") for n in range(10, 0, -1)]
    assert shop.risks() == {"Q": ["expired", "dead_stock"]}
    shop.topics.send(sale("J", P00=30), product("Q", expiry_date=_in_days(100), last_movement=_in_days(0)))
    assert shop.run()
    assert [name for name, _ in shop.winners()] == ["P00", *[f"P{n:02d}" for n in range(10, 1, -1)]]
    assert shop.risks() == {}
    assert [entry["records_processed"] for entry in shop.log()] == [23, 2]


def test_empty_topics_are_a_valid_state(shop: StockShop, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs, shows nothing instead of failing, and notes a batch without records as any other."""
    assert shop.run()
    assert (shop.winners(), shop.risks(), shop.revenue()) == ([], {}, {})
    assert shop.total("records_processed") == 0
    assert "does not answer" not in capsys.readouterr().out


def test_a_sale_before_its_product_and_a_later_price(shop: StockShop) -> None:
    """It is kept, counts once the price is known, and is valued at the latest price."""
    shop.topics.send(sale("I1", "C7", "5.00", P9=10))
    assert shop.run()
    assert (shop.winners(), shop.revenue()) == ([], {"C7": "5.00"})
    shop.topics.send(product("P9", "1.00", "3.00"))
    assert shop.run()
    assert shop.winners() == [("P9", "20.00")]
    shop.topics.send(product("P9", "1.00", "1.50"), product("P9", "9.00", "9.50", updated_at="2020-01-01"))
    assert shop.run()
    assert shop.winners() == [("P9", "5.00")]
    shop.assert_accounted(4)


def test_a_price_that_a_clock_ahead_had_frozen_moves_again(
    shop: StockShop, capsys: pytest.CaptureFixture[str]
) -> None:
    """An earlier version ordered by Kafka's time of the year 2100; the next record counts, told so."""
    shop.topics.send(product("P1", "1.00", "3.00"), client("C1", "5"), sale("I1", P1=1))
    assert shop.run()
    frozen = {"$set": {"order": f"{4_102_444_800_000:015d} {0:010d} {0:020d}"}}
    shop.database["inventory"].update_one({"_id": "P1"}, frozen)
    shop.database["clients"].update_one({"_id": "C1"}, frozen)
    shop.topics.send(product("P1", "1.00", "6.00"), client("C1", "7"))
    assert shop.run()
    assert (shop.winners(), shop.revenue()) == ([("P1", "5.00")], {"C1": "17.00"})
    assert "2 products and clients were last changed by a clock that was ahead" in capsys.readouterr().out
    shop.assert_accounted(5)


def test_every_kind_of_bad_record_is_set_aside_and_the_others_go_on(shop: StockShop) -> None:
    """With topic, partition, offset, reason and raw value; each counted by its reason."""
    broken = json.dumps(sale("I1")).encode().replace(b"I1", b"I\xff")
    bad = ['{"invoice_id": "I1"', None, b"\xff\xfe", "[1]", "", "{} {}", '{"items": {}}', broken]
    shop.topics.send(*bad, kind=SALES)
    assert shop.run()
    shop.topics.send(sale("I2", P1=1), {**sale("I3"), "items": []}, sale("I4", amount="-3"), sale("I2", P1=2))
    shop.topics.send(product("P1", "x"), client("C1", "1.001"))
    assert shop.run()
    sales = f"{shop.topics.names[SALES]}/0"
    assert {place: reason for place, (reason, _) in shop.dead_records().items()} == {
        **{(sales, offset): "corrupt" for offset in range(len(bad))},
        (sales, 9): "missing_items",
        (sales, 10): "negative_total_amount",
        (sales, 11): "conflict",
        (f"{shop.topics.names[INVENTORY]}/0", 0): "invalid_buy_price",
        (f"{shop.topics.names[CLIENTS]}/0", 0): "total_revenue_generated_has_fractions_of_a_cent",
    }
    assert {row["_id"] for row in shop.database["sales"].find()} == {"I2"}
    shop.assert_accounted(14)
    _assert_the_cold_store_is_read_as_documented(shop, 14)


def _assert_the_cold_store_is_read_as_documented(shop: StockShop, records: int) -> None:
    """By the block of docs/stock.md as it stands; a compaction keeps every record."""
    (block,) = (found for found in blocks(ROOT / "docs" / "stock.md") if found.language == "python")
    (shop.folder / "data").mkdir()
    (shop.folder / "data" / "stock").symlink_to(shop.settings.stock_cold_path)
    code = f"{block.text}\nrows = found.fetchall()\nprint(len(rows), sum(row[-1] is None for row in rows))"
    read = [sys.executable, "-c", code]
    compact = [sys.executable, str(ROOT / "main.py"), "stock", "compact", "--keep-minutes", "0"]
    for command, told in ((read, f"{records} 3"), (compact, "events: 2 batches"), (read, f"{records} 3")):
        environment = {**os.environ, "STOCK_COLD_PATH": str(shop.settings.stock_cold_path)}
        done = subprocess.run(
            command, cwd=shop.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert told in done.stdout


def test_risk_follows_the_calendar_without_events(shop: StockShop) -> None:
    """A product becomes a risk by the day that passes, and is one at once after a start on a later day."""
    shop.topics.send(product("P1", expiry_date=_in_days(8)))
    pipeline = shop.pipeline()
    assert pipeline.once(StopFlag())
    assert shop.risks() == {}
    later = datetime.now(timezone.utc) + timedelta(days=1)
    object.__setattr__(_work(pipeline).writer, "clock", type("Later", (), {"now": lambda _self: later})())
    _upkeep(pipeline)._look_at = float("-inf")
    _upkeep(pipeline).look()
    assert shop.risks() == {"P1": ["expiring"]}
    started, later = shop.pipeline(), later + timedelta(days=8)
    object.__setattr__(_work(started).writer, "clock", type("Later", (), {"now": lambda _self: later})())
    _upkeep(started).start()
    assert shop.risks() == {"P1": ["expired"]}


def test_the_recount_mends_what_somebody_changed(shop: StockShop, capsys: pytest.CaptureFixture[str]) -> None:
    """Totals that are not the sum of the invoices are told, counted and set right, winners with them."""
    shop.topics.send(product("P1"), sale("I1", amount="2.00", P1=3), sale("I2", "C2", "4.00", P2=1))
    pipeline = shop.pipeline()
    assert pipeline.once(StopFlag())
    shop.database["product_totals"].update_one({"_id": "P1"}, {"$inc": {"units": 5}})
    shop.database["product_totals"].delete_one({"_id": "P2"})
    shop.database["clients"].update_one({"_id": "C1"}, {"$inc": {"sales_cents": 100}})
    upkeep = _upkeep(pipeline)
    upkeep.recount_hours, upkeep._look_at = 1e-9, float("-inf")
    upkeep.look()
    assert "The recount mended 3 totals" in capsys.readouterr().out
    assert "stock_totals_mended_total 3.0" in pipeline.reporting.metrics.render().decode()
    assert shop.winners() == [("P1", "6.00")]
    assert_totals_are_the_sum_of_the_invoices(shop.database)
    upkeep._look_at = float("-inf")
    upkeep.look()
    assert "every total to be the sum" in capsys.readouterr().out


def test_changed_thresholds_judge_all_clients_anew(shop: StockShop) -> None:
    """Not only those who buy something afterwards."""
    shop.topics.send(client("C1", "600"), client("C2", "400"))
    assert shop.run()
    changed = StockShop(
        shop.folder,
        shop.topics,
        shop.mongo_uri,
        shop.database,
        shop._spark,
        revenue_threshold_promo=500,
        revenue_threshold_gold=550,
        revenue_threshold_silver=300,
    )
    assert changed.run()
    found = {
        c["client_id"]: (c["loyalty_tier"], c["eligible_promo"]) for c in shop.database["clients"].find()
    }
    assert found == {"C1": ("Gold", True), "C2": ("Silver", False)}


def test_a_second_writer_takes_over_and_the_first_is_refused(shop: StockShop) -> None:
    """It stops with one sentence instead of writing beside the other."""
    first = shop.pipeline()
    _upkeep(first).start()
    _upkeep(shop.pipeline()).start()
    with pytest.raises(AlreadyRunningError, match="taken over"):
        _work(first).writer.settle()
    with pytest.raises(AlreadyRunningError, match="taken over"):
        _work(first).writer.ledger.note(rules="x")


def _work(job: StreamJob) -> StockWork:
    work = job.streams[0].batch.work
    assert isinstance(work, StockWork)
    return work


def _upkeep(job: StreamJob) -> Upkeep:
    (upkeep,) = job.companions
    assert isinstance(upkeep, Upkeep)
    return upkeep


def _in_days(days: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(days=days)).date().isoformat()


def _everything(database: Database[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    names = ("sales", "inventory", "clients", "product_totals", "product_winners", "loss_risk_products")
    return {name: list(database[name].find().sort("_id", 1)) for name in names}
