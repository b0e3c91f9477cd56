"""What the e-commerce pipeline declares of itself."""

from __future__ import annotations

from pipelines.engine.pipeline import Benchmark, Pipeline, later

NAME = "ecommerce"

_owner = later("pipelines.ecommerce.owner:owner")
ECOMMERCE = Pipeline(
    name=NAME,
    title="E-commerce",
    does="CSV files → events in PostgreSQL",
    steps=("read", "stage", "dead_letters", "insert", "commit", "report"),
    open_job=later("pipelines.ecommerce.job:open_job"),
    demo=later("pipelines.ecommerce.demo:run_demo"),
    open_retry=later("pipelines.ecommerce.job:open_retry"),
    owner=_owner,
    checks=later("commands.checks.postgres:run"),
    pages=later("dashboard.ecommerce.pages:pages"),
    demo_pages=later("dashboard.ecommerce.pages:demo_pages"),
    rig=later("pipelines.ecommerce.demo_rig:open_rig"),
    benchmark=Benchmark("benchmarks.ecommerce", ("postgres",)),
    figures=later("pipelines.ecommerce.figures:figures"),
    keeps=later("pipelines.ecommerce.retention:keeps"),
    lineage=later("pipelines.ecommerce.lineage:lineage"),
    simulator="simulation.ecommerce.events",
    forgets=later("commands.forgetting.ecommerce:open_forgetting"),
)
