"""The season that is sent knows what of it is bad; what became of it is read from the Parquet itself."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from analytics.esports.rules import MATCHES, PLAYERS
from pipelines.engine.demo_rig import Found
from pipelines.engine.stop_flag import StopFlag
from pipelines.esports.demo import Feeder
from pipelines.esports.demo_rig import Seen
from tests.support.esports_dataset import START, Writer, match

_KEYS = {"matches": "match_id", "players": "player_id"}


def _lines(folder: Path) -> list[tuple[str, str, bytes]]:
    """Topic, file and content of each message below `folder`, file by file as they were written."""
    files = sorted(folder.rglob("*.jsonl"), key=lambda file: file.name.rpartition("_")[2])
    return [(file.parent.name, file.name, line) for file in files for line in file.read_bytes().splitlines()]


def _is_bad(topic: str, line: bytes) -> bool:
    """By the contract: no JSON, no object, no key, a word where a number belongs."""
    try:
        content = json.loads(line)
    except ValueError:
        return True
    if not isinstance(content, dict) or not content.get(_KEYS[topic]):
        return True
    return any(isinstance(content.get(name), str) for name in ("team_1_kills", "total_games"))


def test_the_sender_counts_what_it_writes(tmp_path: Path) -> None:
    """Bad ones are those that break the contract, read again from the files; a paused one writes nothing."""
    feeder = Feeder(tmp_path)
    for _ in range(120):
        feeder._advance()
    planted = feeder.bad
    feeder.send_garbage()
    garbage = feeder.bad - planted
    lines = _lines(tmp_path)
    assert feeder.sent["refused"] == sum(_is_bad(topic, line) for topic, _, line in lines)
    assert planted > 0
    # Each way to fail, of each topic.
    assert garbage == 10
    assert feeder.records == len(lines)
    assert feeder.sent["duplicate"] == 0
    feeder.is_paused = True
    feeder.run(StopFlag(), 0.6)
    assert feeder.records == len(lines)


def test_what_is_sent_again_is_a_file_of_its_own_with_the_same_offsets(tmp_path: Path) -> None:
    """Else Spark, which has seen the name, would not read it, however often it is sent."""
    feeder = Feeder(tmp_path)
    for _ in range(3):
        feeder._advance()
    before = _lines(tmp_path)
    feeder.repeat()
    feeder.repeat()
    after = _lines(tmp_path)
    assert feeder.sent["duplicate"] == len(after) - len(before) > 0
    files = Counter(name.rpartition("_")[2] for _, name in {(topic, name) for topic, name, _ in after})
    again = {name for _, name, _ in after if name.startswith("again")}
    assert len(again) == 4
    # The first file of both topics begins with the same offset.
    assert files["000000000000.jsonl"] == 6


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    """Two batches of matches, one of players, whose ledgers say so."""
    writer = Writer(tmp_path)
    for dataset, numbers in ((MATCHES, (1, 2)), (MATCHES, (3,)), (PLAYERS, (4, 5, 6))):
        rows = [match(n) if dataset is MATCHES else {"player_id": f"P{n}", "active": True} for n in numbers]
        _note(writer.add_rows(dataset, rows, START), written=len(rows), duplicates=1, refused={"corrupt": 2})
    return writer


def _note(batch: Path, **outcome: object) -> None:
    ledger = json.loads((batch / "_offsets.json").read_text())
    (batch / "_offsets.json").write_text(json.dumps({**ledger, "outcome": outcome}))


def test_what_is_found_is_what_ledgers_and_files_say(written: Writer, tmp_path: Path) -> None:
    """Each batch once, however often one looks; new ones as they come."""
    seen = Seen(tmp_path)
    ends = {"written": 6, "duplicate": 3, "refused": 6}
    assert [seen.find() for _ in range(2)] == [Found(ends, 6, 6)] * 2
    _note(written.add_rows(MATCHES, [match(7)], START), written=1, duplicates=0, refused={})
    assert seen.find() == Found({**ends, "written": 7}, 7, 7)


def test_before_the_first_batch_nothing_is_found(tmp_path: Path) -> None:
    """Where the pipeline has not even made its folders."""
    nothing = {"written": 0, "duplicate": 0, "refused": 0}
    assert Seen(tmp_path / "nowhere").find() == Found(nothing, 0, 0)


def test_a_record_that_is_there_twice_is_missed(written: Writer, tmp_path: Path) -> None:
    """The same offset in two batches: the ledgers count it twice, and it is one row."""
    written._offsets["matches"] = 0
    _note(written.add_rows(MATCHES, [match(1)], START), written=1, duplicates=0, refused={})
    found = Seen(tmp_path).find()
    assert (found.rows, found.due) == (6, 7)


def test_a_file_that_is_lost_is_missed(written: Writer, tmp_path: Path) -> None:
    """The ledger of its batch still counts its records."""
    next(iter((tmp_path / "players").resolve().rglob("*.parquet"))).unlink()
    found = Seen(tmp_path).find()
    assert (found.rows, found.due) == (3, 6)
