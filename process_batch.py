"""One bounded pass without streaming: for Windows, cron and repairs.

Without arguments it continues from the cursor and saves it, so that repeated runs are a slow stream.
No winutils and no Hadoop binaries are needed: only Spark SQL in local mode and Python's own files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.batch_results import print_results
from commands.common import guarded, parse_time, prepare, speaker
from commands.terminal import console, progress
from monitoring.logs import get_logger, mask_uncaught
from pipelines.engine.stop_flag import StopFlag

if TYPE_CHECKING:
    from pipelines.health.job import HealthPipeline

_SHOWN_USERS = 5

logger = get_logger(__name__)


def run(
    since: Annotated[
        str | None, typer.Option(help="Process what changed since then; the cursor stays.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Recompute every user; remove what is gone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Log lines as JSON, like LOG_JSON=true.")] = False,
) -> None:
    """Process what changed since the cursor, once."""
    from pipelines.health.job import open_pipeline

    start = parse_time(since) if since else None
    settings = prepare(json_logs=as_json)
    say = speaker(settings)
    with open_pipeline(settings, False) as job:
        stop = StopFlag()
        began = job.clock.next()
        with stop.on_signals(), progress("Recomputing", lambda: job.reporting.history.totals().records):
            succeeded = _full(job, stop, say) if full else job.once(stop, start)
        try:
            if not settings.log_json:
                _show(job, began)
        finally:
            job.finish(say)
    if not succeeded:
        raise typer.Exit(1)
    say("✅ BATCH PROCESSING COMPLETED")


def _full(job: HealthPipeline, stop: StopFlag, say: Callable[[str], None]) -> bool:
    removed = job.full.run(stop)
    say(f"🧹 {removed} documents of users without data removed")
    return True


def _show(job: HealthPipeline, began: datetime) -> None:
    from pymongo.errors import PyMongoError

    try:
        print_results(first_users(job, began), console())
    except PyMongoError as error:
        # All work is done.
        logger.warning(f"The results are stored, and cannot be shown ({type(error).__name__})")


def first_users(job: HealthPipeline, began: datetime) -> list[dict[str, Any]]:
    """The results of a few users that this run wrote, whatever another program dated so."""
    from analytics.health.documents import LIFETIME, is_result

    # By the index that removes results at the end of their life: none leads to when they were made.
    recent = job.target.find({"expiresAt": {"$gte": began + LIFETIME}, "calculatedAt": {"$gte": began}})
    recent = recent.sort("expiresAt", -1)
    users: dict[Any, list[dict[str, Any]]] = {}
    for document in filter(is_result, recent.limit(24 * _SHOWN_USERS)):
        users.setdefault(document["userId"], []).append(document)
    return [document for group in list(users.values())[:_SHOWN_USERS] for document in group]


if __name__ == "__main__":
    mask_uncaught()
    sys.exit(guarded(lambda: typer.run(run)))
