"""Rankings change as a whole: nobody who follows the pointer sees an empty or a mixed one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from analytics.stock.rankings import RiskRules
from contracts import UnavailableError
from pipelines.engine.faults import Faults
from pipelines.stock.batch import StockWork
from pipelines.stock.rankings import Rankings
from pipelines.stock.upkeep import Upkeep
from pipelines.stock.writer import StockWriter
from retry import RetryPolicy
from sinks.stock.publish_ranking import GRACE, Publication
from sinks.stock.schema import ensure_indexes
from sources.mongo_client import ServerClock
from sources.stock.published_ranking import read_published, read_ranking
from tests.support.stock_database import shop_events, write_events
from tests.support.stock_events import FORMULAS, CrashError
from tests.support.stock_server import DIES, LATE, Fault, Server
from tests.support.waiting import meanwhile

_NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)
_NAME = "product_winners"


def _ranking(version: int) -> list[dict[str, Any]]:
    """Ten rows, all of which tell the version; at times fewer."""
    return [
        {"product_id": f"P{rank}", "rank": rank, "total_profit": Decimal128(f"{version}.00")}
        for rank in range(1, 11 - version % 3)
    ]


def _version(rows: Sequence[dict[str, Any]]) -> int:
    versions = {int(row["total_profit"].to_decimal()) for row in rows}
    assert len(versions) == 1, f"mixed: {versions}"
    (version,) = versions
    assert [row["rank"] for row in rows] == list(range(1, 11 - version % 3))
    return version


def test_a_reader_in_a_tight_loop_sees_only_whole_versions(database: Database[dict[str, Any]]) -> None:
    """During 1 000 changes, old rows being removed all the time; never an older one after a newer."""
    publication = Publication(database, _NAME)
    publication.publish(partial(_ranking, 1), _NOW)
    seen: list[int] = []
    with meanwhile(lambda: seen.append(_version(read_published(database, _NAME)))):
        for version in range(2, 1_002):
            # Time flies: each generation's rows are removed two changes after it went out of use.
            now = _NOW + version * GRACE / 2
            assert publication.publish(partial(_ranking, version), now)
            publication.tidy(now)
    assert len(set(seen)) > 50, "the reader hardly ran"
    assert seen == sorted(seen)
    assert _version(read_published(database, _NAME)) == 1_001
    assert database[_NAME].count_documents({}) < 40


def test_the_same_rows_are_not_published_again(database: Database[dict[str, Any]]) -> None:
    """Then nothing is written at all, and `calculatedAt` stays the time of the change."""
    publication = Publication(database, _NAME)
    assert publication.publish(partial(_ranking, 4), _NOW)
    assert not publication.publish(partial(_ranking, 4), _NOW + timedelta(days=1))
    assert {row["calculatedAt"] for row in read_published(database, _NAME)} == {_NOW}
    assert publication.publish(list, _NOW)
    assert read_published(database, _NAME) == []


def test_old_rows_stay_for_the_grace_time_and_then_go(database: Database[dict[str, Any]]) -> None:
    """Also those of a publication that died before the pointer moved."""
    publication = Publication(database, _NAME)
    publication.publish(partial(_ranking, 1), _NOW)
    for command in (1, 2, 3):
        dying = Server(database).door(Fault(command, DIES, 0.5))
        with pytest.raises(CrashError):
            Publication(dying, _NAME).publish(partial(_ranking, 2), _NOW)
        assert _version(read_published(database, _NAME)) in (1, 2)
    publication.publish(partial(_ranking, 3), _NOW)
    publication.tidy(_NOW + GRACE / 2)
    assert database[_NAME].count_documents({}) > len(_ranking(3))
    publication.tidy(_NOW + 2 * GRACE)
    assert _version(list(database[_NAME].find().sort("rank", 1))) == 3


def test_a_ranking_of_many_rows_is_published_and_its_head_read_by_index(
    database: Database[dict[str, Any]],
) -> None:
    """More rows than a server takes in one command; the page reads a hundred, and what all are worth."""
    ensure_indexes(database)
    name, count = "loss_risk_products", 25_500
    publication = Publication(database, name, ("value_at_risk",))
    worth = Decimal128("0.10")

    def rows() -> Iterator[dict[str, Any]]:
        for rank in range(1, count + 1):
            yield {"product_id": f"P{rank}", "rank": rank, "value_at_risk": worth}

    assert publication.publish(rows, _NOW)
    found = read_ranking(database, name, 100)
    assert [row["rank"] for row in found.rows] == list(range(1, 101))
    assert (found.count, found.sums) == (count, {"value_at_risk": Decimal128("2550.00")})
    pointer = database["publications"].find_one({"_id": name}) or {}
    condition = {"generation": pointer["generation"], "rank": {"$lte": 100}}
    plan = str(database[name].find(condition).explain()["queryPlanner"])
    assert "generation_1_rank_1" in plan
    database[name].delete_one({**condition, "rank": 7})
    with pytest.raises(UnavailableError):
        read_ranking(database, name, 100)
    # Of a program before this one, which gave no sums: all rows are read, and the next one publishes anew.
    database["publications"].update_one({}, {"$unset": {"sums": ""}, "$set": {"count": count - 1}})
    assert len(read_ranking(database, name, 100).rows) == count - 1
    assert publication.publish(rows, _NOW)


def test_many_risks_take_a_part_of_the_time_and_the_end_leaves_one_generation(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that waited are published by the last look of a bounded run."""
    monkeypatch.setattr("pipelines.stock.rankings._MANY", 0)
    monkeypatch.setattr("pipelines.stock.rankings._REST_TIMES", 1e6)
    events = shop_events()
    write_events(database, events)
    work = StockWork(
        {}, StockWriter(database, FORMULAS, ServerClock(database.client)), Rankings(database, RiskRules())
    )
    upkeep = Upkeep(work, RetryPolicy(attempts=1), Faults(), 0, "rules")
    upkeep.start()
    assert work.rankings.publish_risks(_NOW, at_once=False) is None
    database["inventory"].update_one({}, {"$set": {"quantity": 12_345}})
    upkeep.look()
    assert 12_345 not in _quantities(database)
    upkeep.look(at_once=True)
    assert 12_345 in _quantities(database)
    upkeep.end()
    for name in ("loss_risk_products", "product_winners"):
        assert len(database[name].distinct("generation")) == 1


def _quantities(database: Database[dict[str, Any]]) -> list[int]:
    return [row["quantity"] for row in read_published(database, "loss_risk_products")]


def test_who_was_overtaken_neither_publishes_older_rows_nor_removes_newer_ones(
    database: Database[dict[str, Any]],
) -> None:
    """A process stalls while it reads the totals; a removal it gave up on arrives after a new publication.

    Nor when the clock of the newer one is behind: its generation comes after the other all the same.
    """
    first, second = Publication(database, _NAME), Publication(database, _NAME)
    first.publish(partial(_ranking, 1), _NOW)

    def overtaken() -> list[dict[str, Any]]:
        second.publish(partial(_ranking, 3), _NOW)
        return _ranking(2)

    assert not first.publish(overtaken, _NOW)
    assert _version(read_published(database, _NAME)) == 3
    server = Server(database)
    late = server.door(Fault(2, LATE, later=1_000))
    with pytest.raises(AutoReconnect):
        Publication(late, _NAME).tidy(_NOW + 2 * GRACE)
    assert late.commands[-1] == (_NAME, "delete_many")
    second.publish(partial(_ranking, 4), _NOW)
    server.land()
    assert _version(read_published(database, _NAME)) == 4
    ahead = ObjectId.from_datetime(datetime(2100, 1, 1, tzinfo=timezone.utc))
    database["publications"].update_one({}, {"$set": {"generation": ahead}})
    second.publish(partial(_ranking, 5), _NOW)
    second.tidy(_NOW)
    assert (database["publications"].find_one({}) or {})["generation"] > ahead
    assert _version(read_published(database, _NAME)) == 5


def test_a_reader_who_never_finds_a_whole_version_says_so(database: Database[dict[str, Any]]) -> None:
    """Rather than to show a part; and errors of the server pass through."""
    Publication(database, _NAME).publish(partial(_ranking, 1), _NOW)
    database[_NAME].delete_one({"rank": 3})
    with pytest.raises(UnavailableError, match="read it again"):
        read_published(database, _NAME)
    client: Any = database.client.__class__("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50")
    with pytest.raises(AutoReconnect):
        read_published(client["nowhere"], _NAME)
