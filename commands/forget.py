"""`pulse forget`: takes a person out of everything that a pipeline keeps, with a receipt."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.common import FAILED, AsJson, confirm, prepare
from commands.terminal import console, print_json, table
from contracts import ConfigurationError, ServiceError
from monitoring.console import counted
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES

if TYPE_CHECKING:
    from pipelines.engine.forgetting import Forgetting, Found, Source

_USER = "Whom: a user's id or e-mail (health, e-commerce), or a client's id (stock)."
_KEEP = "Go on although the source still has records of the person, who then comes again."


def forget(
    user: Annotated[str, typer.Argument(metavar="PERSON", help=_USER)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what there is.")] = False,
    keep_source: Annotated[bool, typer.Option("--keep-source", help=_KEEP)] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    pipeline: str = DEFAULT_PIPELINE,
) -> None:
    """Take a person out of everything that the pipeline keeps, for good; the output is a receipt."""
    settings = prepare(sys.stderr)
    forgets = PIPELINES[pipeline].forgets
    if isinstance(forgets, str):
        raise ConfigurationError(forgets)
    task: Forgetting = forgets(settings, user)
    source = task.source()
    if source is None and keep_source:
        raise ConfigurationError(
            f"--keep-source: what the source of {pipeline} still has is not looked at, so nothing stops it."
        )
    seen = [*task.look()]
    is_held = source is not None and source.count > 0 and not keep_source
    if not dry_run:
        if source is not None and is_held:
            raise ServiceError(
                f"Nothing was forgotten: the source still has {told_of(source)} of the person. "
                f"{source.remedy} --keep-source forgets all the same."
            )
        count = sum(each.count for each in seen if each.act != "left")
        if count:
            confirm(f"Forget this person for good, in {count:,} things that are kept?", yes)
        seen = [*task.act()]
    receipt = _receipt(pipeline, task, source, seen, dry_run)
    if as_json:
        print_json(receipt)
    else:
        _print(receipt, seen, source if is_held else None)
    if not dry_run and any(each.act == "left" and each.count for each in seen):
        raise typer.Exit(FAILED)


def told_of(source: Source) -> str:
    """`20 days (health-metrics.healthmetrics)`."""
    return f"{counted(source.count, source.what)} ({source.place})"


def _receipt(
    pipeline: str, task: Forgetting, source: Source | None, seen: Iterable[Found], dry_run: bool
) -> dict[str, Any]:
    return {
        "pipeline": pipeline,
        "at": datetime.now(timezone.utc).replace(microsecond=0),
        "dry_run": dry_run,
        "person": dict(task.mark),
        "source": source and asdict(source),
        "found": [asdict(each) for each in seen],
        "reminders": [*task.reminders],
    }


def _print(receipt: Mapping[str, Any], seen: Iterable[Found], held_by: Source | None) -> None:
    screen, dry_run = console(), receipt["dry_run"]
    marked = ", ".join(f"{name} {value}" for name, value in receipt["person"].items())
    verb = "Counted, and nothing changed" if dry_run else "Forgotten"
    screen.print(
        f"{verb}: a person of {receipt['pipeline']}, {receipt['at']:%Y-%m-%d %H:%M:%S} UTC ({marked})"
    )
    rows = table("what", "where", "count", "would be" if dry_run else "became")
    for each in seen:
        rows.add_row(each.what, each.place, f"{each.count:,}", each.act if each.count else "")
    screen.print(rows)
    for each in seen:
        if each.note and each.count:
            screen.print(f"{each.what}: {each.note}")
    if held_by is not None:
        screen.print(f"The source still has {told_of(held_by)} of the person. {held_by.remedy}")
    for line in receipt["reminders"]:
        screen.print(line)
