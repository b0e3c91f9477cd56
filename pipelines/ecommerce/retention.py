"""What the e-commerce pipeline may keep for some days only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pipelines.engine.pipeline import later
from pipelines.engine.retention import Kept
from settings import Settings


def keeps(settings: Settings) -> Sequence[Kept]:
    """The events, by the time at which they were stored."""
    remove = partial(
        later("sinks.ecommerce.retention:remove_events"), settings.postgres_dsn.get_secret_value()
    )
    return [Kept("events", "ECOMMERCE_KEEP_DAYS", settings.ecommerce_keep_days, remove)]
