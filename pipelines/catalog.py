"""Pipelines by name. A pipeline is added here when it exists."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import Enum

from pipelines.health import HealthPipeline, open_pipeline
from settings import Settings


class PipelineName(str, Enum):
    """What `--pipeline` accepts."""

    HEALTH = "health"


OPENERS: dict[PipelineName, Callable[[Settings, bool], AbstractContextManager[HealthPipeline]]] = {
    PipelineName.HEALTH: open_pipeline
}
