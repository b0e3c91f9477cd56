"""Simulated people, computed by the real pipeline on an embedded store; some of them change all the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from pipelines.engine.stop_flag import StopFlag
from pipelines.health.demo.run import demo_settings, populate
from pipelines.health.job import open_pipeline
from settings import Settings

_DAYS: Final = 150
_PAUSE_SECONDS: Final = 4.0
_CHANGES_A_BATCH: Final = 3


def live(folder: Path, show: Callable[[Settings], None]) -> None:
    """Compute all users once, `show` them, then go on."""
    settings = demo_settings(folder)
    population, _ = populate(settings, _DAYS)
    with open_pipeline(settings, False) as job:
        job.once(StopFlag())
        show(settings)
        while True:
            for _ in range(_CHANGES_A_BATCH):
                population.live_change(job.source, datetime.now(timezone.utc))
            job.once(StopFlag())
            time.sleep(_PAUSE_SECONDS)
