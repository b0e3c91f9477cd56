"""Runs demos beside the pages, for as long as the process lives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from contracts import ServiceError
from monitoring.logs import get_logger

logger = get_logger(__name__)

_WAITS: Final = "It waits for its turn."


class Simulation:
    """A demo; `says` what it is doing until it `is_shown`, `fault` why it ended, in a sentence."""

    def __init__(self, demo: Callable[[Callable[[str], None], Callable[[], None]], None]) -> None:
        """`demo` runs for as long as the process; it takes two functions.

        It tells the first one, in sentences, what it does, and calls the second one once there is something
        to see.
        """
        self.says = _WAITS
        self.fault: str | None = None
        self._demo = demo
        self._settled = threading.Event()

    @property
    def is_shown(self) -> bool:
        """Whether there is something to see, and no fault."""
        return self._settled.is_set() and self.fault is None

    def start(self) -> None:
        """Run it in a thread, which ends with the process."""
        threading.Thread(target=self._run, name="demo", daemon=True).start()

    def settle(self) -> None:
        """Wait until there is something to see, or a fault."""
        self._settled.wait()

    def _run(self) -> None:
        try:
            self._demo(self._tell, self._settled.set)
            self.fault = "The simulation has ended."
        except ServiceError as error:
            self.fault = str(error)
        except Exception as error:
            logger.exception("A simulation failed")
            self.fault = f"The simulation failed ({type(error).__name__}); the console says more."
        finally:
            self._settled.set()

    def _tell(self, text: str) -> None:
        self.says = text


def start_all(simulations: Iterable[Simulation]) -> None:
    """Start one after the other, each once the one before can be seen: they share two cores with a page."""

    def run() -> None:
        for simulation in simulations:
            simulation.start()
            simulation.settle()

    threading.Thread(target=run, name="demos", daemon=True).start()
