"""Rankings change as a whole: nobody who follows the pointer sees an empty or a mixed one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from contracts import UnavailableError
from sinks.stock.publish_ranking import GRACE, Publication
from sources.stock.published_ranking import read_published
from tests.support.stock_events import CrashError
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
