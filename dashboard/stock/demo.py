"""A simulated shop that trades while its pages are open, through the real pipeline on an embedded store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pipelines.engine.stop_flag import StopFlag
from pipelines.stock.demo import demo_settings, open_demo
from settings import Settings


def trade(folder: Path, show: Callable[[Settings], None]) -> None:
    """Count what the shop opens with, `show` it, then go on."""
    settings = demo_settings(folder)
    with open_demo(settings) as (job, trader, _):
        job.once(StopFlag())
        show(settings)
        stop = StopFlag()
        threading.Thread(target=trader.trade, args=(stop, True), daemon=True).start()
        job.stream(stop)
