"""`python main.py` (or `spark-submit main.py`) runs the health stream; its commands are those of `pulse`.

Only here, in process_batch.py and in commands/pulse.py a program exits.
"""

from __future__ import annotations

from own_python import take_own_python

if __name__ == "__main__":
    take_own_python()

import sys
from functools import partial
from typing import Annotated

import typer

from commands import checkpoint, dlq, metrics
from commands.check import check
from commands.common import JsonLogs, PipelineOption, guarded
from commands.compaction import upkeep
from commands.config import config
from commands.inspect import inspect
from commands.options_first import OptionsFirst
from commands.retention import retention
from commands.run import JobOption, KeepRunning, process
from commands.run import demo as show_demo
from commands.selftest import selftest
from contracts import ConfigurationError
from monitoring.logs import mask_uncaught
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from pipelines.engine.pipeline import ALL_PARTS

app = typer.Typer(cls=OptionsFirst, add_completion=False, help="Streaming analytics for MongoDB with Spark.")
app.add_typer(dlq.app, name="dlq")
app.add_typer(checkpoint.app, name="checkpoint")
app.add_typer(metrics.app, name="metrics")
for declared in PIPELINES.values():
    if declared.parquet:
        app.add_typer(upkeep(declared.name, declared.parquet), name=declared.name)
app.command()(check)
app.command()(config)
app.command()(inspect)
app.command()(retention)
app.command()(selftest)


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    once: Annotated[bool, typer.Option("--once", help="Process what is there, then stop.")] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Run on invented data and a store of its own; ends by itself.")
    ] = False,
    keep_running: KeepRunning = False,
    job_name: JobOption = ALL_PARTS,
    as_json: JsonLogs = False,
) -> None:
    """Run a pipeline until it is stopped (Ctrl+C or SIGTERM finish the running batch)."""
    if context.invoked_subcommand:
        return
    if demo:
        if once or as_json or job_name != ALL_PARTS:
            raise ConfigurationError("--demo takes --pipeline and --keep-running, and no other option.")
        show_demo(pipeline, keep_running)
        return
    if keep_running:
        raise ConfigurationError("--keep-running belongs to --demo: without that the stream runs anyway.")
    process(pipeline, once, job_name, as_json)


if __name__ == "__main__":
    mask_uncaught()
    sys.exit(guarded(partial(app, standalone_mode=False)))
