"""What the esports pipeline reads and writes, in the names of OpenLineage."""

from __future__ import annotations

from collections.abc import Mapping

from analytics.esports.rules import DATASETS
from contracts.lineage import Lineage, folder, topic
from pipelines.esports.kafka_input import topic_of
from settings import Settings


def lineage(settings: Settings) -> Mapping[str, Lineage]:
    """From each topic to its dataset, by the name of the stream."""
    servers, below = settings.kafka_bootstrap_servers, settings.esports_output_path
    return {
        one.name: Lineage((topic(servers, topic_of(settings, one)),), (folder(below / one.name),))
        for one in DATASETS
    }
