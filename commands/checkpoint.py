"""`main.py checkpoint`: the cursor, from when on changes are processed."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from checkpoint.store import default_start
from checkpoint.timestamp_text import format_timestamp
from commands.common import AsJson, parse_time, prepare
from commands.terminal import print_json, progress
from contracts.health import SOURCE_COLLECTION

if TYPE_CHECKING:
    from checkpoint.store import CheckpointStore, CursorState
    from settings import Settings
    from sources.health.inspection import Changes

app = typer.Typer(help="The cursor: from when on changes are processed.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be processed again.")]


@app.command("show")
def checkpoint_show(as_json: AsJson = False) -> None:
    """The cursor and where it comes from."""
    _show(prepare(sys.stderr), as_json)


@app.command("set")
def checkpoint_set(
    when: Annotated[str, typer.Argument(help="ISO 8601; without an offset it is UTC.")],
    dry_run: DryRun = False,
) -> None:
    """Reprocess what changed since WHEN; safe while the job runs."""
    settings, moment = prepare(sys.stderr), parse_time(when)
    if dry_run:
        _say_effect(settings, moment)
        return
    _cursor(settings).set(moment, _local_now())
    _show(settings)


@app.command("reset")
def checkpoint_reset(dry_run: DryRun = False) -> None:
    """Remove the cursor: the next run starts DEFAULT_LOOKBACK_DAYS ago."""
    settings = prepare(sys.stderr)
    if dry_run:
        _say_effect(settings, None)
        return
    _cursor(settings).reset()
    _show(settings)


def _cursor(settings: Settings) -> CheckpointStore:
    from pipelines.health.stores import open_cursor

    return open_cursor(settings)


def _show(settings: Settings, as_json: bool = False) -> None:
    state = _cursor(settings).peek(_local_now())
    shown = format_timestamp(state.timestamp)
    if as_json:
        print_json({"timestamp": shown, "origin": state.origin, "warnings": state.warnings})
        return
    typer.echo(f"{shown} ({state.origin})")
    _warn(state)


def _warn(state: CursorState) -> None:
    for warning in state.warnings:
        typer.echo(f"⚠️  {warning}", err=True)


def _say_effect(settings: Settings, moment: datetime | None) -> None:
    """What moving the cursor to `moment` (None: the default) would make the next run do."""
    from pipelines.health.stores import connect_to
    from sources.health.inspection import count_changes
    from sources.mongo_client import ServerClock

    client = connect_to(settings)
    now = ServerClock(client).now()
    state = _cursor(settings).peek(now)
    current = state.timestamp
    target = min(moment or default_start(now, timedelta(days=settings.default_lookback_days)), now)
    source = client[settings.mongo_db_name][SOURCE_COLLECTION]
    with progress("Counting"):
        changes = count_changes(source, min(target, current), max(target, current))
    typer.echo(f"The cursor would go from {format_timestamp(current)} to {format_timestamp(target)}.")
    what = "processed again" if target <= current else "SKIPPED if they were not processed yet"
    typer.echo(f"{_counted(changes)} changed between the two would be {what}.")
    typer.echo("Nothing was changed (--dry-run).")
    _warn(state)


def _counted(changes: Changes) -> str:
    least = "" if changes.complete else "at least "
    return f"{least}{changes.documents:,} documents of {least}{changes.users:,} users"


def _local_now() -> datetime:
    return datetime.now(timezone.utc)
