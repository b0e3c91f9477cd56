"""Runs demos beside the pages, for as long as the process lives."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from contracts import ServiceError
from monitoring.logs import get_logger

logger = get_logger(__name__)

# A batch that is at work is waited for.
_END_SECONDS: Final = 20.0
_WAITS: Final = "It waits for its turn."


class Simulation:
    """A demo; `says` what it is doing until it `is_shown`, `fault` why it ended; both are sentences."""

    def __init__(
        self,
        demo: Callable[[Callable[[str], None], Callable[[], None]], None],
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        """`demo` runs until `stop` is called, at the end of the process; it takes two functions.

        It tells the first one, in sentences, what it does, and calls the second one once there is something
        to see.
        """
        self.says = _WAITS
        self.fault: str | None = None
        self._stop = stop
        self._is_to_end = False
        self._demo = demo
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo", daemon=True)

    @property
    def is_shown(self) -> bool:
        """Whether there is something to see, and no fault."""
        return self._settled.is_set() and self.fault is None

    def start(self) -> None:
        """Run it in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        self._is_to_end = True
        self._stop()

    def join(self, seconds: float) -> None:
        """Wait at most so long until it has ended, if it was started."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

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
            if self._is_to_end:
                # Spark or a server may have ended before it; who pressed Ctrl+C needs no traceback of that.
                logger.warning(f"A simulation was broken off at the end ({type(error).__name__})")
            else:
                logger.exception("A simulation failed")
            self.fault = f"The simulation failed ({type(error).__name__}); the console says more."
        finally:
            self._settled.set()

    def _tell(self, text: str) -> None:
        self.says = text


def start_all(simulations: Sequence[Simulation]) -> None:
    """Start one after the other, each once the one before can be seen: they share two cores with a page.

    At the end of the process they end in good order: a server of their own must not stay behind.
    """

    def end() -> None:
        for simulation in simulations:
            simulation.stop()
        ends = time.monotonic() + _END_SECONDS
        for simulation in simulations:
            simulation.join(max(0.0, ends - time.monotonic()))

    def run() -> None:
        for simulation in simulations:
            simulation.start()
            simulation.settle()
            # Before what was registered meanwhile: Spark's Java would end under the batch.
            atexit.unregister(end)
            atexit.register(end)

    atexit.register(end)
    threading.Thread(target=run, name="demos", daemon=True).start()
