"""Pipelines by name. A pipeline is added here when it exists.

Each is imported only when it is asked for, so that none needs the drivers of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from rich.console import Console

from contracts import ConfigurationError
from pipelines.engine.stop_flag import StopFlag

if TYPE_CHECKING:
    from settings import Settings
    from sinks.dead_letters import DeadLetters, Letter, RetryOutcome


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
    ECOMMERCE = "ecommerce"
    ESPORTS = "esports"
    STOCK = "stock"


class JobName(str, Enum):
    """What `--job` accepts: which of the esports pipeline's streams."""

    MATCHES = "matches"
    PLAYERS = "players"
    ALL = "all"


def open_job(
    name: PipelineName, settings: Settings, streaming: bool, part: JobName = JobName.ALL
) -> AbstractContextManager[Job]:
    """The pipeline `name`, or only a `part` of it; Spark runs inside the block.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is processed.
    """
    if part is not JobName.ALL and name is not PipelineName.ESPORTS:
        raise ConfigurationError(
            f"--job {part.value} is one of --pipeline esports; {name.value} has no parts."
        )
    match name:
        case PipelineName.HEALTH:
            from pipelines.health.job import open_pipeline

            return open_pipeline(settings, streaming)
        case PipelineName.ECOMMERCE:
            from pipelines.ecommerce.job import open_pipeline as open_ecommerce

            return open_ecommerce(settings, streaming)
        case PipelineName.ESPORTS:
            from pipelines.esports.job import open_pipeline as open_esports

            return open_esports(settings, streaming, part.value)
        case PipelineName.STOCK:
            from pipelines.stock.job import open_pipeline as open_stock

            return open_stock(settings, streaming)


def run_demo(name: PipelineName, keep_running: bool, console: Console) -> None:
    """Show the pipeline `name` on data and stores of its own; it ends by itself unless `keep_running`."""
    match name:
        case PipelineName.HEALTH:
            from pipelines.health.demo.run import run_demo as run_health

            run_health(keep_running, console)
        case PipelineName.ECOMMERCE:
            from pipelines.ecommerce.demo import run_demo as run_ecommerce

            run_ecommerce(keep_running, console)
        case PipelineName.STOCK:
            from pipelines.stock.demo import run_demo as run_stock

            run_stock(keep_running, console)
        case PipelineName.ESPORTS:
            from pipelines.esports.demo import run_demo as run_esports

            run_esports(keep_running, console)


def topics_by_setting(name: PipelineName, settings: Settings) -> dict[str, str]:
    """The topics that the pipeline `name` reads, by the setting that names each; empty without Kafka."""
    match name:
        case PipelineName.ESPORTS:
            used = ["kafka_topic_matches", "kafka_topic_players"]
        case PipelineName.STOCK:
            used = ["kafka_topic_sales", "kafka_topic_inventory", "kafka_topic_clients"]
        case _:
            return {}
    return {setting.upper(): getattr(settings, setting) for setting in used}


def open_letters(name: PipelineName, settings: Settings) -> DeadLetters:
    """The dead-letter queue of the pipeline `name`, without starting anything else."""
    match name:
        case PipelineName.HEALTH:
            from pipelines.health.stores import open_letters as open_health

            return open_health(settings)
        case PipelineName.ECOMMERCE | PipelineName.ESPORTS | PipelineName.STOCK:
            from pipelines.engine.reporting import open_stream_letters

            return open_stream_letters(name.value, settings)


@contextmanager
def open_retry(
    name: PipelineName, settings: Settings
) -> Iterator[Callable[[Sequence[Letter]], RetryOutcome]]:
    """The function that tries dead letters of the pipeline `name` again; Spark runs inside the block.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is tried.
    """
    match name:
        case PipelineName.HEALTH:
            from pipelines.health.job import open_pipeline

            with open_pipeline(settings, False) as health:
                yield health.letters.run
        case PipelineName.ECOMMERCE:
            from pipelines.ecommerce.job import open_pipeline as open_ecommerce

            with open_ecommerce(settings, False) as ecommerce:
                yield ecommerce.letters.retry
        case PipelineName.ESPORTS:
            from pipelines.esports.job import open_retry as open_esports_retry

            with open_esports_retry(settings) as records:
                yield records.retry
        case PipelineName.STOCK:
            from pipelines.stock.job import open_retry as open_stock_retry

            with open_stock_retry(settings) as stock:
                yield stock.retry
