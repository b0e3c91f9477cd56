"""Simulated people, computed by the real pipeline on an embedded store; some of them change all the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from dashboard.background import Simulation
from dashboard.page import Room
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.demo.run import demo_settings, populate
from pipelines.health.job import open_pipeline
from pipelines.health.pipeline import HEALTH
from settings import Settings

_DAYS: Final = 150
_PAUSE_SECONDS: Final = 4.0
_CHANGES_A_BATCH: Final = 3


def live(folder: Path, pages: Callable[[Settings], Room]) -> Room:
    """The `pages` of people whom the simulation computes once, and then again as they change."""
    settings, stop = demo_settings(folder), StopFlag()

    def simulate(tell: Callable[[str], None], show: Callable[[], None]) -> None:
        tell(f"People of {_DAYS} days are invented, and Spark starts.")
        population, _ = populate(settings, _DAYS)
        with open_pipeline(settings, False) as job:
            tell("The first batch computes everybody.")
            job.once(stop)
            show()
            while not stop.wait(_PAUSE_SECONDS):
                for _ in range(_CHANGES_A_BATCH):
                    population.live_change(job.source, datetime.now(timezone.utc))
                job.once(stop)

    return replace(pages(settings), simulation=Simulation(simulate, stop.set), rig=HEALTH.no_rig)
