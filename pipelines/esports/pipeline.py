"""What the esports pipeline declares of itself."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipelines.engine.pipeline import Benchmark, Parquet, Pipeline, later

if TYPE_CHECKING:
    from settings import Settings
    from sinks.dead_letters import Owner

NAME = "esports"


def owner(settings: Settings) -> Owner:
    """The folder in which its datasets lie, or the address of its tables."""
    from sinks.dead_letters import Owner

    if settings.esports_delta_path:
        address = settings.esports_delta_path
        return Owner.of(PurePosixPath(address).name, [address])
    folder = settings.esports_output_path.absolute()
    return Owner.of(folder.name, [folder.as_posix()])


ESPORTS = Pipeline(
    name=NAME,
    title="Esports",
    does="Kafka → Parquet",
    steps=("read", "stage", "dead_letters", "sync", "commit", "report"),
    open_job=later("pipelines.esports.job:open_job"),
    demo=later("pipelines.esports.demo:run_demo"),
    open_retry=later("pipelines.esports.job:open_retry"),
    owner=owner,
    checks=later("commands.checks.esports:run"),
    topics=("KAFKA_TOPIC_MATCHES", "KAFKA_TOPIC_PLAYERS"),
    parts=("matches", "players"),
    parquet=Parquet("ESPORTS_OUTPUT_PATH", ("matches", "players"), "ESPORTS_DELTA_PATH"),
    pages=later("dashboard.esports.pages:pages"),
    demo_pages=later("dashboard.esports.pages:demo_pages"),
    rig=later("pipelines.esports.demo_rig:open_rig"),
    benchmark=Benchmark("benchmarks.esports", ("kafka",)),
    lineage=later("pipelines.esports.lineage:lineage"),
    simulator="simulation.esports.messages",
    forgets=(
        "There is nobody to forget in esports: it keeps no customers, only matches, and players under the "
        "names by which they play in public."
    ),
)
