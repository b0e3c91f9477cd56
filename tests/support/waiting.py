"""The one way in which tests wait for something."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from pipelines.engine.pipeline import Job
from pipelines.engine.stop_flag import StopFlag

Stop = TypeVar("Stop", StopFlag, threading.Event)
# Catches only what hangs: a loaded machine may be many times slower than a quiet one.
TIMEOUT_SECONDS = 300.0


def wait_for(
    condition: Callable[[], object],
    what: str | Callable[[], object],
    process: subprocess.Popen[Any] | None = None,
    seconds: float = TIMEOUT_SECONDS,
    pause_seconds: float = 0.1,
) -> None:
    """Poll until `condition` holds.

    Fails naming `what` (or what it returns) after `seconds`, or at once when `process` has ended.
    """
    end = time.monotonic() + seconds
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"the process ended with {process.returncode} before {_told(what)}")
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s for {_told(what)}")
        time.sleep(pause_seconds)


def _told(what: str | Callable[[], object]) -> str:
    return what if isinstance(what, str) else str(what())


def streaming(job: Job) -> AbstractContextManager[None]:
    """The job's stream runs inside the block and is stopped in good order at its end."""
    return running(job.stream, StopFlag())


@contextmanager
def running(run: Callable[[Stop], object], stop: Stop) -> Iterator[None]:
    """`run` works in a thread inside the block, until `stop` is set at its end."""
    thread = threading.Thread(target=run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(TIMEOUT_SECONDS)
    assert not thread.is_alive()


@contextmanager
def meanwhile(act: Callable[[], object], pause_seconds: float = 0.0) -> Iterator[None]:
    """Call `act` again and again in a thread while the block runs; what it raises is raised at the end."""
    over, raised = threading.Event(), list[BaseException]()

    def repeat() -> None:
        try:
            while not over.wait(pause_seconds):
                act()
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if raised:
        raise raised[0]
