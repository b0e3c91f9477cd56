"""The demos: a real pipeline on an embedded store, fed with simulated data for as long as the app runs."""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path

from monitoring import logs
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.demo.run import demo_settings, populate
from pipelines.health.job import open_pipeline
from pipelines.stock import demo as stock
from settings import Settings
from simulation.health.population import Population

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
    settings = demo_settings(Path(folder.name))
    logs.configure("WARNING")
    population, _ = populate(settings, _DAYS)
    first: Future[None] = Future()
    threading.Thread(target=_live, args=(settings, population, first, folder), daemon=True).start()
    first.result()
    return settings


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
