"""Refused records tried again, and files that are gone when they are to be read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from contracts import DeadLetterError
from pipelines.ecommerce import batch
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_batch import StreamBatch
from sinks.dead_letters import DeadLetters
from sinks.ecommerce.connection import server_time
from tests.support.odd_letters import lay_odd_letters
from tests.support.shop import Shop, event, events, minutes_ago


@pytest.fixture
def shop(tmp_path: Path, events_dsn: str, spark: SparkSession) -> Shop:
    """A shop with an empty folder and database, where a batch is tried once."""
    return Shop(tmp_path, events_dsn, spark, retry_attempts=1)


def test_records_that_count_by_now_are_inserted_and_their_letters_go(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Judged by the same rules, once each: the others stay, with their tries counted.

    Letters that cannot even be tried lie before the others, and stop none of them.
    """
    early = event(event_timestamp=minutes_ago(5))
    shop.put([early, event(event_type="click"), event(event_type="view")], "a.csv")
    # The clock was an hour slow when they came.
    monkeypatch.setattr(batch, "server_time", lambda c: server_time(c) - timedelta(hours=1))
    assert shop.run()
    monkeypatch.undo()
    refused = {reason for reason, _ in shop.dead_lines().values()}
    assert refused == {"future_timestamp", "invalid_event_type"}
    letters = shop.retrying()
    odd = lay_odd_letters(shop.settings.dlq_directory, "ecommerce")
    outcome = letters.retry(shop.letters())
    assert (len(outcome.resolved), len(outcome.kept)) == (1, 1 + len(odd))
    assert early["event_id"] in shop.ids()
    assert len(shop.ids()) == 2
    (left,) = [letter for letter in shop.letters() if letter.id not in odd]
    assert (left.reason, left.attempts) == ("invalid_event_type", 1)
    assert letters.retry([left]).kept == [left.id]
    assert shop.letters()[-1].attempts == 2
    assert len(shop.ids()) == 2


def test_records_of_a_wrong_header_stay_refused(shop: Shop) -> None:
    """Their columns are not known, also later."""
    shop.put("id,what\n1,2\n")
    assert shop.run()
    outcome = shop.retrying().retry(shop.letters())
    assert (len(outcome.resolved), len(outcome.kept)) == (0, 1)
    assert shop.ids() == []


def test_a_file_that_is_gone_when_it_is_read_is_told_and_read_again_once_it_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others go in meanwhile; what is refused of it then gets a letter of its own."""
    first, second = events(5), events(5)
    shop.put(first, "first.csv")
    vanishing = shop.put(
        [*second, event(event_type="click"), {**first[0], "user_id": "another"}], "second.csv"
    )
    back = vanishing.read_bytes()
    pipeline = shop.pipeline()
    process = StreamBatch.process

    def too_late(self: StreamBatch[Any, Any], files: DataFrame, number: int) -> None:
        vanishing.unlink(missing_ok=True)
        process(self, files, number)

    monkeypatch.setattr(StreamBatch, "process", too_late)
    assert pipeline.once(StopFlag())
    assert shop.ids() == sorted(one["event_id"] for one in first)
    (letter,) = shop.letters()
    assert (letter.reason, letter.record["source"]) == ("unreadable_file", str(vanishing))
    assert "FileNotFoundError" in letter.record["note"]
    assert f"{vanishing}: the file could not be read" in capsys.readouterr().out
    shop.assert_accounted(6)
    assert shop.retrying().retry([letter]).kept == [letter.id]
    vanishing.write_bytes(back)
    assert shop.retrying().retry([letter]).resolved == [letter.id]
    assert shop.ids() == sorted(one["event_id"] for one in [*first, *second])
    assert {place: reason for place, (reason, _) in shop.dead_lines().items()} == {
        ("second.csv", 7): "invalid_event_type",
        ("second.csv", 8): "conflict",
    }
    # Whatever was done twice changes nothing.
    shop.retrying().retry(shop.letters())
    assert len(shop.ids()) == 10


def test_a_file_that_is_gone_before_its_batch_comes_again_is_told_too(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash: Spark alone would leave it out of the batch without a word."""
    gone = shop.put(events(2), "gone.csv")
    shop.put(events(3), "here.csv")
    pipeline = shop.pipeline()
    monkeypatch.setattr(StreamBatch, "process", _crash)
    assert not pipeline.once(StopFlag())
    monkeypatch.undo()
    gone.unlink()
    assert shop.run()
    assert [letter.reason for letter in shop.letters()] == ["unreadable_file"]
    assert len(shop.ids()) == 3


def _crash(_self: StreamBatch[Any, Any], _files: DataFrame, _number: int) -> None:
    raise OSError("the process is gone")


def test_while_a_refused_record_cannot_be_kept_nothing_of_its_batch_counts(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that broke a rule nor a conflict, which is only found once the others are inserted."""
    first = event()
    shop.put([first], "a.csv")
    assert shop.run()
    later = events(2)
    for number, bad in enumerate([event(event_type="click"), {**first, "user_id": "another"}]):
        shop.put([later[number], bad], f"b{number}.csv")
        monkeypatch.setattr(DeadLetters, "store", _full)
        assert not shop.run()
        monkeypatch.undo()
        counted = "SELECT (SELECT count(*) FROM user_events), (SELECT count(*) FROM user_event_batches)"
        assert shop.query(counted) == [(number + 1, number + 1)]
        assert shop.run()
    assert shop.ids() == sorted(one["event_id"] for one in [first, *later])
    assert [reason for reason, _ in shop.dead_lines().values()] == ["invalid_event_type", "conflict"]
    shop.assert_accounted(5)


def _full(*_arguments: object) -> int:
    raise DeadLetterError("the disk is full")
