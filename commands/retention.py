"""`main.py retention`: removes what settings keep for some days only; for cron, a timer, or a person."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.common import FAILED, AsJson, one_of, prepare
from commands.terminal import print_json
from contracts import ServiceError
from monitoring.logs import get_logger
from monitoring.progress_bar import progress
from pipelines.catalog import PIPELINES

if TYPE_CHECKING:
    from pipelines.engine.retention import Kept
    from settings import Settings

logger = get_logger(__name__)

_ALL = "all"
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell how much is old enough.")]
Whose = Annotated[str, typer.Option("--pipeline", help="Of which pipeline.", **one_of([_ALL, *PIPELINES]))]


def retention(pipeline: Whose = _ALL, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Remove logs, letters and data that are older than the …_KEEP_DAYS settings say; by default, none."""
    settings = prepare(sys.stderr)
    now = datetime.now(timezone.utc)
    limited = [(name, one) for name, one in _kept(settings, pipeline) if one.days]
    rows = [_row(name, one, now - timedelta(days=one.days), dry_run) for name, one in limited]
    if as_json:
        print_json({"dry_run": dry_run, "removed": rows})
    elif not limited:
        names = dict.fromkeys(one.setting for _, one in _kept(settings, pipeline))
        typer.echo(f"Everything is kept for ever: {', '.join(names)} are 0.")
    if any("error" in row for row in rows):
        raise typer.Exit(FAILED)


def _kept(settings: Settings, pipeline: str) -> Iterator[tuple[str, Kept]]:
    from pipelines.engine.retention import kept, kept_by_all

    chosen = PIPELINES.values() if pipeline == _ALL else [PIPELINES[pipeline]]
    yield from ((one.name, each) for one in chosen for each in kept(one, settings))
    if pipeline == _ALL:
        yield from ((_ALL, each) for each in kept_by_all(settings))


def _row(name: str, one: Kept, before: datetime, dry_run: bool) -> dict[str, Any]:
    """Do it, tell it in a log line, and return it for scripts; another one goes on after a failure."""
    row: dict[str, Any] = {"pipeline": name, "what": one.what, "setting": one.setting, "days": one.days}
    row["before"] = before
    told = f"{one.what} of {name} from before {before:%Y-%m-%dT%H:%M:%SZ} ({one.setting}={one.days})"
    try:
        with progress(f"Removing {one.what} of {name}"):
            row["count"] = _explained(lambda: one.remove(before, dry_run))
    except ServiceError as error:
        row["error"] = str(error)
        logger.warning(f"❌ {told[0].upper()}{told[1:]} were not removed: {error}")
        return row
    verb = "Would remove" if dry_run else "Removed"
    logger.info(f"🧹 {verb} {row['count']:,} {told}")
    return row


def _explained(remove: Callable[[], int]) -> int:
    """Raises ServiceError for what a server's driver raises."""
    from pymongo.errors import PyMongoError

    from commands.common import mongo_fault

    try:
        return remove()
    except PyMongoError as error:
        raise ServiceError(mongo_fault(error)) from error
    except Exception as error:
        # psycopg itself may not be installed.
        if type(error).__module__.partition(".")[0] != "psycopg":
            raise
        text = str(error).strip().partition("\n")[0]
        raise ServiceError(f"PostgreSQL at POSTGRES_DSN does not answer as needed ({text}).") from error
