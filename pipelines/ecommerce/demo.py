"""The demo: the real stream and generator on a PostgreSQL of its own, with duplicates and faulty records."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from contracts.ecommerce import EVENT_COLUMNS
from durable import write_atomically
from monitoring import logs
from pipelines.ecommerce.figures import load_figures, shown_figures
from pipelines.ecommerce.job import open_job
from pipelines.ecommerce.local_server import local_server
from pipelines.ecommerce.pipeline import ECOMMERCE
from pipelines.engine.counted import Counted
from pipelines.engine.pipeline import ALL_PARTS
from pipelines.engine.report import demo_report
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from settings import Settings, load
from simulation.ecommerce.events import EventGenerator, write_file
from told import told

_LIVE_SECONDS = 30.0
_INTERVAL_SECONDS = 3.0
_FILE_EVERY_SECONDS = 1.0
_EVENTS_A_FILE, _DUPLICATES_A_FILE = 200, 10
# What other programs get wrong, each refused by a rule of its own.
_FAULTS = (
    {"event_type": "click"},
    {"event_type": "purchase", "price": "-50.00"},
    {"event_timestamp": "2099-01-01T00:00:00Z"},
    {"event_id": "not-a-uuid"},
    {"user_id": ""},
)
# A line that was cut off, and a file whose columns are in another order.
_CUT_LINE = '0b1e6f6c-2f0e-4a7b-9b7e-8d7e3f1a2b3c,USER_000001,"PROD_0000'
_SWAPPED = ",".join(reversed(EVENT_COLUMNS))
_WHOLE_RUN = timedelta(days=1)


def run_demo(keep_running: bool, console: Console, stop: StopFlag) -> None:
    """Feed the stream for half a minute, or until Ctrl+C with `keep_running`; then show its figures.

    Raises ConfigurationError with the remedy when no PostgreSQL can be had.
    """
    logs.configure("INFO")
    console.print("🐘 Starting a PostgreSQL for the demo alone (installed first where it is missing)")
    with local_server() as server:
        folder = Path("demo") / f"ecommerce-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
        settings = demo_settings(server.dsn, folder)
        feeder = Feeder(settings.ecommerce_input_path)
        with open_job(settings, True, ALL_PARTS) as job:
            with stop.on_signals():
                console.print(f"🐘 {server.dsn}")
                console.print(
                    f"📊 The page, while this runs: {told('dashboard', POSTGRES_DSN=server.dsn)}, "
                    "then http://127.0.0.1:8501/shop",
                )
                console.print(f"🛒 Every second a file of {_EVENTS_A_FILE} events")
                console.print(
                    f"🧫 Planted faults, in each file: {_DUPLICATES_A_FILE} duplicates and a faulty record, "
                    "in some a cut line; their batches say so"
                )
                seconds = None if keep_running else _LIVE_SECONDS
                thread = threading.Thread(target=feeder.run, args=(stop, seconds), daemon=True)
                thread.start()
                job.stream(stop)
                thread.join()
                # What arrived after the last trigger is still worked off, so that the figures are complete.
                job.once(StopFlag())
            _show(job, settings, feeder.records, folder, console)


class Feeder(Counted):
    """Another program that writes files into `folder`.

    `good` is how many different good events it wrote, `again` how many once more, `bad` how many that break a
    rule. While it `is_paused` it writes nothing by itself.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._generator = EventGenerator(seed=7)
        self._random = random.Random(7)
        self._earlier: list[dict[str, str]] = []
        self._number = 0
        self._turn = threading.Lock()

    def run(self, stop: StopFlag, seconds: float | None) -> None:
        """Write a file each second, for `seconds` or until `stop`, which is set at the end."""
        ends = time.monotonic() + (seconds or float("inf"))
        while not stop() and time.monotonic() < ends:
            if not self.is_paused:
                with self._turn:
                    self._number += 1
                    self._write(self._number)
            stop.wait(_FILE_EVERY_SECONDS)
        stop.set()

    def send_late(self) -> None:
        """Write events of an hour ago, which nobody has seen."""
        with self._turn:
            then = datetime.now(timezone.utc) - timedelta(hours=1)
            self.good += _EVENTS_A_FILE
            self._file(list(self._generator.events(_EVENTS_A_FILE, then)))

    def send_again(self) -> None:
        """Write the whole last file once more, under another name."""
        with self._turn:
            self.again += len(self._earlier)
            self._file(self._earlier)

    def send_garbage(self) -> None:
        """Write a file of records each of which breaks a rule."""
        with self._turn:
            now = datetime.now(timezone.utc)
            rows = [{**self._generator.event(now), **fault} for fault in _FAULTS * 10]
            self.bad += len(rows)
            self._file(rows)

    def _file(self, rows: list[dict[str, str]]) -> None:
        self._number += 1
        write_file(self._folder, self._number, iter(rows), datetime.now(timezone.utc))

    def _write(self, number: int) -> None:
        now = datetime.now(timezone.utc)
        fresh = list(self._generator.events(_EVENTS_A_FILE, now))
        again = self._earlier[:_DUPLICATES_A_FILE]
        faulty = {**self._generator.event(now), **_FAULTS[number % len(_FAULTS)]}
        rows = [*fresh, *again, faulty]
        self._random.shuffle(rows)
        # Before they can be read, or more would be found than was sent.
        self.good, self.again, self.bad = self.good + len(fresh), self.again + len(again), self.bad + 1
        write_file(self._folder, number, iter(rows), now)
        self._earlier = fresh
        if number % 5 == 0:
            self._write_garbage(number, fresh[0])

    def _write_garbage(self, number: int, event: dict[str, str]) -> None:
        """A record that is cut off; or one below a wrong header."""
        header, line = ",".join(EVENT_COLUMNS), _CUT_LINE
        if number % 10 == 0:
            header, line = _SWAPPED, ",".join(event[name] for name in reversed(EVENT_COLUMNS))
        path = self._folder / f"partner_{number:06d}.csv"
        self.bad += 1
        write_atomically(path, f"{header}\n{line}\n".encode(), durable=False)


def demo_settings(dsn: str, folder: Path) -> Settings:
    """Everything but the tables in `folder`; the server of `dsn` has those."""
    return load(
        env_file=None,
        postgres_dsn=dsn,
        ecommerce_input_path=folder / "incoming",
        ecommerce_interval_seconds=_INTERVAL_SECONDS,
        # A busy machine has to catch up with a file a second.
        ecommerce_max_files_per_trigger=20,
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


def _show(job: StreamJob, settings: Settings, written: int, folder: Path, console: Console) -> None:
    job.reporting.listed_by = ""
    job.finish(console.print)
    figures = load_figures(settings, _WHOLE_RUN)
    table = Table("figure", Column("of the whole run", overflow="fold"), title="🛒 E-commerce")
    for name, value in shown_figures(figures).items():
        table.add_row(name, value)
    console.print(table)
    for line in _lines(written, figures.records_in, folder / "dlq", settings):
        console.print(line)
    console.print(demo_report(folder, ECOMMERCE, ECOMMERCE.open_letters(settings)))


def _lines(written: int, records_in: int, letters: Path, settings: Settings) -> Iterator[str]:
    same = written == records_in
    yield f"{'✅' if same else '❌'} {written:,} records were written into files, {records_in:,} came in"
    yield "⏱️  The generator dates events up to 60 seconds back: half a minute of the latency is its own."
    yield f"📬 Dead letters, each with file, line, rule and text: {letters}"
    # Whose letters they are tells the server's address; it need not run.
    whose = settings.postgres_dsn.get_secret_value()
    yield f"   {told('ecommerce dlq list', DLQ_DIRECTORY=letters, POSTGRES_DSN=whose)}"
