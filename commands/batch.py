"""One bounded pass of health without streaming: for Windows, cron and repairs.

Without arguments it continues from the cursor and saves it, so that repeated runs are a slow stream.
No winutils and no Hadoop binaries are needed: only Spark SQL in local mode and Python's own files.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.common import FAILED, JsonLogs, Verbose, parse_time, prepare, speaker
from commands.terminal import console
from contracts import ConfigurationError, StoppedError
from monitoring.progress_bar import progress
from pipelines.engine.stop_flag import StopFlag

if TYPE_CHECKING:
    from pipelines.health.job import HealthPipeline


def batch(
    since: Annotated[
        str | None, typer.Option(help="Process what changed since then; the cursor stays.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Recompute every user; remove what is gone.")] = False,
    as_json: JsonLogs = False,
    verbose: Verbose = False,
) -> None:
    """Process what changed since the cursor, once."""
    from commands.batch_results import print_results, results_since
    from pipelines.health.job import open_pipeline

    start = parse_time(since) if since else None
    if start and full:
        raise ConfigurationError(
            "--full recomputes every user, whenever something changed: leave out --since."
        )
    settings = prepare(json_logs=as_json, verbose=verbose)
    say = speaker(settings)
    with open_pipeline(settings, False) as job:
        stop = StopFlag()
        began = job.clock.next()
        if start and start > began:
            raise ConfigurationError(
                f"--since {since} lies in the future: nothing can have changed since then."
            )
        with stop.on_signals():
            succeeded, left = _full(job, stop, say) if full else _changed(job, stop, start)
        try:
            if not settings.log_json:
                print_results(results_since(job.target, began), console())
        finally:
            job.finish(say)
    if left:
        raise StoppedError(left)
    if not succeeded:
        raise typer.Exit(FAILED)
    say("✅ BATCH PROCESSING COMPLETED")


# Whether it succeeded, and a sentence if it was stopped before its end.
_End = tuple[bool, str | None]


def _changed(job: HealthPipeline, stop: StopFlag, start: datetime | None) -> _End:
    def done() -> int:
        return job.reporting.history.totals().records

    with progress("Recomputing", done):
        succeeded = job.once(stop, start)
    if not stop.by_signal:
        return succeeded, None
    after = "the same --since begins anew" if start else "the next run goes on there"
    return succeeded, f"Stopped after {done():,} records; {after}."


def _full(job: HealthPipeline, stop: StopFlag, say: Callable[[str], None]) -> _End:
    with progress("Recomputing", lambda: job.full.progress.position[0]):
        removed = job.full.run(stop)
    done, users = job.full.progress.position
    if done < users:
        return (
            True,
            f"Stopped after {done:,} of {users:,} users; the next --full goes on there, within a day.",
        )
    say(f"🧹 {removed} documents of users without data removed")
    return True, None
