"""The demo: a simulated season as files of JSON lines, through the same steps as Kafka's records."""

from __future__ import annotations

import shlex
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from rich.console import Console

from analytics.esports.rules import DATASETS
from durable import write_atomically
from monitoring import logs
from monitoring.session_summary import SessionTotals
from pipelines.engine.file_input import FileInput
from pipelines.engine.report import demo_report
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.esports.job import assemble, locked
from pipelines.esports.pipeline import ESPORTS
from session import spark_session
from settings import Settings, load
from simulation.esports.messages import MATCHES
from simulation.esports.season import Season
from simulation.json_files import write_files
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
    with open_demo(settings, folder) as (job, feeder):
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
def open_demo(settings: Settings, folder: Path) -> Iterator[tuple[StreamJob, Feeder]]:
    """The job of `settings`, made by `demo_settings`, and the feeder of what it reads, in `folder`."""
    feeder = Feeder(folder / "feed")
    with locked(settings, DATASETS), spark_session(settings.spark, True) as spark:
        yield assemble(settings, spark, lambda topic, *_: FileInput(spark, feeder.folder, [topic])), feeder


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


class Feeder:
    """Another program that tells of a season in files; `records` is how many it wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = 0
        now = datetime.now(timezone.utc)
        # As much season as the demo plays, and some more, lies before now.
        self._now = now - timedelta(days=1)
        self._season = Season(7, MATCHES, self._now, _MALFORMED)
        self._offsets: dict[str, int] = {dataset.name: 0 for dataset in DATASETS}
        for topic in self._offsets:
            (folder / topic).mkdir(parents=True)

    def run(self, stop: StopFlag, seconds: float) -> None:
        """Tell of some minutes of the season again and again, for `seconds` or until `stop`."""
        ends = time.monotonic() + seconds
        while not stop() and time.monotonic() < ends:
            write_files(self.folder, self._offsets, self._season.advance(self._now), self._now)
            self._now = min(self._now + timedelta(minutes=_MINUTES_A_TICK), datetime.now(timezone.utc))
            stop.wait(_TICK_SECONDS)
        self.records = sum(self._offsets.values())

    def repeat(self) -> None:
        """Deliver the first file of each topic again."""
        for topic in self._offsets:
            first = min((self.folder / topic).glob("*.jsonl"))
            content = first.read_bytes()
            write_atomically(first.with_name(f"again_{first.name}"), content, durable=False)
            self.records += content.count(b"\n")


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
