"""The demo: the real stream on the embedded store, with simulated users and live changes."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console

from contracts.health import PHONE_SOURCES, SOURCE_COLLECTION
from monitoring import logs
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.demo.console import print_anomalies, print_worked_example
from pipelines.health.demo.report import write_report
from pipelines.health.job import HealthPipeline, open_pipeline
from settings import Settings, load
from simulation.health.population import PATTERN_USER_ID, Population, worked_example
from sources.mongo_client import connect

_FOLDER = Path("demo")
_USERS = 14
_DAYS = 100
_LIVE_SECONDS = 25.0
_CHANGE_EVERY_SECONDS = 0.8


def run_demo(keep_running: bool, console: Console) -> None:
    """Fill an embedded store, run the stream while users change, show what it found, write the report."""
    settings = _settings()
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    client = connect(settings.mongo_uri.get_secret_value())
    source = client[settings.mongo_db_name][SOURCE_COLLECTION]
    now = datetime.now(timezone.utc)
    population = Population(seed=7, users=_USERS, days=_DAYS, today=now.date())
    console.print(
        f"🧪 Simulating {_USERS} users over {_DAYS} days, and the pattern user of the worked example"
    )
    population.backfill(source, now)
    source.insert_many(worked_example(PATTERN_USER_ID, now.date()))
    with open_pipeline(settings, True) as job:
        stop = StopFlag()
        with stop.on_signals():
            live = threading.Thread(target=_live, args=(population, source, stop, keep_running), daemon=True)
            live.start()
            job.stream(stop)
            live.join()
            # What arrived after the last trigger is still worked off, so that the figures are complete.
            job.once(StopFlag())
        _show(job, console)


def _settings() -> Settings:
    return load(
        env_file=None,
        mongo_uri=f"mongomock://demo-{time.time_ns()}",
        mongo_db_name="demo",
        phone_sources=",".join(PHONE_SOURCES),
        batch_interval_seconds=3.0,
        checkpoint_location=_FOLDER / "checkpoints" / str(time.time_ns()),
        dlq_directory=_FOLDER / "dlq",
        log_directory=_FOLDER / "logs",
        metrics_directory=_FOLDER / "metrics",
        default_lookback_days=3650,
        # The backend must not hear of simulated users, and the port may be a real job's.
        service_token="",
        health_port=0,
    )


def _live(population: Population, source: Any, stop: StopFlag, keep_running: bool) -> None:
    ends = time.monotonic() + _LIVE_SECONDS
    while not stop() and (keep_running or time.monotonic() < ends):
        population.live_change(source, datetime.now(timezone.utc))
        time.sleep(_CHANGE_EVERY_SECONDS)
    stop.set()


def _show(job: HealthPipeline, console: Console) -> None:
    documents = list(job.target.find())
    print_worked_example([d for d in documents if d["userId"] == PATTERN_USER_ID], console)
    print_anomalies(documents, console)
    job.finish(console.print)
    summary = {
        "users": len({document["userId"] for document in documents}),
        "documents": len(documents),
        "batches": job.reporting.history.recent(),
    }
    path = write_report(_FOLDER / "report.html", documents, summary, PATTERN_USER_ID)
    console.print(f"📊 Charts: {path} (open it in a browser; it works offline)")
