"""A simulated season that goes on while its pages are open, through the real pipeline, from files."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pipelines.engine.stop_flag import StopFlag
from pipelines.esports.demo import demo_settings, open_demo
from settings import Settings

# At three minutes of the season each half second.
_HEAD_START_SECONDS: Final = 5.0


def play(folder: Path, show: Callable[[Settings], None]) -> None:
    """Let the season begin, `show` its first batch, then go on."""
    settings, stop = demo_settings(folder), StopFlag()
    with open_demo(settings, folder) as (job, feeder):
        feeder.run(stop, _HEAD_START_SECONDS)
        job.once(StopFlag())
        show(settings)
        threading.Thread(target=feeder.run, args=(stop, float("inf")), daemon=True).start()
        job.stream(stop)
