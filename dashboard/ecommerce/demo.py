"""Simulated visitors who view and buy while the page is open, through the real pipeline into PostgreSQL."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from contracts import ConfigurationError
from dashboard.background import Simulation
from dashboard.ecommerce import break_it
from dashboard.ecommerce.break_it import Blow, BreakIt, Look
from dashboard.page import Page, Room
from pipelines.ecommerce.demo import Feeder, demo_settings
from pipelines.ecommerce.demo_rig import Rig
from pipelines.ecommerce.job import open_job
from pipelines.ecommerce.local_server import server_to_start
from pipelines.engine.pipeline import ALL_PARTS
from pipelines.engine.stop_flag import StopFlag
from settings import Settings

_HEAD_START_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.5
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
    rig = Rig(server, settings, feeder)

    def simulate(tell: Callable[[str], None], show: Callable[[], None]) -> None:
        with at_end:
            tell("PostgreSQL starts; where it is missing it is installed first.")
            server.run("start")
            tell("The first visitors come, and Spark starts.")
            handed = StopFlag()
            with open_job(settings, True, ALL_PARTS) as job:
                feeder.run(StopFlag(), _HEAD_START_SECONDS)
                tell("The first batch is committed.")
                job.once(stop)
                show()
                threading.Thread(target=feeder.run, args=(stop, None), daemon=True).start()
                threading.Thread(target=_hand_over, args=(rig, stop, handed), daemon=True).start()
                job.stream(handed)
            rig.supervise(stop)

    shown = pages(settings)
    place = Page("Break it yourself", "break-it", break_it.render, _place(rig), every=2)
    return replace(shown, pages=[*shown.pages, place], simulation=Simulation(simulate, stop.set))


def _hand_over(rig: Rig, stop: StopFlag, handed: StopFlag) -> None:
    """Set `handed` when the pipeline is wanted as a process of its own, or all is to `stop`."""
    while not rig.is_wanted.wait(_LOOK_SECONDS) and not stop():
        pass
    handed.set()


def _place(rig: Rig) -> BreakIt:
    """What the page shows of `rig`, and does to it."""
    feeder = rig.feeder
    blows: dict[str, Callable[[], None]] = {
        "Kill the pipeline (kill -9)": rig.kill,
        "Kill the database": rig.stop_database,
        "Send garbage": lambda: rig.send("50 records that break a rule", feeder.send_garbage),
        "Send a file again": lambda: rig.send("the last file once more", feeder.send_again),
        "Commit late": lambda: rig.send("a file of events of an hour ago", feeder.send_late),
    }

    def pause(is_paused: bool) -> None:
        feeder.is_paused = is_paused

    return BreakIt(partial(_look, rig), rig.is_wanted.set, pause, blows)


def _look(rig: Rig) -> Look:
    # In this order: what is found was sent before.
    found = rig.found()
    sent = {"written": rig.feeder.good, "duplicate": rig.feeder.again, "refused": rig.feeder.bad}
    shown = [
        Blow(blow.at, blow.what, (blow.caught_up - blow.at).total_seconds() if blow.caught_up else None)
        for blow in rig.blows
    ]
    ends = {name: getattr(found, name) for name in sent} if found else None
    rows = found.rows if found else 0
    return Look(sent, ends, rows, rig.starts, rig.is_alive, rig.database_is_up, rig.feeder.is_paused, shown)
