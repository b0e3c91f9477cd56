"""A simulated shop that trades while its pages are open, through the real pipeline on an embedded store."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pymongo.errors import PyMongoError

from dashboard.background import Simulation
from dashboard.page import Room
from pipelines.engine.pipeline import IN_MEMORY
from pipelines.engine.stop_flag import StopFlag
from pipelines.stock.demo import Trader, demo_settings, open_demo, open_trader
from pipelines.stock.pipeline import STOCK
from settings import Settings
from simulation.program import Message
from sources.mongo_client import connect

# It guards nothing, and the page says it.
PASSWORD: Final = "accountant"  # noqa: S105
_IN_MEMORY: Final = (
    f"{IN_MEMORY.format(' --pipeline stock')} Or set `DEMO_MONGO_URI` to the address of a MongoDB on which "
    "this demo may make a database of its own, which it removes at the end, and start the demo again: "
    "then it can be struck here."
)


class FolderProducer:
    """Stands in for Kafka's client: what the accountant sends becomes lines of the files that are read."""

    def __init__(self, trader: Trader) -> None:
        self._trader = trader
        self._answers: list[Callable[[None, None], None]] = []

    def produce(
        self, topic: str, value: bytes, key: bytes, on_delivery: Callable[[None, None], None]
    ) -> None:
        """Write it at once; it is acknowledged by the next `poll`."""
        self._trader.send([Message(topic, key.decode(), value)])
        self._answers.append(on_delivery)

    def poll(self, _seconds: float) -> int:
        """Acknowledge what was written; returns how many messages that were."""
        answers, self._answers = self._answers, []
        for answer in answers:
            answer(None, None)
        return len(answers)

    def purge(self) -> None:
        """Nothing is on its way that was not written."""


class Broker:
    """Where the accountant's outbox of the demo sends, once the shop has opened."""

    def __init__(self) -> None:
        self._opened: Future[Trader] = Future()

    def opens(self, trader: Trader) -> None:
        """From now on messages are written beside those of `trader`."""
        self._opened.set_result(trader)

    def producer(self, _on_error: object) -> Any:
        """Wait for the opening; what stands in for Kafka's client."""
        return FolderProducer(self._opened.result())


def trade(folder: Path, pages: Callable[[Settings, Broker], Room]) -> Room:
    """The `pages` of a shop that has opened when its first batch is shown, and trades from then on.

    With DEMO_MONGO_URI its database is on that server, gone after the demo, and it can be struck.
    """
    settings, at_end = _settings(folder), ExitStack()
    trader, broker, stop = open_trader(settings), Broker(), StopFlag()
    rig = STOCK.rig_of(settings, trader) if settings.demo_mongo_uri else None
    if rig:
        at_end.callback(_remove_database, settings)
        # Of a simulation that was not started, or did not end in time.
        atexit.register(at_end.close)

    def simulate(tell: Callable[[str], None], show: Callable[[], None]) -> None:
        tell("The shop opens, and Spark starts.")
        with at_end:
            with open_demo(settings) as (job, _):
                broker.opens(trader)
                tell("The first batch counts what the shop has.")
                job.once(stop)
                show()
                threading.Thread(target=trader.trade, args=(stop, True), daemon=True).start()
                if rig is None:
                    job.stream(stop)
                else:
                    rig.stream(job, stop)
            if rig:
                rig.supervise(stop)

    room = pages(settings, broker)
    return replace(room, simulation=Simulation(simulate, stop.set), rig=rig or _IN_MEMORY)


def _settings(folder: Path) -> Settings:
    # In an invented shop everybody may be the accountant.
    settings = demo_settings(folder, accountant_password=PASSWORD)
    if settings.demo_mongo_uri is None:
        return settings
    place = {"mongo_uri": settings.demo_mongo_uri, "stock_db_name": f"demo_stock_{time.time_ns()}"}
    return demo_settings(folder, accountant_password=PASSWORD, **place)


def _remove_database(settings: Settings) -> None:
    with suppress(PyMongoError):
        connect(settings.mongo_uri.get_secret_value()).drop_database(settings.stock_db_name)
