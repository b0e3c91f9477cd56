"""What the health pipeline reads and writes, in the names of OpenLineage."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.health import SOURCE_COLLECTION
from contracts.lineage import Lineage, collection
from settings import Settings
from sources.mongo_client import hosts_of


def lineage(settings: Settings) -> Mapping[str, Lineage]:
    """From the source's collection to that of the results."""
    host, *_ = hosts_of(settings.mongo_uri.get_secret_value())
    source, results = SOURCE_COLLECTION, settings.analytics_collection
    found = [collection(host, settings.mongo_db_name, name) for name in (source, results)]
    return {"": Lineage((found[0],), (found[1],))}
