"""What the stock pipeline declares of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.engine.pipeline import Benchmark, Parquet, Pipeline, later

if TYPE_CHECKING:
    from settings import Settings
    from sinks.dead_letters import Owner

NAME = "stock"


def owner(settings: Settings) -> Owner:
    """The database in which its results lie."""
    from sinks.dead_letters import Owner
    from sources.mongo_client import hosts_of

    return Owner.of(settings.stock_db_name, hosts_of(settings.mongo_uri.get_secret_value()))


STOCK = Pipeline(
    name=NAME,
    title="Stock",
    does="Kafka → invoices, totals and rankings in MongoDB, and all records in Parquet",
    steps=(
        *("read", "judge", "dead_letters", "cold"),
        *("open", "sales", "seal", "totals", "close", "publish", "report"),
    ),
    open_job=later("pipelines.stock.job:open_job"),
    demo=later("pipelines.stock.demo:run_demo"),
    open_retry=later("pipelines.stock.job:open_retry"),
    owner=owner,
    checks=later("commands.checks.stock:run"),
    topics=("KAFKA_TOPIC_SALES", "KAFKA_TOPIC_INVENTORY", "KAFKA_TOPIC_CLIENTS"),
    parquet=Parquet("STOCK_COLD_PATH", ("events",)),
    pages=later("dashboard.stock.pages:pages"),
    rig=later("pipelines.stock.demo_rig:open_rig"),
    demo_pages=later("dashboard.stock.pages:demo_pages"),
    benchmark=Benchmark("benchmarks.stock", ("mongo", "kafka")),
    keeps=later("pipelines.stock.retention:keeps"),
    lineage=later("pipelines.stock.lineage:lineage"),
    simulator="simulation.stock.shop",
    forgets=later("commands.forgetting.stock:open_forgetting"),
)
