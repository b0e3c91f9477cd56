"""Of two stock pipelines on one database the second is refused while the first lives."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pymongo.database import Database

from contracts import AlreadyRunningError
from sinks.stock import holder, ledger
from sinks.stock.ledger import COLLECTION, StockLedger
from tests.support.fresh_mongo import fresh_mongo


@pytest.fixture
def database(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database[dict[str, Any]]]:
    """An empty one; holders beat and are listened to for a tenth of the time."""
    monkeypatch.setattr(ledger, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(ledger, "SILENT_SECONDS", 1.5)
    with fresh_mongo(mongo_uri) as made:
        yield made


def _held_as(database: Database[dict[str, Any]], **where: Any) -> StockLedger:
    """A ledger whose holder is somewhere else."""
    made = StockLedger(database)
    made.take_over(lambda: 0)
    database[COLLECTION].update_one({}, {"$set": {f"holder.{name}": value for name, value in where.items()}})
    return made


def _starts(database: Database[dict[str, Any]]) -> float:
    """The seconds that a start takes. Raises AlreadyRunningError when it is refused."""
    began = time.monotonic()
    StockLedger(database).take_over(lambda: 0)
    return time.monotonic() - began


@pytest.mark.parametrize("where", [{"place": "another machine"}, {"pid": 1}])
def test_a_second_stock_pipeline_is_refused_while_the_first_lives(
    database: Database[dict[str, Any]], where: Mapping[str, Any]
) -> None:
    """On another machine, or beside it, as often as a restart policy tries; the first notices nothing."""
    first = _held_as(database, **where)
    with first.held():
        for _ in range(2):
            with pytest.raises(AlreadyRunningError, match="Another stock pipeline runs"):
                _starts(database)
        first.read()
    # It ended in good order.
    assert _starts(database) < 1.0
    with pytest.raises(AlreadyRunningError, match="taken over"):
        first.read()


def test_a_holder_that_died_is_followed_at_once_or_after_its_silence(
    database: Database[dict[str, Any]],
) -> None:
    """Where it can be seen that it ended there is no wait; a program before this one did not beat."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    _held_as(database, pid=ended.pid)
    assert _starts(database) < 1.0
    _held_as(database, place="another machine")
    assert 1.5 <= _starts(database) < 30
    database[COLLECTION].update_one({}, {"$unset": {"holder": "", "beats": ""}})
    assert _starts(database) < 1.0


def test_of_those_who_wait_for_a_silent_holder_one_goes_on(database: Database[dict[str, Any]]) -> None:
    """The other sees it beat."""
    _held_as(database, place="another machine")
    winner = StockLedger(database)
    with winner.held():
        winner.take_over(lambda: 0)
        database[COLLECTION].update_one({}, {"$set": {"holder.pid": 1}})
        with pytest.raises(AlreadyRunningError, match="process 1 on"):
            _starts(database)


def test_a_beat_that_fails_ends_nothing() -> None:
    """The server may be away for a while."""
    seen: list[int] = []

    def beat() -> None:
        seen.append(len(seen))
        raise RuntimeError

    with holder.beating(beat, 0.01):
        while len(seen) < 3:
            time.sleep(0.01)
