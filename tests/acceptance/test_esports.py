"""`main.py --pipeline esports` as a process: killed after any step, nothing is lost or doubled."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.dataset as ds

from sinks.dead_letters import DeadLetters
from tests.acceptance.job import TIMEOUT_SECONDS, run_main, start_main, wait_for
from tests.support.arena import Arena, Topics, match

_EACH = 60


def test_the_demo_shows_the_real_steps_and_ends_by_itself(tmp_path: Path) -> None:
    """Without Kafka: every message told is accounted for, and what the demo says to type works."""
    demo = run_main(tmp_path, "--pipeline", "esports", "--demo", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "Traceback" not in demo.stdout + demo.stderr
    told = re.search(
        r"✅ ([\d,]+) records came = ([\d,]+) good \+ ([\d,]+) corrupt \+ ([\d,]+) rejected "
        r"\+ ([\d,]+) duplicates",
        demo.stdout,
    )
    assert told, demo.stdout
    assert "not read" not in demo.stdout
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
    typed = re.search(r"[.]venv/bin/(python -c .*)", demo.stdout)
    assert typed
    shell = f"{Path(sys.executable).parent}/{typed[1]}"
    shown = subprocess.run(["sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "finished" in shown.stdout


def _run(arena: Arena, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**arena.environment(), **environment}
    return run_main(arena.folder, "--pipeline", "esports", *arguments, **given)


def test_kill_9_after_every_step_loses_and_doubles_nothing(tmp_path: Path, topics: Topics) -> None:
    """One step after the other, while somebody reads with pyarrow: whole batches, each record once."""
    arena = Arena(tmp_path, topics)
    broken: list[str] = []
    done = threading.Event()

    def read() -> None:
        folder = arena.settings.esports_output_path / "matches"
        while not done.wait(0.05):
            if not folder.exists():
                continue
            found = ds.dataset(folder.resolve(), partitioning="hive", format="parquet")
            if not found.files:
                continue
            counts = found.to_table().group_by("batch").aggregate([([], "count_all")]).to_pylist()
            broken.extend(str(one) for one in counts if one["count_all"] != _EACH)

    reader = threading.Thread(target=read)
    reader.start()
    # The first step strikes in the first batch of an empty dataset, the others in later ones.
    steps = random.sample(("stage", "dead_letters", "sync", "commit", "report"), 5)
    print(steps)
    try:
        for turn, step in enumerate(steps):
            # What the killed run leaves is done by the next one, which is killed in the batch after that. One
            # that was committed has only its report left.
            was_committed = turn > 0 and steps[turn - 1] in ("commit", "report")
            reached = 1 if turn == 0 or (was_committed and step != "report") else 2
            _send(topics, turn)
            killed = _run(arena, "--job", "matches", "--once", FAULT=f"{step}:kill:{reached}")
            assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
        last = _run(arena, "--job", "matches", "--once")
    finally:
        done.set()
        reader.join()
    assert last.returncode == 0, last.stdout + last.stderr
    assert arena.ids("matches") == sorted(f"M{number}" for number in range(_EACH * len(steps)))
    assert broken == []
    assert len(arena.dead_records()) == len(steps)
    leftover = list((arena.settings.esports_output_path / ".staging").rglob("*.parquet"))
    assert leftover == []


def _send(topics: Topics, turn: int) -> None:
    first = _EACH * turn
    topics.send(topics.matches, [*[match(first + number) for number in range(_EACH)], "{"])


def test_sigterm_ends_the_stream_in_good_order(tmp_path: Path, topics: Topics) -> None:
    """The running batch is finished, the summary printed, exit code 0; nothing is done again afterwards."""
    arena = Arena(tmp_path, topics)
    topics.send(topics.matches, [match(number) for number in range(20)])
    process, told = (
        start_main(arena.folder, "--pipeline", "esports", **arena.environment()),
        tmp_path / "output.txt",
    )
    wait_for(lambda: "Batch 0: Processed 20 records" in told.read_text(), "the first batch", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_SECONDS) == 0, told.read_text()
    assert "BATCH PROCESSING SESSION SUMMARY" in told.read_text()
    assert "Traceback" not in told.read_text()
    again = _run(arena, "--once")
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(arena.ids("matches")) == 20
    arena.assert_accounted(20)


def test_an_address_without_a_broker_ends_the_start_with_one_line(tmp_path: Path, topics: Topics) -> None:
    """Exit code 2, the address in it, no stack trace."""
    arena = Arena(tmp_path, topics)
    run = _run(arena, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", KAFKA_WAIT_SECONDS="2")
    assert run.returncode == 2, run.stdout + run.stderr
    assert "No Kafka broker answered at 127.0.0.1:1 within 2 seconds" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert "Exception" not in run.stdout + run.stderr
