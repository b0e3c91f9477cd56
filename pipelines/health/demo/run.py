"""The demo: the real stream on the embedded store, with simulated users and live changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from pymongo.collection import Collection
from rich.console import Console

from contracts import effects
from contracts.health import PHONE_SOURCES, SOURCE_COLLECTION
from contracts.health_metrics import METRICS
from monitoring import logs
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.demo.console import print_events, print_worked_example
from pipelines.health.demo.report import write_report
from pipelines.health.job import HealthPipeline, open_pipeline
from pipelines.health.worked_example import applies
from settings import Settings, load
from simulation.health.population import BAD_VALUES, PATTERN_USER_ID, Population, worked_example
from sources.mongo_client import connect
from told import told

_FOLDER = Path("demo")
_USERS = 14
_DAYS = 100
_LIVE_SECONDS = 25.0
_CHANGE_EVERY_SECONDS = 0.8
_LOOK_SECONDS = 0.2


def run_demo(keep_running: bool, console: Console, stop: StopFlag) -> None:
    """Fill an embedded store, run the stream while users change, show what it found, write the report."""
    settings = demo_settings(_FOLDER)
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    console.print(
        f"🧪 Simulating {_USERS} users over {_DAYS} days, and the pattern user of the worked example"
    )
    console.print(
        f"🧫 Planted faults: {len(BAD_VALUES)} days whose steps cannot be, such as {BAD_VALUES[0]!r}, and "
        "documents of a source that does not count; their batches say so"
    )
    population, source = populate(settings, _DAYS)
    with open_pipeline(settings, True) as job:
        with stop.on_signals():
            change = partial(population.live_change, source)
            first = job.reporting.history.newest
            live = threading.Thread(
                target=live_changes, args=(change, stop, keep_running, first), daemon=True
            )
            live.start()
            job.stream(stop)
            live.join()
            # What arrived after the last trigger is still worked off, so that the figures are complete.
            job.once(StopFlag())
        _show(job, settings, console)


def demo_settings(folder: Path) -> Settings:
    """Settings of a pipeline on an embedded store of its own, with its files in `folder`."""
    return load(
        env_file=None,
        mongo_uri=f"mongomock://demo-{time.time_ns()}",
        dashboard_mongo_uri=None,
        mongo_db_name="demo",
        phone_sources=",".join(PHONE_SOURCES),
        batch_interval_seconds=3.0,
        checkpoint_location=folder / "checkpoints" / str(time.time_ns()),
        dlq_directory=folder / "dlq",
        log_directory=folder / "logs",
        metrics_directory=folder / "metrics",
        default_lookback_days=3650,
        # The backend must not hear of simulated users, and the port may be a real job's.
        service_token="",
        notify_webhook_url="",
        notify_backend=False,
        health_port=0,
        # Nobody is to hear of invented data.
        openlineage_url="",
        otlp_endpoint="",
    )


def populate(settings: Settings, days: int) -> tuple[Population, Collection[dict[str, Any]]]:
    """Simulate people over `days`; they and the pattern user of the worked example are in the collection."""
    source = connect(settings.mongo_uri.get_secret_value())[settings.mongo_db_name][SOURCE_COLLECTION]
    now = datetime.now(timezone.utc)
    source.create_index([("userId", 1), ("date", 1)])
    population = Population(seed=7, users=_USERS, days=days, today=now.date())
    population.backfill(source, now)
    source.insert_many(worked_example(PATTERN_USER_ID, now.date()))
    return population, source


def live_changes(
    change: Callable[[datetime], object],
    stop: StopFlag,
    keep_running: bool,
    first_result: Callable[[], object | None],
    seconds: float = _LIVE_SECONDS,
) -> None:
    """From the first result on call `change` again and again, for `seconds` or until `stop`; then stop."""
    while not first_result() and not stop():
        stop.wait(_LOOK_SECONDS)
    ends = time.monotonic() + seconds
    while not stop() and (keep_running or time.monotonic() < ends):
        change(datetime.now(timezone.utc))
        stop.wait(_CHANGE_EVERY_SECONDS)
    stop.set()


def _show(job: HealthPipeline, settings: Settings, console: Console) -> None:
    documents = list(job.target.find())
    if applies():
        print_worked_example([d for d in documents if d["userId"] == PATTERN_USER_ID], console)
    least = effects.parse(settings.least_effects, METRICS)
    print_events(documents, console, least)
    job.reporting.listed_by = ""
    job.finish(console.print)
    summary = {
        "users": len({document["userId"] for document in documents}),
        "documents": len(documents),
        "batches": job.reporting.history.recent(),
    }
    path = write_report(_FOLDER / "report.html", documents, summary, PATTERN_USER_ID, least)
    # Whose letters they are tells the database and its address.
    uri, name = settings.mongo_uri.get_secret_value(), settings.mongo_db_name
    letters = told("dlq list", DLQ_DIRECTORY=settings.dlq_directory, MONGO_URI=uri, MONGO_DB_NAME=name)
    console.print(f"📬 Dead letters: {letters}")
    console.print(f"📊 Charts: {path} (open it in a browser; it works offline)")
