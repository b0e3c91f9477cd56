"""What the programs that invent records share: a record, an end between two updates, a clock in steps."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import typer

from contracts import ConfigurationError, ServiceError, StoppedError
from surroundings.signal_flag import SignalFlag


class Message(NamedTuple):
    """A record to send; `topic` is the sender's name for the topic, records of one `key` keep their order."""

    topic: str
    key: str
    value: bytes


def run_program(main: Callable[..., None]) -> None:
    """Run `main` with the options of the command line; what it raises for a person is one line.

    The exit codes are those of every command (docs/operations.md).
    """
    try:
        typer.run(main)
    except ServiceError as error:
        typer.echo(f"❌ {error}", err=True)
        wrong_use, stopped = isinstance(error, ConfigurationError), isinstance(error, StoppedError)
        sys.exit(2 if wrong_use else 3 if stopped else 1)


def stop_on_signals() -> SignalFlag:
    """Return a flag that Ctrl+C and SIGTERM set."""
    stop = SignalFlag()

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
