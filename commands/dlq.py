"""`main.py dlq`: what was set aside, and trying it again."""

from __future__ import annotations

from typing import Annotated

import typer
from bson import json_util
from rich.table import Column, Table

from commands.common import prepare
from commands.terminal import console, progress
from pipelines.health.job import open_pipeline
from pipelines.health.stores import open_letters

app = typer.Typer(help="The dead-letter queue: what was set aside, and trying it again.")

LetterId = Annotated[str, typer.Argument(help="The letter's id, or its beginning, as `dlq list` shows it.")]


@app.command("list")
def dlq_list() -> None:
    """All letters, oldest first."""
    letters = open_letters(prepare()).list()
    # The id is there to be copied, also from a narrow terminal.
    table = Table(
        Column("id", no_wrap=True, min_width=12), "time", "reason", "field", "user", "attempts", "parked"
    )
    for letter in letters:
        cells = (letter.id[:12], f"{letter.time:%Y-%m-%d %H:%M:%S}", letter.reason, letter.field or "")
        table.add_row(*cells, letter.user_id or "", str(letter.attempts), "yes" if letter.parked else "")
    console().print(table if letters else "The dead-letter queue is empty.")


@app.command("show")
def dlq_show(letter_id: LetterId) -> None:
    """One letter with its whole record, as canonical Extended JSON."""
    letter = open_letters(prepare()).get(letter_id)
    origin = f"batch {letter.batch_id}, {letter.time.isoformat()}"
    typer.echo(f"{letter.id}: {letter.reason} {letter.field or ''} ({origin})")
    typer.echo(json_util.dumps(letter.record, indent=2, json_options=json_util.CANONICAL_JSON_OPTIONS))


@app.command("retry")
def dlq_retry(
    letter_id: Annotated[
        str | None, typer.Argument(help="One letter; without it, all, parked ones too.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be retried.")] = False,
) -> None:
    """Recompute the letters' users; a letter whose reason is gone is removed."""
    settings = prepare()
    letters = open_letters(settings)
    chosen = [letters.get(letter_id)] if letter_id else letters.list()
    if dry_run or not chosen:
        users = len({letter.user_id for letter in chosen})
        typer.echo(f"{len(chosen)} letters of {users} users would be retried.")
        return
    with open_pipeline(settings, False) as job, progress("Retrying"):
        outcome = job.letters.run(chosen)
    typer.echo(f"{len(outcome.resolved)} resolved, {len(outcome.kept)} kept.")


@app.command("purge")
def dlq_purge(
    letter_id: Annotated[str | None, typer.Argument(help="One letter; without it, all.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete letters for good."""
    letters = open_letters(prepare())
    chosen = [letters.get(letter_id)] if letter_id else letters.list()
    if chosen and not yes:
        typer.confirm(f"Delete {len(chosen)} dead letters for good?", abort=True)
    for letter in chosen:
        letters.delete(letter.id)
    typer.echo(f"{len(chosen)} letters deleted.")
