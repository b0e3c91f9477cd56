"""Running a pipeline: as a stream, once, or as a demo."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.common import FAILED, JsonLogs, PipelineOption, Verbose, one_of, prepare, speaker
from commands.terminal import console
from contracts import StoppedError
from monitoring.progress_bar import progress
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES, open_job
from pipelines.engine.pipeline import ALL_PARTS, Job
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.pipeline import HEALTH
from surroundings.windows import require_streams

_PARTS = [ALL_PARTS, *(part for one in PIPELINES.values() for part in one.parts)]

JobOption = Annotated[str, typer.Option("--job", help="Which of the pipeline's streams.", **one_of(_PARTS))]
KeepRunning = Annotated[bool, typer.Option("--keep-running", help="Let the demo run until Ctrl+C.")]


def run(
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    job_name: JobOption = ALL_PARTS,
    as_json: JsonLogs = False,
    verbose: Verbose = False,
) -> None:
    """Run the stream until it is stopped (Ctrl+C or SIGTERM finish the running batch)."""
    process(pipeline, False, job_name, as_json, verbose)


def once(
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    job_name: JobOption = ALL_PARTS,
    as_json: JsonLogs = False,
    verbose: Verbose = False,
) -> None:
    """Process what is there, then stop."""
    process(pipeline, True, job_name, as_json, verbose)


def demo(pipeline: PipelineOption = DEFAULT_PIPELINE, keep_running: KeepRunning = False) -> None:
    """Run on invented data and a store of its own; ends by itself."""
    require_streams()
    stop = StopFlag()
    PIPELINES[pipeline].run_demo(keep_running, console(), stop)
    if stop.by_signal and not keep_running:
        raise StoppedError("The demo was stopped before its end.")


def process(pipeline: str, bounded: bool, part: str, json_logs: bool, verbose: bool = False) -> None:
    """Run a pipeline, or a `part` of it, until it is stopped; only what is there now if `bounded`."""
    # Health alone has a run without one of Spark's streams.
    if not (bounded and pipeline == HEALTH.name):
        require_streams()
    stop = StopFlag()
    settings = prepare(json_logs=json_logs, verbose=verbose)
    with open_job(pipeline, settings, not bounded, part) as job:
        with stop.on_signals():
            succeeded = _once(job, stop) if bounded else job.stream(stop)
        job.finish(speaker(settings))
    if bounded and stop.by_signal:
        raise StoppedError("Stopped before the end; what was begun is finished, and the next run goes on.")
    if not succeeded:
        raise typer.Exit(FAILED)


def _once(job: Job, stop: StopFlag) -> bool:
    with progress("Processing"):
        return job.once(stop)
