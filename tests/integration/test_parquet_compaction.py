"""Compaction: the same rows in fewer files, also for who reads meanwhile, also after a kill at any moment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyspark.sql import SparkSession

from analytics.esports.rules import DATASETS, MATCHES
from contracts import AlreadyRunningError, ConfigurationError
from sinks.parquet.compaction import Compaction, compact
from sinks.parquet.generations import Generations
from tests.support.arena import Arena
from tests.support.arena import match as told
from tests.support.esports_dataset import START, Writer, match
from tests.support.power_cut import Disk

ROOT = Path(__file__).parents[2]


def _rows(path: Path) -> list[dict[str, Any]]:
    """All rows with their partitions, without the batch."""
    table = ds.dataset(path, partitioning="hive").to_table()
    rows: list[dict[str, Any]] = table.drop_columns("batch").to_pylist()
    return sorted(rows, key=lambda row: (row["kafka_topic"], row["kafka_offset"]))


def _count_pyarrow(path: Path) -> int:
    return int(ds.dataset(path, partitioning="hive").count_rows())


def _count_duckdb(path: Path) -> int:
    query = "SELECT count(*) FROM read_parquet(?, hive_partitioning = true, union_by_name = true)"
    with duckdb.connect() as connection:
        row = connection.execute(query, [f"{path}/**/*.parquet"]).fetchone()
    assert row
    return int(row[0])


def _ledgers(path: Path) -> dict[str, set[Any]]:
    """What all ledgers of the dataset say together: batches, and each offset that was consumed or rescued."""
    found: dict[str, set[Any]] = {"batches": set(), "consumed": set(), "rescued": set()}
    for file in path.resolve().rglob("_offsets.json"):
        ledger = json.loads(file.read_bytes())
        found["batches"] |= set(ledger["batches"])
        for kind in ("consumed", "rescued"):
            found[kind] |= {
                (topic, topic_id, partition, offset)
                for topic, ids in ledger[kind].items()
                for topic_id, partitions in ids.items()
                for partition, ranges in partitions.items()
                for first, after in ranges
                for offset in range(first, after)
            }
    return found


def test_the_same_rows_in_fewer_files(tmp_path: Path) -> None:
    """Values, partitions and ledgers are as before; one file a partition; a second time does nothing."""
    writer = Writer(tmp_path)
    writer.season(30)
    for dataset in DATASETS:
        generations = writer.generations[dataset.name]
        rows, ledger = _rows(generations.path), _ledgers(generations.path)
        assert all(ledger.values())
        files = len(list(generations.current().rglob("*.parquet")))
        result = compact(generations)
        assert result.rows == len(rows)
        assert (result.files_before, result.batches) == (files, len(ledger["batches"]))
        assert _rows(generations.path) == rows
        assert _ledgers(generations.path) == ledger
        left = [file.relative_to(generations.current()) for file in generations.current().rglob("*.parquet")]
        assert len({file.parent for file in left}) == len(left) == result.files_after
        assert {str(file.parts[0]) for file in left} == {"batch=merged-000001"}
        assert compact(generations) == Compaction()


def test_later_batches_are_merged_again_and_large_ones_left_alone(tmp_path: Path) -> None:
    """A batch of at least the given size keeps its very files; what came since becomes another batch.

    When a batch was written is told by its folder, before and after.
    """
    writer = Writer(tmp_path)
    matches = writer.generations["matches"]
    large = writer.add_rows(MATCHES, [match(n, patch=os.urandom(20).hex()) for n in range(5_000)], START)
    inodes = {file.stat().st_ino for file in large.rglob("*.parquet")}
    small = [writer.add_rows(MATCHES, [match(number)], START) for number in range(4)]
    for age, folder in enumerate([*small, large], start=1):
        os.utime(folder, (age * 1_000, age * 1_000))
    assert compact(matches, large_bytes=100_000).batches == 4
    written = {folder.name: folder.stat().st_mtime for folder in matches.current().iterdir()}
    assert written == {large.name: 5_000, "batch=merged-000001": 4_000}
    names = sorted(folder.name for folder in matches.current().iterdir())
    assert names == [large.name, "batch=merged-000001"]
    kept = (matches.current() / large.name).rglob("*.parquet")
    assert {file.stat().st_ino for file in kept} == inodes
    writer.add_rows(MATCHES, [match(9)], START)
    assert compact(matches, large_bytes=100_000).batches == 2
    assert _count_pyarrow(matches.path) == 5_005


def test_large_partitions_are_cut_into_files_of_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is much larger than asked for, and none of their rows is lost."""
    monkeypatch.setattr("sinks.parquet.compaction._ROWS_AT_ONCE", 500)
    writer = Writer(tmp_path)
    for _ in range(4):
        rows = [match(n, patch=os.urandom(20).hex()) for n in range(1_000)]
        writer.add_rows(MATCHES, rows, START)
    matches = writer.generations["matches"]
    result = compact(matches, large_bytes=100_000)
    assert result.files_after > 1
    assert all(file.stat().st_size < 200_000 for file in matches.current().rglob("*.parquet"))
    assert [row["kafka_offset"] for row in _rows(matches.path)] == list(range(4_000))


def test_a_new_column_is_kept_and_old_rows_lack_it(tmp_path: Path, spark: SparkSession) -> None:
    """Merged files have the columns of all; pyarrow, duckdb and Spark read them, times stay times in UTC."""
    writer = Writer(tmp_path)
    matches = writer.generations["matches"]
    writer.add_rows(MATCHES, [match(1, started_at="2026-01-29T10:00:00Z")], START)
    writer.add_rows(MATCHES, [match(2, venue="Lyon")], START, [pa.field("venue", pa.string())])
    compact(matches)
    expected = [("M1", None), ("M2", "Lyon")]
    rows = _rows(matches.path)
    assert [(row["match_id"], row["venue"]) for row in rows] == expected
    frame = spark.read.option("mergeSchema", "true").parquet(str(matches.current()))
    assert sorted(tuple(row) for row in frame.select("match_id", "venue").collect()) == expected
    assert frame.schema["started_at"].dataType.typeName() == "timestamp"
    assert frame.where("status = 'live'").count() == 2
    assert rows[0]["started_at"] == START
    assert _count_duckdb(matches.path) == 2


@pytest.mark.parametrize("count", [_count_pyarrow, _count_duckdb])
def test_readers_never_see_a_row_twice_or_miss_one(tmp_path: Path, count: Callable[[Path], int]) -> None:
    """While batches come and many compactions run: who resolves the link has no error and no wrong count.

    Batches are of ten rows, so a count that only grows by tens has no half batch in it either.
    """
    writer = Writer(tmp_path)
    matches = writer.generations["matches"]
    for number in range(10):
        writer.add_rows(MATCHES, [match(n) for n in range(10)], START + timedelta(minutes=number))
    added, compactions = 100, 0
    stop = threading.Event()
    counts: list[int] = []
    errors: Counter[str] = Counter()

    def read() -> None:
        while not stop.is_set():
            least = added
            try:
                seen = count(matches.current())
            except Exception as error:  # noqa: BLE001 - whatever a reader meets is what is asked for
                errors[f"{type(error).__name__}: {error}"] += 1
                continue
            counts.append(seen)
            if not (least <= seen and seen % 10 == 0):
                errors[f"{seen} rows where there were at least {least}"] += 1

    reader = threading.Thread(target=read)
    reader.start()
    end = time.monotonic() + 180
    while (compactions < 25 or len(counts) < 60) and time.monotonic() < end:
        for _ in range(2):
            writer.add_rows(MATCHES, [match(n) for n in range(10)], START)
            added += 10
        compactions += compact(matches).batches > 0
    stop.set()
    reader.join()
    assert errors == {}
    assert compactions >= 25
    assert len(counts) >= 60
    assert counts == sorted(counts)
    assert count(matches.path) == added


def test_batches_that_come_during_a_compaction_are_there_afterwards(tmp_path: Path) -> None:
    """Whatever is added between the start of the merging and its end."""
    writer = Writer(tmp_path)
    matches = writer.generations["matches"]
    for number in range(60):
        writer.add_rows(MATCHES, [match(number)], START)
    merging = threading.Thread(target=compact, args=(matches,))
    merging.start()
    added = 60
    while merging.is_alive():
        writer.add_rows(MATCHES, [match(added)], START)
        added += 1
    merging.join()
    assert added > 60
    assert [row["kafka_offset"] for row in _rows(matches.path)] == list(range(added))


def test_a_batch_that_comes_while_the_generation_is_replaced_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the next one holds is settled by then, so who publishes waits until the link points there."""
    writer = Writer(tmp_path)
    matches = writer.generations["matches"]
    for number in range(3):
        writer.add_rows(MATCHES, [match(number)], START)
    late = threading.Thread(target=writer.add_rows, args=(MATCHES, [match(3)], START))
    replace = Generations.replace

    def with_a_late_batch(generations: Generations, complete: Path) -> Path:
        late.start()
        # It waits for the lock. Without one it is done long before.
        late.join(0.5)
        return replace(generations, complete)

    monkeypatch.setattr(Generations, "replace", with_a_late_batch)
    assert compact(matches).batches == 3
    late.join()
    assert [row["kafka_offset"] for row in _rows(matches.path)] == [0, 1, 2, 3]


def test_a_power_cut_takes_nothing_of_what_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is safe when its offsets count as used up: files, their names, and every folder above them."""
    disk = Disk(monkeypatch)
    writer = Writer(tmp_path / "new" / "processed")
    for dataset in DATASETS:
        path = writer.generations[dataset.name].path
        assert disk.lost(path, tmp_path) == disk.lost(path.resolve(), tmp_path) == []
    for number in range(2):
        rows = [match(number), match(number, status="finished")]
        batch = writer.add_rows(MATCHES, rows, START)
        assert len(list(batch.rglob("*.parquet"))) == 2
        assert disk.lost(batch, tmp_path) == []


def test_a_power_cut_takes_nothing_of_what_is_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the link points to it the whole next generation is on the disk; afterwards the link is too."""
    disk = Disk(monkeypatch)
    writer = Writer(tmp_path)
    matches = writer.generations["matches"]
    writer.add_rows(MATCHES, [match(n, patch=os.urandom(20).hex()) for n in range(3_000)], START)
    for number in range(2):
        writer.add_rows(MATCHES, [match(number), match(number, status="finished")], START)
    replace, at_the_link = Path.replace, list[list[str]]()

    def look(source: Path, target: Path) -> Path:
        at_the_link.append(disk.lost(target.parent / source.readlink(), tmp_path))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", look)
    assert compact(matches, large_bytes=60_000).batches == 2
    assert at_the_link == [[]]
    assert sum(1 for _ in matches.current().rglob("*.parquet")) == 3
    assert disk.lost(matches.path, tmp_path) == []


# In each folder a compaction that is killed before that change of the disk whose number names the folder.
# Forked, because the imports take far longer.
_KILLED = """
import os, pathlib, sys
from sinks.parquet.generations import Generations
from sinks.parquet.compaction import compact
def run(output):
    at, passed = int(output.name), 0
    def hook(event, args):
        nonlocal passed
        if event in ("os.rename", "os.link", "os.symlink", "os.utime", "os.rmdir"):
            passed += 1
            if passed == at:
                os.kill(os.getpid(), 9)
    sys.addaudithook(hook)
    compact(Generations(output, "matches"), large_bytes=60_000)
    return passed
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        os._exit(run(pathlib.Path(name)))
    _, status = os.waitpid(child, 0)
    print(0 if os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9 else os.waitstatus_to_exitcode(status))
"""


def test_a_kill_at_any_moment_leaves_the_dataset_whole(tmp_path: Path) -> None:
    """Killed before any of its changes of the disk: all rows are there once, the next one goes through."""
    writer = Writer(tmp_path / "whole")
    writer.add_rows(MATCHES, [match(n, patch=os.urandom(20).hex()) for n in range(3_000)], START)
    for number in range(2):
        writer.add_rows(MATCHES, [match(number), match(number, status="finished")], START)
    rows = _rows(writer.generations["matches"].path)
    shutil.copytree(tmp_path / "whole", tmp_path / "0", symlinks=True)
    (passed,) = _run_killed(tmp_path / "0")
    assert passed >= 6
    places = [tmp_path / str(at) for at in range(1, passed + 1)]
    for output in places:
        shutil.copytree(tmp_path / "whole", output, symlinks=True)
    assert _run_killed(*places) == [0] * passed
    for at, output in enumerate(places, 1):
        matches = Generations(output, "matches")
        assert _rows(matches.path) == rows, at
        compact(matches, large_bytes=60_000)
        assert _rows(matches.path) == rows, at
        assert sum(1 for _ in matches.current().iterdir()) == 2
        matches.remove_old(0.0)
        assert _rows(matches.path) == rows, at
        left = {path.name for path in (output / ".generations" / "matches").iterdir() if path.is_dir()}
        assert left == {matches.current().name}


def _run_killed(*outputs: Path) -> list[int]:
    """For each how many changes of the disk a compaction made; 0 when it was killed before its one."""
    command = [sys.executable, "-c", _KILLED, *map(str, outputs)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    return [int(line) for line in run.stdout.split()]


def test_old_generations_stay_for_an_hour_for_who_still_reads_them(tmp_path: Path) -> None:
    """A reader that resolved the link before reads on; the hour begins when the next one takes its place."""
    writer = Writer(tmp_path)
    writer.season(5)
    matches = writer.generations["matches"]
    before, rows = matches.current(), _rows(matches.path)
    # It was made long ago, which says nothing about who reads it.
    os.utime(before, (0, 0))
    compact(matches)
    for minutes in (0, 59):
        os.utime(before, (before.stat().st_mtime - minutes * 60,) * 2)
        # Also where there is nothing to merge, and as often as somebody likes.
        assert compact(matches) == Compaction()
        assert _rows(before) == rows
    os.utime(before, (before.stat().st_mtime - 60,) * 2)
    compact(matches)
    assert not before.exists()
    assert _rows(matches.path) == rows


def test_one_compaction_at_a_time(tmp_path: Path) -> None:
    """A second one is refused with a sentence that names the dataset."""
    writer = Writer(tmp_path)
    writer.season(2)
    matches = writer.generations["matches"]
    with matches.compacting(), pytest.raises(AlreadyRunningError, match="matches is being compacted already"):
        compact(Generations(tmp_path, "matches"))


def test_a_plain_folder_is_not_taken_for_a_dataset(tmp_path: Path) -> None:
    """It is left alone, and the sentence says what to do."""
    (tmp_path / "matches").mkdir()
    with pytest.raises(ConfigurationError, match=r"Move it away, or set ESPORTS_OUTPUT_PATH"):
        Generations(tmp_path, "matches").ensure()


def test_compacted_records_are_still_known(arena: Arena) -> None:
    """Without its checkpoint the pipeline reads the topic again, and the merged ledgers know every record."""
    topic = arena.topics.matches
    for first in (0, 10, 20):
        arena.topics.send(topic, [told(number) for number in range(first, first + 10)])
        assert arena.run(MATCHES)
    ids = arena.ids("matches")
    assert len(ids) == 30
    assert compact(Generations(arena.settings.esports_output_path, "matches")).batches == 3
    shutil.rmtree(arena.settings.checkpoint_location)
    arena.topics.send(topic, [told(99)])
    assert arena.run(MATCHES)
    assert arena.ids("matches") == sorted([*ids, "M99"])
    assert (arena.total("duplicates"), arena.total("records_written")) == (30, 31)
