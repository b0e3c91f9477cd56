"""The demos: a real pipeline on an embedded store, fed with simulated data for as long as the app runs."""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path

from contracts.health import PHONE_SOURCES, SOURCE_COLLECTION
from monitoring import logs
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import open_pipeline
from pipelines.stock import demo as stock
from settings import Settings, load
from simulation.health.population import PATTERN_USER_ID, Population, worked_example
from sources.mongo_client import connect

_USERS = 14
_DAYS = 150
_PAUSE_SECONDS = 4.0
_CHANGES_A_BATCH = 3


def start_stock_demo() -> Settings:
    """Let a shop trade in the background; the settings lead to what the pipeline makes of it.

    Raises what the start raised, such as ConfigurationError without a usable Java.
    """
    folder = tempfile.TemporaryDirectory(prefix="stock-demo-")
    logs.configure("WARNING")
    opened: Future[Settings] = Future()
    threading.Thread(target=_trade, args=(opened, folder), daemon=True).start()
    return opened.result()


def _trade(opened: Future[Settings], folder: tempfile.TemporaryDirectory[str]) -> None:
    try:
        settings = stock.demo_settings(Path(folder.name))
        with stock.open_demo(settings) as (job, trader, _database):
            stop = StopFlag()
            threading.Thread(target=trader.trade, args=(stop, True), daemon=True).start()
            opened.set_result(settings)
            job.stream(stop)
    except Exception as error:
        if opened.done():
            raise
        opened.set_exception(error)


def start_health_demo() -> Settings:
    """Compute all users once, then go on in the background; the settings lead to the results.

    Raises what the first pass raised, such as ConfigurationError without a usable Java.
    """
    # The thread holds the folder, so that it lives as long as the process.
    folder = tempfile.TemporaryDirectory(prefix="health-demo-")
    settings = _settings(Path(folder.name))
    logs.configure("WARNING")
    source = connect(settings.mongo_uri.get_secret_value())[settings.mongo_db_name][SOURCE_COLLECTION]
    now = datetime.now(timezone.utc)
    population = Population(seed=7, users=_USERS, days=_DAYS, today=now.date())
    population.backfill(source, now)
    source.insert_many(worked_example(PATTERN_USER_ID, now.date()))
    first: Future[None] = Future()
    threading.Thread(target=_live, args=(settings, population, first, folder), daemon=True).start()
    first.result()
    return settings


def _settings(folder: Path) -> Settings:
    return load(
        env_file=None,
        mongo_uri=f"mongomock://demo-{time.time_ns()}",
        dashboard_mongo_uri=None,
        mongo_db_name="demo",
        phone_sources=",".join(PHONE_SOURCES),
        checkpoint_location=folder / "checkpoints",
        dlq_directory=folder / "dlq",
        log_directory=folder / "logs",
        metrics_directory=folder / "metrics",
        default_lookback_days=3650,
    )


def _live(settings: Settings, population: Population, first: Future[None], _folder: object) -> None:
    try:
        with open_pipeline(settings, False) as job:
            job.once(StopFlag())
            first.set_result(None)
            while True:
                for _ in range(_CHANGES_A_BATCH):
                    population.live_change(job.source, datetime.now(timezone.utc))
                job.once(StopFlag())
                time.sleep(_PAUSE_SECONDS)
    except Exception as error:
        if first.done():
            raise
        first.set_exception(error)
