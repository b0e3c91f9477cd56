"""`main.py checkpoint`: the cursor, from when on changes are processed."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from checkpoint.store import default_start
from checkpoint.timestamp_text import format_timestamp
from commands.common import AsJson, confirm, mongo_fault, parse_time, prepare
from commands.cursor_lag import lag_of
from commands.terminal import print_json
from contracts.health import SOURCE_COLLECTION
from monitoring.console import counted
from monitoring.progress_bar import progress

if TYPE_CHECKING:
    from checkpoint.store import CheckpointStore, CursorState
    from settings import Settings
    from sources.health.inspection import Changes

app = typer.Typer(help="The cursor: from when on changes are processed.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be processed again.")]

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before changes are skipped.")]


@app.command("show")
def checkpoint_show(as_json: AsJson = False) -> None:
    """The cursor, where it comes from, how old it is, and what has changed since and waits."""
    settings = prepare(sys.stderr)
    state = _cursor(settings).peek(_local_now())
    facts, sentence = lag_of(settings, state)
    if as_json:
        shown = {"timestamp": format_timestamp(state.timestamp), "origin": state.origin}
        print_json({**shown, "warnings": state.warnings, **facts})
        return
    _show(state)
    typer.echo(sentence)


@app.command("set")
def checkpoint_set(
    when: Annotated[str, typer.Argument(help="ISO 8601; without an offset it is UTC.")],
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Reprocess what changed since WHEN, or skip what changed before it; safe while the job runs."""
    _move(prepare(sys.stderr), parse_time(when), dry_run, yes)


@app.command("reset")
def checkpoint_reset(dry_run: DryRun = False, yes: Yes = False) -> None:
    """Remove the cursor: the next run starts DEFAULT_LOOKBACK_DAYS ago."""
    _move(prepare(sys.stderr), None, dry_run, yes)


def _move(settings: Settings, moment: datetime | None, dry_run: bool, yes: bool) -> None:
    """Move the cursor to `moment` (None: the default); ask before changes are skipped."""
    cursor = _cursor(settings)
    if dry_run:
        _say_effect(settings, moment, True)
        typer.echo("Nothing was changed (--dry-run).")
        return
    now = _local_now()
    if _target(settings, moment, now) > cursor.peek(now).timestamp and _skips(settings, moment):
        confirm("Skip them?", yes)
    if moment is None:
        cursor.reset()
    else:
        cursor.set(moment, now)
    _show(_cursor(settings).peek(_local_now()))


def _skips(settings: Settings, moment: datetime | None) -> bool:
    """Say what moving the cursor forward to `moment` skips; returns whether that is anything."""
    from pymongo.errors import PyMongoError

    try:
        return _say_effect(settings, moment, False) > 0
    except PyMongoError as error:
        typer.echo(f"⚠️  What that skips cannot be counted: {mongo_fault(error)}", err=True)
        return True


def _target(settings: Settings, moment: datetime | None, now: datetime) -> datetime:
    return min(moment or default_start(now, timedelta(days=settings.default_lookback_days)), now)


def _cursor(settings: Settings) -> CheckpointStore:
    from pipelines.health.stores import open_cursor

    return open_cursor(settings)


def _show(state: CursorState) -> None:
    typer.echo(f"{format_timestamp(state.timestamp)} ({state.origin})")
    _warn(state)


def _warn(state: CursorState) -> None:
    for warning in state.warnings:
        typer.echo(f"⚠️  {warning}", err=True)


def _say_effect(settings: Settings, moment: datetime | None, conditional: bool) -> int:
    """Say what moving the cursor to `moment` (None: the default) does; returns how many changes it skips."""
    from pipelines.health.stores import connect_to
    from sources.health.inspection import count_changes
    from sources.mongo_client import ServerClock

    client = connect_to(settings)
    now = ServerClock(client).now()
    state = _cursor(settings).peek(now)
    current, target = state.timestamp, _target(settings, moment, now)
    source = client[settings.mongo_db_name][SOURCE_COLLECTION]
    with progress("Counting"):
        changes = count_changes(source, min(target, current), max(target, current))
    would = "would go" if conditional else "goes"
    if moment and moment > now:
        typer.echo(f"{format_timestamp(moment)} lies in the future: the server's now takes its place.")
    typer.echo(f"The cursor {would} from {format_timestamp(current)} to {format_timestamp(target)}.")
    what = "processed again" if target <= current else "SKIPPED if they were not processed yet"
    be = "would be" if conditional else "is" if changes.documents == 1 else "are"
    typer.echo(f"{_counted(changes)} changed between the two {be} {what}.")
    _warn(state)
    return changes.documents if target > current else 0


def _counted(changes: Changes) -> str:
    least = "" if changes.complete else "at least "
    return f"{least}{counted(changes.documents, 'document')} of {least}{counted(changes.users, 'user')}"


def _local_now() -> datetime:
    return datetime.now(timezone.utc)
