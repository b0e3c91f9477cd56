"""The demo: a simulated season as files of JSON lines, through the same steps as Kafka's records."""

from __future__ import annotations

import json
import random
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from rich.console import Console

from analytics.esports.rules import DATASETS
from durable import write_atomically
from monitoring import logs
from monitoring.session_summary import SessionTotals
from pipelines.engine.counted import Counted
from pipelines.engine.file_input import FileInput
from pipelines.engine.report import demo_report
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.esports.job import assemble, locked
from pipelines.esports.pipeline import ESPORTS
from session import spark_session
from settings import Settings, load
from simulation.esports.messages import MATCHES
from simulation.esports.season import WAYS_TO_FAIL, Season
from simulation.json_files import write_files
from simulation.program import Message
from told import install, told

_LIVE_SECONDS = 20.0
_TICK_SECONDS = 0.5
_MINUTES_A_TICK = 3
_MALFORMED = 0.02
# On a slow machine the last batches take their time.
_WAIT_SECONDS = 120.0


def run_demo(keep_running: bool, console: Console, stop: StopFlag) -> None:
    """Play a season for some time, or until Ctrl+C with `keep_running`; then show what came of it."""
    logs.configure("INFO")
    folder = Path("demo") / f"esports-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
    settings = demo_settings(folder)
    feeder = Feeder(feed_of(settings))
    with open_demo(settings) as job:
        with stop.on_signals():
            console.print(f"🎮 {MATCHES} simulated matches at a time")
            console.print(
                f"🧫 Planted faults: {_MALFORMED:.0%} of the messages are malformed; their batches say so"
            )
            thread = threading.Thread(
                target=_feed, args=(feeder, job, stop, keep_running, console), daemon=True
            )
            thread.start()
            job.stream(stop)
            thread.join()
        _show(job, feeder.records, folder, settings, console)


@contextmanager
def open_demo(settings: Settings) -> Iterator[StreamJob]:
    """The job of `settings`, made by `demo_settings`, which reads what is written into `feed_of` them."""
    feed = feed_of(settings)
    with locked(settings, DATASETS), spark_session(settings.spark, True) as spark:
        yield assemble(settings, spark, lambda topic, *_: FileInput(spark, feed, [topic]))


def feed_of(settings: Settings) -> Path:
    """The folder of the files that stand in for Kafka."""
    return settings.checkpoint_location.with_name("feed")


def _feed(feeder: Feeder, job: StreamJob, stop: StopFlag, keep_running: bool, console: Console) -> None:
    """Everything that arrives while the stream runs; ends it once all of that is worked off."""
    feeder.run(stop, float("inf") if keep_running else _LIVE_SECONDS)
    _wait(feeder, job, stop)
    if not stop():
        console.print("🔁 The first file of each topic comes once more, with the same offsets")
        feeder.repeat()
        _wait(feeder, job, stop)
    stop.set()


def _wait(feeder: Feeder, job: StreamJob, stop: StopFlag) -> None:
    ends = time.monotonic() + _WAIT_SECONDS
    while not stop() and time.monotonic() < ends and job.reporting.history.totals().records < feeder.records:
        stop.wait(_TICK_SECONDS)


class Feeder(Counted):
    """Another program that tells of a season in files below `folder`, and knows which of them are bad.

    `good` is how many messages it wrote that count, `again` how many once more, with the same offsets, `bad`
    how many that cannot be used. While it `is_paused` it writes nothing by itself.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        now = datetime.now(timezone.utc)
        # As much season as the demo plays, and some more, lies before now.
        self._now = now - timedelta(days=1)
        self._season = Season(7, MATCHES, self._now)
        self._random = random.Random(7)
        self._offsets: dict[str, int] = {dataset.name: 0 for dataset in DATASETS}
        self._first: list[Path] = []
        self._samples: list[Message] = []
        self._repeats = 0
        self._turn = threading.Lock()
        for topic in self._offsets:
            (folder / topic).mkdir(parents=True)

    def run(self, stop: StopFlag, seconds: float) -> None:
        """Tell of some minutes of the season again and again, for `seconds` or until `stop`."""
        ends = time.monotonic() + seconds
        while not stop() and time.monotonic() < ends:
            if not self.is_paused:
                self._advance()
            stop.wait(_TICK_SECONDS)

    def send_garbage(self) -> None:
        """Write messages that cannot be used, of each kind and topic."""
        with self._turn:
            spoilt = [_spoilt(message, way) for message in self._samples for way in WAYS_TO_FAIL]
            self._write(spoilt, bad=len(spoilt))

    def repeat(self) -> None:
        """Deliver the first file of each topic again, with the same offsets."""
        with self._turn:
            self._repeats += 1
            for first in self._first:
                content = first.read_bytes()
                self.again += content.count(b"\n")
                again = first.with_name(f"again{self._repeats}_{first.name}")
                write_atomically(again, content, durable=False)

    def _advance(self) -> None:
        with self._turn:
            messages, bad = list(self._season.advance(self._now)), 0
            for place, message in enumerate(messages):
                if self._random.random() < _MALFORMED:
                    messages[place] = _spoilt(message, self._random.choice(WAYS_TO_FAIL))
                    bad += 1
                elif message.topic not in {sample.topic for sample in self._samples}:
                    self._samples.append(message)
            paths = self._write(messages, bad)
            known = {path.parent for path in self._first}
            self._first += [path for path in paths if path.parent not in known]
            self._now = min(self._now + timedelta(minutes=_MINUTES_A_TICK), datetime.now(timezone.utc))

    def _write(self, messages: Sequence[Message], bad: int) -> list[Path]:
        # Before they can be read, or more would be found than was sent.
        self.good, self.bad = self.good + len(messages) - bad, self.bad + bad
        return write_files(self.folder, self._offsets, messages, self._now)


def _spoilt(message: Message, way: Callable[[dict[str, Any]], bytes]) -> Message:
    return message._replace(value=way(json.loads(message.value)))


def demo_settings(folder: Path) -> Settings:
    """Everything in `folder`."""
    return load(
        env_file=None,
        kafka_topic_matches="matches",
        kafka_topic_players="players",
        esports_output_path=folder / "processed",
        esports_interval_seconds=3.0,
        checkpoint_location=folder / "checkpoints",
        dlq_directory=folder / "dlq",
        log_directory=folder / "logs",
        metrics_directory=folder / "metrics",
        # The port may be a real job's.
        health_port=0,
        # Nobody is to hear of invented data.
        openlineage_url="",
        otlp_endpoint="",
    )


def _show(job: StreamJob, written: int, folder: Path, settings: Settings, console: Console) -> None:
    job.reporting.listed_by = ""
    job.finish(console.print)
    totals = job.reporting.history.totals()
    for line in _lines(totals, written, folder):
        console.print(line)
    console.print(demo_report(folder, ESPORTS, ESPORTS.open_letters(settings)))


def _lines(totals: SessionTotals, written: int, folder: Path) -> Iterator[str]:
    parts = totals.written + totals.corrupt + totals.rejected + totals.skipped
    mark = "✅" if totals.records == parts else "❌"
    yield (
        f"{mark} {totals.records:,} records came = {totals.written:,} good + {totals.corrupt:,} corrupt + "
        f"{totals.rejected:,} rejected + {totals.skipped:,} duplicates"
    )
    if written > totals.records:
        yield f"⏳ {written - totals.records:,} more were told, and not read when it was stopped"
    output = folder / "processed"
    yield f"📦 Parquet: {output}"
    query = (
        "SELECT status, count(DISTINCT match_id) AS matches, count(*) AS messages "
        f"FROM read_parquet('{output}/matches/**/*.parquet', hive_partitioning=true) GROUP BY ALL"
    )
    python = shlex.quote(sys.executable)
    yield f"🔎 Look at it ({install('dashboard')} installs duckdb):"
    yield f"""   {python} -c "import duckdb; print(duckdb.sql(\\"{query}\\"))" """.rstrip()
    # Whose letters they are tells the folder of the datasets.
    listed = told("esports dlq list", DLQ_DIRECTORY=folder / "dlq", ESPORTS_OUTPUT_PATH=output)
    yield f"📬 Dead letters: {listed}"
    yield f"🗜️  Fewer files: {told('esports compact', ESPORTS_OUTPUT_PATH=output)}"
    page = told("dashboard", ESPORTS_OUTPUT_PATH=output)
    yield f"📊 The page: {page}, then http://127.0.0.1:8501/matches"
