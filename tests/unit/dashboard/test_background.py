"""A demo that runs beside the pages: how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from dashboard.background import Simulation


@pytest.mark.parametrize("is_stopped", [True, False])
def test_what_breaks_because_all_ends_is_one_line(is_stopped: bool) -> None:
    """With Ctrl+C Spark may be gone before the batch is; whatever else breaks keeps its traceback."""
    ended = threading.Event()

    def demo(_tell: Callable[[str], None], _show: Callable[[], None]) -> None:
        ended.wait(60)
        raise ConnectionRefusedError

    simulation = Simulation(demo, ended.set)
    with capture_logs() as lines:
        simulation.start()
        simulation.stop() if is_stopped else ended.set()
        simulation.join(60)
    (line,) = lines
    assert bool(line.get("exc_info")) != is_stopped
    assert simulation.fault
