"""`main.py --pipeline esports` as a process: its demo, its end, its start without a broker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from sinks.dead_letters import DeadLetters
from tests.support.arena import Arena, Topics, match
from tests.support.job import Job, environment_of
from tests.support.shell import in_a_shell
from tests.support.waiting import wait_for

_STREAM = ("--pipeline", "esports")


def test_the_demo_shows_the_real_steps_and_ends_by_itself(tmp_path: Path) -> None:
    """Without Kafka: every message told is accounted for, and what the demo says to type works."""
    job = Job(tmp_path, {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}, own_java=True)
    assert job.run(*_STREAM, "--demo") == 0, job.output()
    assert "Traceback" not in job.output()
    told = re.search(
        r"✅ ([\d,]+) records came = ([\d,]+) good \+ ([\d,]+) corrupt \+ ([\d,]+) rejected "
        r"\+ ([\d,]+) duplicates",
        job.output(),
    )
    assert told, job.output()
    assert "not read" not in job.output()
    all_told, good, corrupt, rejected, duplicates = (int(text.replace(",", "")) for text in told.groups())
    assert all_told == good + corrupt + rejected + duplicates
    assert min(good, corrupt, duplicates) > 0
    (folder,) = (tmp_path / "demo").iterdir()
    output = folder / "processed"
    rows = 0
    for name in ("matches", "players"):
        offsets = ds.dataset((output / name).resolve(), format="parquet").to_table()["kafka_offset"]
        assert len(offsets.unique()) == len(offsets)
        rows += len(offsets)
    assert rows == good
    letters = DeadLetters(folder / "dlq", "esports_dlq").list()
    assert sum(len(letter.record["records"]) for letter in letters) == corrupt + rejected
    marks = r"^(?:   (?=\S+ -c )|📬 Dead letters: |🗜️  Fewer files: )(.+)$"
    query, listed, compacted = re.findall(marks, job.output(), re.MULTILINE)
    assert "finished" in in_a_shell(query, tmp_path)
    assert letters[0].reason in in_a_shell(listed, tmp_path)
    assert "matches: " in in_a_shell(compacted, tmp_path)


@pytest.fixture
def arena(tmp_path: Path, topics: Topics) -> Arena:
    """An empty one, for processes."""
    return Arena(tmp_path, topics)


@pytest.fixture
def job(arena: Arena) -> Iterator[Job]:
    """The processes of the arena."""
    made = Job(arena.folder, environment_of(arena.settings))
    made.environment["ESPORTS_INTERVAL_SECONDS"] = "1"
    yield made
    made.end()


def test_sigterm_ends_the_stream_in_good_order(arena: Arena, job: Job) -> None:
    """The running batch is finished, the summary printed, exit code 0; nothing is done again afterwards."""
    arena.topics.send(arena.topics.matches, [match(number) for number in range(20)])
    process = job.start(*_STREAM)
    wait_for(lambda: "Batch 0: Processed 20 records" in job.output(), "the first batch", process)
    assert job.stop(process) == 0, job.output()
    assert "BATCH PROCESSING SESSION SUMMARY" in job.output()
    assert "Traceback" not in job.output()
    assert job.run(*_STREAM, "--once") == 0, job.output()
    assert len(arena.ids("matches")) == 20
    arena.assert_accounted(20)
