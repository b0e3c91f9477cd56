"""Refused records tried again, and files that are gone when they are to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_batch import StreamBatch
from tests.support.shop import Shop, event, events


@pytest.fixture
def shop(tmp_path: Path, events_dsn: str, spark: SparkSession) -> Shop:
    """A shop with an empty folder and database, where a batch is tried once."""
    return Shop(tmp_path, events_dsn, spark, retry_attempts=1)


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
    assert f"{vanishing}: it could not be read" in capsys.readouterr().out
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
