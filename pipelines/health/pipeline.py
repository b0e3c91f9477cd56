"""What the health pipeline declares of itself."""

from __future__ import annotations

from pipelines.engine.pipeline import IN_MEMORY, Benchmark, Pipeline, later

_open = later("pipelines.health.job:open_pipeline")
HEALTH = Pipeline(
    name="health",
    title="Health",
    does="MongoDB → analytics of each user in MongoDB",
    steps=("poll", "validate", "read", "compute", "write", "dead_letters", "save"),
    # It has no parts.
    open_job=lambda settings, streaming, _part: _open(settings, streaming),
    demo=later("pipelines.health.demo.run:run_demo"),
    open_retry=later("pipelines.health.job:open_retry"),
    owner=later("pipelines.health.stores:owner"),
    checks=later("commands.checks.health:run"),
    letters_are_of_users=True,
    prefixed=False,
    pages=later("dashboard.health.pages:pages"),
    rig=IN_MEMORY.format(""),
    demo_pages=later("dashboard.health.pages:demo_pages"),
    lineage=later("pipelines.health.lineage:lineage"),
    simulator="simulation.health.people",
    forgets=later("commands.forgetting.health:open_forgetting"),
    benchmark=Benchmark("benchmarks.run", ("mongo",)),
)
