"""Simulated visitors who view and buy while the page is open, through the real pipeline into PostgreSQL."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from contracts import ConfigurationError
from dashboard.background import Simulation
from dashboard.page import Room
from pipelines.ecommerce.demo import Feeder, demo_settings
from pipelines.ecommerce.job import open_job
from pipelines.ecommerce.local_server import server_to_start
from pipelines.ecommerce.pipeline import ECOMMERCE
from pipelines.engine.pipeline import ALL_PARTS
from pipelines.engine.stop_flag import StopFlag
from settings import Settings

_HEAD_START_SECONDS: Final = 3.0
# Where no server is, if none can be had.
_NOWHERE: Final = "postgresql://127.0.0.1:9/nowhere"


def visit(folder: Path, pages: Callable[[Settings], Room]) -> Room:
    """The `pages` of a shop whose visitors go on coming, with a PostgreSQL that ends with the process.

    Where none can be had, the simulation says why.
    """
    at_end = ExitStack()
    try:
        server = at_end.enter_context(server_to_start())
    except ConfigurationError as error:
        fault = error

        def refuse(_tell: object, _show: object) -> None:
            raise fault

        return replace(pages(demo_settings(_NOWHERE, folder)), simulation=Simulation(refuse))
    # Of a simulation that was not started, or did not end in time.
    atexit.register(at_end.close)
    settings, stop = demo_settings(server.dsn, folder), StopFlag()
    feeder = Feeder(settings.ecommerce_input_path)
    rig = ECOMMERCE.rig_of(settings, feeder, server)

    def simulate(tell: Callable[[str], None], show: Callable[[], None]) -> None:
        with at_end:
            tell("PostgreSQL starts; where it is missing it is installed first.")
            server.run("start")
            tell("The first visitors come, and Spark starts.")
            with open_job(settings, True, ALL_PARTS) as job:
                feeder.run(StopFlag(), _HEAD_START_SECONDS)
                tell("The first batch is committed.")
                job.once(stop)
                show()
                threading.Thread(target=feeder.run, args=(stop, None), daemon=True).start()
                rig.stream(job, stop)
            rig.supervise(stop)

    return replace(pages(settings), simulation=Simulation(simulate, stop.set), rig=rig)
