"""The pipelines there are, by name. A pipeline is added here when it exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contracts import ConfigurationError
from pipelines.ecommerce.pipeline import ECOMMERCE
from pipelines.engine.pipeline import ALL_PARTS, Pipeline
from pipelines.esports.pipeline import ESPORTS
from pipelines.health.pipeline import HEALTH
from pipelines.stock.pipeline import STOCK

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pipelines.engine.pipeline import Job
    from settings import Settings

PIPELINES: dict[str, Pipeline] = {one.name: one for one in (HEALTH, ECOMMERCE, ESPORTS, STOCK)}
# What runs when none is named.
DEFAULT_PIPELINE = next(iter(PIPELINES))


def open_job(
    name: str, settings: Settings, streaming: bool, part: str = ALL_PARTS
) -> AbstractContextManager[Job]:
    """The pipeline `name`, or only a `part` of it; Spark runs inside the block.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is processed.
    """
    pipeline = PIPELINES[name]
    if part not in (ALL_PARTS, *pipeline.parts):
        has = " or ".join(pipeline.parts) or "no parts"
        raise ConfigurationError(f"--job {part} is none of --pipeline {name}, which has {has}.")
    return pipeline.open_job(settings, streaming, part)


def topics_by_setting(pipeline: Pipeline, settings: Settings) -> Mapping[str, str]:
    """The topics that `pipeline` reads, by the setting that names each; empty without Kafka."""
    return {setting: getattr(settings, setting.lower()) for setting in pipeline.topics}
