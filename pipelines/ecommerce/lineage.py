"""What the e-commerce pipeline reads and writes, in the names of OpenLineage."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.lineage import Lineage, folder, table
from pipelines.ecommerce.owner import place
from settings import Settings
from sinks.ecommerce.schema import EVENTS


def lineage(settings: Settings) -> Mapping[str, Lineage]:
    """From the folder of files to the table of events."""
    found = place(settings)
    events = table(found.hosts[0], found.database, found.schema or "public", EVENTS)
    return {"": Lineage((folder(settings.ecommerce_input_path),), (events,))}
