"""Pipelines by name. A pipeline is added here when it exists.

Each is imported only when it is asked for, so that none needs the drivers of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import Enum
from typing import Protocol

from rich.console import Console

from pipelines.runner import StopFlag
from settings import Settings


class Job(Protocol):
    """A pipeline that is built, checked and connected."""

    def once(self, stop: StopFlag) -> bool:
        """Process what is there now; False when it failed."""
        ...

    def stream(self, stop: StopFlag) -> bool:
        """Process until `stop`; False when it had to give up."""
        ...

    def finish(self, out: Callable[[str], None]) -> None:
        """Tell `out` what the session did."""
        ...


class PipelineName(str, Enum):
    """What `--pipeline` accepts."""

    HEALTH = "health"


def open_job(name: PipelineName, settings: Settings, streaming: bool) -> AbstractContextManager[Job]:
    """The pipeline `name`; Spark runs inside the block.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is processed.
    """
    match name:
        case PipelineName.HEALTH:
            from pipelines.health.job import open_pipeline

            return open_pipeline(settings, streaming)


def run_demo(name: PipelineName, keep_running: bool, console: Console) -> None:
    """Show the pipeline `name` on data and stores of its own; it ends by itself unless `keep_running`."""
    match name:
        case PipelineName.HEALTH:
            from pipelines.health.demo import run_demo as run_health

            run_health(keep_running, console)
