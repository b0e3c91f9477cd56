"""A simulated shop that trades while its pages are open, through the real pipeline on an embedded store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dashboard.background import Simulation
from dashboard.page import Room
from pipelines.engine.stop_flag import StopFlag
from pipelines.stock.demo import Trader, demo_settings, open_demo
from pipelines.stock.pipeline import STOCK
from settings import Settings
from simulation.program import Message

# It guards nothing, and the page says it.
PASSWORD: Final = "accountant"  # noqa: S105


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
    """The `pages` of a shop that has opened when its first batch is shown, and trades from then on."""
    # In an invented shop everybody may be the accountant.
    settings = demo_settings(folder, accountant_password=PASSWORD)
    broker, stop = Broker(), StopFlag()

    def simulate(tell: Callable[[str], None], show: Callable[[], None]) -> None:
        tell("The shop opens, and Spark starts.")
        with open_demo(settings) as (job, trader, _):
            broker.opens(trader)
            tell("The first batch counts what the shop has.")
            job.once(stop)
            show()
            threading.Thread(target=trader.trade, args=(stop, True), daemon=True).start()
            job.stream(stop)

    return replace(pages(settings, broker), simulation=Simulation(simulate, stop.set), rig=STOCK.no_rig)
