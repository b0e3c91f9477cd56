"""What the programs that invent records share: a record, an end between two updates, a clock in steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple


class Message(NamedTuple):
    """A record to send; `topic` is the sender's name for the topic, records of one `key` keep their order."""

    topic: str
    key: str
    value: bytes


def stop_on_signals() -> threading.Event:
    """Return an event that Ctrl+C and SIGTERM set."""
    stop = threading.Event()

    def end(_number: int, _frame: Any) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return stop


def stepping_clock(start: datetime, step: timedelta) -> Callable[[], datetime]:
    """Return a clock that says `start` (UTC) first and goes on by `step` each time it is read."""
    moment = start.replace(tzinfo=timezone.utc) - step

    def read() -> datetime:
        nonlocal moment
        moment += step
        return moment

    return read
