"""The command line: the pipelines and the commands beside them. The only place that exits.

`python main.py` (or `spark-submit main.py`) runs the health stream.
"""

from __future__ import annotations

from own_python import take_own_python

if __name__ == "__main__":
    take_own_python()

import sys
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from commands import checkpoint, dlq, metrics
from commands.check import check
from commands.common import FAILED, PipelineOption, guarded, one_of, prepare, speaker
from commands.compaction import upkeep
from commands.config import config
from commands.inspect import inspect
from commands.options_first import OptionsFirst
from commands.selftest import selftest
from commands.terminal import progress
from contracts import ConfigurationError, StoppedError
from monitoring.logs import mask_uncaught
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES, open_job
from pipelines.engine.pipeline import ALL_PARTS, Job
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.pipeline import HEALTH
from surroundings.windows import require_streams

_PARTS = [ALL_PARTS, *(part for one in PIPELINES.values() for part in one.parts)]

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
app.command()(selftest)


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    once: Annotated[bool, typer.Option("--once", help="Process what is there, then stop.")] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Run on invented data and a store of its own; ends by itself.")
    ] = False,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Let the demo run until Ctrl+C.")
    ] = False,
    job_name: Annotated[
        str, typer.Option("--job", help="Which of the pipeline's streams.", **one_of(_PARTS))
    ] = ALL_PARTS,
    as_json: Annotated[bool, typer.Option("--json", help="Log lines as JSON, like LOG_JSON=true.")] = False,
) -> None:
    """Run a pipeline until it is stopped (Ctrl+C or SIGTERM finish the running batch)."""
    if context.invoked_subcommand:
        return
    # Health alone has a run without one of Spark's streams.
    if not (once and pipeline == HEALTH.name):
        require_streams()
    stop = StopFlag()
    if demo:
        if once or as_json or job_name != ALL_PARTS:
            raise ConfigurationError("--demo takes --pipeline and --keep-running, and no other option.")
        PIPELINES[pipeline].run_demo(keep_running, Console(), stop)
        if stop.by_signal and not keep_running:
            raise StoppedError("The demo was stopped before its end.")
        return
    if keep_running:
        raise ConfigurationError("--keep-running belongs to --demo: without that the stream runs anyway.")
    settings = prepare(json_logs=as_json)
    with open_job(pipeline, settings, not once, job_name) as job:
        with stop.on_signals():
            succeeded = _once(job, stop) if once else job.stream(stop)
        job.finish(speaker(settings))
    if once and stop.by_signal:
        raise StoppedError("Stopped before the end; what was begun is finished, and the next run goes on.")
    if not succeeded:
        raise typer.Exit(FAILED)


def _once(job: Job, stop: StopFlag) -> bool:
    with progress("Processing"):
        return job.once(stop)


if __name__ == "__main__":
    mask_uncaught()
    sys.exit(guarded(partial(app, standalone_mode=False)))
