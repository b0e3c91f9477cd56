"""Runs a demo beside the pages, for as long as the process lives."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from monitoring import logs

T = TypeVar("T")


def run_demo(demo: Callable[[Path, Callable[[T], None]], None]) -> T:
    """Run `demo` in a folder of its own; it calls its second argument once there is something to see.

    Returns what it was called with, or raises what the demo raised before, such as ConfigurationError
    without a usable Java.
    """
    # The thread holds the folder, so that it lives as long as the process.
    folder = tempfile.TemporaryDirectory(prefix="demo-")
    logs.configure("WARNING")
    shown: Future[T] = Future()

    def run() -> None:
        try:
            demo(Path(folder.name), shown.set_result)
        except Exception as error:
            if shown.done():
                raise
            shown.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return shown.result()
