"""`main.py dlq`: what was set aside, and trying it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from bson import json_util
from rich.table import Column, Table

from commands.common import prepare
from commands.terminal import console, progress
from pipelines.catalog import PipelineName, open_letters, open_retry
from sinks.dead_letters import Letter

app = typer.Typer(help="The dead-letter queue: what was set aside, and trying it again.")

LetterId = Annotated[str, typer.Argument(help="The letter's id, or its beginning, as `dlq list` shows it.")]


Pipeline = Annotated[PipelineName, typer.Option(help="Whose dead letters.")]


@app.command("list")
def dlq_list(pipeline: Pipeline = PipelineName.HEALTH) -> None:
    """All letters, oldest first."""
    letters = open_letters(pipeline, prepare()).list()
    about = ("field", "user") if pipeline is PipelineName.HEALTH else ("records", "source")
    # The id is there to be copied, also from a narrow terminal.
    table = Table(Column("id", no_wrap=True, min_width=12), "time", "reason", *about, "attempts", "parked")
    for letter in letters:
        cells = (letter.id[:12], f"{letter.time:%Y-%m-%d %H:%M:%S}", letter.reason)
        parked = "yes" if letter.parked else ""
        table.add_row(*cells, *_about(letter, pipeline), str(letter.attempts), parked)
    console().print(table if letters else "The dead-letter queue is empty.")


def _about(letter: Letter, pipeline: PipelineName) -> tuple[str, str]:
    if pipeline is PipelineName.HEALTH:
        return letter.field or "", letter.user_id or ""
    return str(len(letter.record.get("records", ()))), str(letter.record.get("source", ""))


@app.command("show")
def dlq_show(letter_id: LetterId, pipeline: Pipeline = PipelineName.HEALTH) -> None:
    """One letter with its whole record, as canonical Extended JSON."""
    letter = open_letters(pipeline, prepare()).get(letter_id)
    origin = f"batch {letter.batch_id}, {letter.time.isoformat()}"
    typer.echo(f"{letter.id}: {letter.reason} {letter.field or ''} ({origin})")
    typer.echo(json_util.dumps(letter.record, indent=2, json_options=json_util.CANONICAL_JSON_OPTIONS))


@app.command("retry")
def dlq_retry(
    letter_id: Annotated[
        str | None, typer.Argument(help="One letter; without it, all, parked ones too.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be retried.")] = False,
    pipeline: Pipeline = PipelineName.HEALTH,
) -> None:
    """Recompute the letters' users, or process their records again; what is mended is removed."""
    settings = prepare()
    letters = open_letters(pipeline, settings)
    chosen = [letters.get(letter_id)] if letter_id else letters.list()
    if dry_run or not chosen:
        typer.echo(f"{len(chosen)} letters {_of_whom(chosen, pipeline)} would be retried.")
        return
    with open_retry(pipeline, settings) as retry, progress("Retrying"):
        outcome = retry(chosen)
    typer.echo(f"{len(outcome.resolved)} resolved, {len(outcome.kept)} kept.")


def _of_whom(letters: Sequence[Letter], pipeline: PipelineName) -> str:
    if pipeline is PipelineName.HEALTH:
        return f"of {len({letter.user_id for letter in letters})} users"
    return f"with {sum(len(letter.record.get('records', ())) for letter in letters)} records"


@app.command("purge")
def dlq_purge(
    letter_id: Annotated[str | None, typer.Argument(help="One letter; without it, all.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    pipeline: Pipeline = PipelineName.HEALTH,
) -> None:
    """Delete letters for good."""
    letters = open_letters(pipeline, prepare())
    chosen = [letters.get(letter_id)] if letter_id else letters.list()
    if chosen and not yes:
        typer.confirm(f"Delete {len(chosen)} dead letters for good?", abort=True)
    for letter in chosen:
        letters.delete(letter.id)
    typer.echo(f"{len(chosen)} letters deleted.")
