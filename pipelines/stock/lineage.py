"""What the stock pipeline reads and writes, in the names of OpenLineage."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.lineage import Lineage, collection, folder, topic
from pipelines.stock.kafka_input import topics_of
from settings import Settings
from sinks.stock import archive, sales, totals
from sources.mongo_client import hosts_of

# The rankings are made of these.
_COLLECTIONS = (sales.COLLECTION, totals.INVENTORY, totals.TOTALS, totals.CLIENTS)


def lineage(settings: Settings) -> Mapping[str, Lineage]:
    """From the three topics to the collections of MongoDB, and to the cold store."""
    host, *_ = hosts_of(settings.mongo_uri.get_secret_value())
    inputs = [topic(settings.kafka_bootstrap_servers, name) for name in topics_of(settings).values()]
    outputs = [collection(host, settings.stock_db_name, name) for name in _COLLECTIONS]
    cold = folder(settings.stock_cold_path / archive.DATASET)
    return {"": Lineage(tuple(inputs), (*outputs, cold))}
