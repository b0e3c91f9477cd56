"""Opens the poll of the health pipeline."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from pymongo.errors import PyMongoError

from checkpoint.store import OVERLAP, CheckpointStore
from contracts import ServiceError
from monitoring.logs import get_logger
from settings import Settings
from sources.health.overlap import START_SECONDS, MeasuredOverlap
from sources.health.poll import MongoPoll

logger = get_logger(__name__)


def open_poll(settings: Settings, source: Any, cursor: CheckpointStore) -> MongoPoll:
    """The poll of `source`, with the overlap of the settings; a measured one is kept with the `cursor`."""
    seconds = settings.poll_overlap_seconds
    if seconds != "auto":
        return MongoPoll(source, seconds, settings.max_batch_documents)

    def keep(seconds: float, why: str) -> None:
        logger.info(f"↔️  The poll looks {seconds:.0f} seconds behind the cursor from now on: {why}")
        # Without the note the next start begins with another overlap, and goes on from there.
        with suppress(ServiceError, PyMongoError):
            cursor.write_notes({"seconds": seconds}, OVERLAP)

    noted = cursor.read_notes(OVERLAP).get("seconds")
    if not (isinstance(noted, int | float) and math.isfinite(noted)):
        noted = START_SECONDS
    overlap = MeasuredOverlap(keep, noted)
    return MongoPoll(source, overlap, settings.max_batch_documents)
