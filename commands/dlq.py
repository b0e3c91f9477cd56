"""`main.py dlq`: list, show, retry and purge dead letters."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from bson import json_util
from rich.table import Column

from commands.common import PipelineOption, confirm, prepare
from commands.terminal import console, print_json, progress, table
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from sinks.dead_letters import DeadLetters, Letter, Owner
from sinks.letter_files import fields_of
from sinks.stream_letters import RejectedRecord, records_of

app = typer.Typer(help="The dead letters: list, show, retry and purge them.")

LetterId = Annotated[str, typer.Argument(help="The letter's id, or its beginning, as `dlq list` shows it.")]


@app.command("list")
def dlq_list(
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts, without the records.")] = False,
) -> None:
    """List all letters, oldest first."""
    queue = PIPELINES[pipeline].open_letters(prepare(sys.stderr))
    letters = queue.list()
    _tell_of_others(queue)
    if as_json:
        print_json([{**fields_of(letter), "record": None} for letter in letters])
        return
    about = "user, reason" if PIPELINES[pipeline].letters_are_of_users else "source, records, reason"
    # Ids are there to be copied, also from a narrow terminal; in a pipe each letter is one line.
    name, tries = Column("id", no_wrap=True, min_width=12), Column("tries", min_width=5)
    rows = table(name, "time", Column(about, min_width=24), tries)
    for letter in letters:
        tried = f"{letter.attempts}{', parked' if letter.parked else ''}"
        rows.add_row(letter.id[:12], f"{letter.time:%Y-%m-%d %H:%M}", _about(letter, pipeline), tried)
    console().print(rows if letters else "The dead-letter queue is empty.")


def _tell_of_others(queue: DeadLetters) -> None:
    from pipelines.engine.letters_again import told_others

    if others := told_others(queue):
        typer.echo(others, err=True)


def _about(letter: Letter, pipeline: str) -> str:
    if PIPELINES[pipeline].letters_are_of_users:
        return f"{letter.user_id or 'nobody'} {letter.reason} {letter.field or ''}"
    return f"{letter.record.get('source', '')} {len(_records(letter))} {letter.reason}"


def _records(letter: Letter) -> Sequence[RejectedRecord]:
    return records_of(letter.record, letter.reason)


@app.command("show")
def dlq_show(letter_id: LetterId, pipeline: PipelineOption = DEFAULT_PIPELINE) -> None:
    """Show one letter with its whole record, as canonical Extended JSON."""
    letter = PIPELINES[pipeline].open_letters(prepare(sys.stderr)).get(letter_id, of_anybody=True)
    whose = f", of {Owner.parse(letter.owner).name}" if letter.owner else ""
    origin = f"batch {letter.batch_id}, {letter.time.isoformat()}{whose}"
    typer.echo(f"{letter.id}: {letter.reason} {letter.field or ''} ({origin})")
    typer.echo(json_util.dumps(letter.record, indent=2, json_options=json_util.CANONICAL_JSON_OPTIONS))


@app.command("retry")
def dlq_retry(
    letter_id: Annotated[
        str | None, typer.Argument(help="One letter; without it, all, parked ones too.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be retried.")] = False,
    pipeline: PipelineOption = DEFAULT_PIPELINE,
) -> None:
    """Recompute the letters' users, or judge their records again; remove letters whose reason is gone."""
    settings = prepare()
    letters = PIPELINES[pipeline].open_letters(settings)
    chosen = [letters.get(letter_id)] if letter_id else letters.list()
    _tell_of_others(letters)
    if dry_run or not chosen:
        typer.echo(f"{len(chosen)} letters {_of_whom(chosen, pipeline)} would be retried.")
        return
    with PIPELINES[pipeline].open_retry(settings) as retry, progress("Retrying"):
        outcome = retry(chosen)
    typer.echo(f"{len(outcome.resolved)} resolved, {len(outcome.kept)} kept.")


def _of_whom(letters: Sequence[Letter], pipeline: str) -> str:
    if PIPELINES[pipeline].letters_are_of_users:
        return f"of {len({letter.user_id for letter in letters})} users"
    return f"with {sum(len(_records(letter)) for letter in letters)} records"


@app.command("purge")
def dlq_purge(
    letter_id: Annotated[str | None, typer.Argument(help="One letter; without it, all.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    pipeline: PipelineOption = DEFAULT_PIPELINE,
) -> None:
    """Delete letters for good."""
    letters = PIPELINES[pipeline].open_letters(prepare(sys.stderr))
    chosen = [letters.get(letter_id)] if letter_id else letters.list()
    _tell_of_others(letters)
    if chosen:
        confirm(f"Delete {len(chosen)} dead letters for good?", yes)
    for letter in chosen:
        letters.delete(letter)
    typer.echo(f"{len(chosen)} letters deleted.")
