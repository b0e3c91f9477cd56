"""A simulated season that goes on while its pages are open, through the real pipeline, from files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from dashboard.background import Simulation
from dashboard.page import Room
from pipelines.engine.stop_flag import StopFlag
from pipelines.esports.demo import Feeder, demo_settings, feed_of, open_demo
from pipelines.esports.pipeline import ESPORTS
from settings import Settings

# At three minutes of the season each half second.
_HEAD_START_SECONDS: Final = 5.0


def play(folder: Path, pages: Callable[[Settings], Room]) -> Room:
    """The `pages` of a season that has begun when its first batch is shown, and goes on."""
    settings, stop = demo_settings(folder), StopFlag()
    feeder = Feeder(feed_of(settings))
    rig = ESPORTS.rig_of(settings, feeder)

    def simulate(tell: Callable[[str], None], show: Callable[[], None]) -> None:
        tell("The season begins, and Spark starts.")
        with open_demo(settings) as job:
            feeder.run(stop, _HEAD_START_SECONDS)
            tell("The first batch is written.")
            job.once(stop)
            show()
            threading.Thread(target=feeder.run, args=(stop, float("inf")), daemon=True).start()
            rig.stream(job, stop)
        rig.supervise(stop)

    return replace(pages(settings), simulation=Simulation(simulate, stop.set), rig=rig)
