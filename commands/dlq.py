"""`main.py dlq`: list, show, retry and purge dead letters."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import typer
from bson import json_util

from commands.common import PipelineOption, confirm, prepare
from commands.letter_tables import letters_table, reasons_table
from commands.terminal import console, print_json
from contracts import ConfigurationError, StoppedError, most
from monitoring.console import counted
from monitoring.progress_bar import progress
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from pipelines.engine.stop_flag import StopFlag
from pipelines.letter_words import words_of
from settings import Settings
from sinks.dead_letters import DamagedLetter, DeadLetters, Letter, Owner
from sinks.letter_files import fields_of
from sinks.letter_folder import LetterFolder
from sinks.stream_letters import RejectedRecord, records_of
from told import told

app = typer.Typer(help="The dead letters: list, show, retry and purge them.")

LetterId = Annotated[
    str, typer.Argument(help="The letter's id, or its beginning, as `dlq list --all` shows it.")
]
_NAMES_SHOWN = 5


@app.command("list")
def dlq_list(
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    every: Annotated[bool, typer.Option("--all", help="Each letter, oldest first.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts: each letter, without the records.")
    ] = False,
) -> None:
    """List why there are letters, or each letter; exit code 1 when some files cannot be read."""
    if every and as_json:
        raise ConfigurationError("--json has each letter anyway: leave out --all.")
    settings = prepare(sys.stderr)
    queue = _open(pipeline, settings, as_json)
    damaged: list[DamagedLetter] = []
    letters = _readable(queue.read(), damaged)
    if as_json:
        print_json([{**fields_of(letter), "record": None} for letter in letters])
    else:
        _print_table(pipeline, letters, queue, every)
        _tell_of_other_pipelines(pipeline, settings, queue)
    _tell_damaged(pipeline, damaged)


def _print_table(pipeline: str, letters: Iterator[Letter], queue: DeadLetters, every: bool) -> None:
    of_users, total = PIPELINES[pipeline].letters_are_of_users, ""
    if every:
        rows = letters_table(letters, of_users)
    else:
        rows, total = reasons_table(letters, of_users)
    if rows.row_count:
        console().print(rows)
    elif queue.is_there():
        typer.echo(f"The dead-letter queue of {pipeline} in {queue.directory.absolute()} is empty.")
    if rows.row_count and total:
        each, one = told(f"{pipeline} dlq list --all"), told(f"{pipeline} dlq show ID")
        typer.echo(f"{total}. Each of them: `{each}`; what one is about: `{one}`.")


def _open(pipeline: str, settings: Settings, as_json: bool = False) -> DeadLetters:
    """The queue; say whether there is a folder, and letters of others. Raises DeadLetterError."""
    from pipelines.engine.letters_again import told_others

    queue = PIPELINES[pipeline].open_letters(settings)
    if not queue.is_there():
        typer.echo(
            f"The dead-letter queue of {pipeline} is empty: there is no folder {queue.directory.absolute()}. "
            "No letter was ever stored there, or DLQ_DIRECTORY names another folder.",
            err=as_json,
        )
    elif others := told_others(queue):
        # Where nothing else is said, it is the answer.
        typer.echo(others, err=as_json or queue.count() > 0)
    return queue


def _tell_of_other_pipelines(pipeline: str, settings: Settings, queue: DeadLetters) -> None:
    for other in PIPELINES.values():
        prefix = "analytics" if other.letters_are_of_users else other.name
        if other.name != pipeline and (
            count := len(LetterFolder(settings.dlq_directory, f"{prefix}_dlq").files())
        ):
            what = f"{counted(count, 'letter')} of {other.name} {'lies' if count == 1 else 'lie'} there too"
            typer.echo(f"{what}: `{told(f'{other.name} dlq list')}` shows more.", err=queue.count() > 0)


def _readable(found: Iterable[Letter | DamagedLetter], damaged: list[DamagedLetter]) -> Iterator[Letter]:
    """Pass the letters on one after another, and put what is damaged into `damaged`."""
    for each in found:
        if isinstance(each, Letter):
            yield each
        else:
            damaged.append(each)


def _tell_damaged(pipeline: str, damaged: Sequence[DamagedLetter]) -> None:
    """Name the damaged files and what can be done; raise typer.Exit with 1 when there are some."""
    if not damaged:
        return
    names = "; ".join(f"{one.path.name} ({one.reason})" for one in damaged[:_NAMES_SHOWN])
    more = f"; and {len(damaged) - _NAMES_SHOWN} more" if len(damaged) > _NAMES_SHOWN else ""
    typer.echo(
        f"❌ {counted(len(damaged), 'file')} in {damaged[0].path.parent.absolute()} cannot be read: {names}"
        f"{more}. "
        f"`{told(f'{pipeline} dlq show NAME')}` shows what is there, "
        f"`{told(f'{pipeline} dlq purge NAME')}` removes it.",
        err=True,
    )
    raise typer.Exit(1)


def _records(letter: Letter) -> Sequence[RejectedRecord]:
    return records_of(letter.record, letter.reason)


@app.command("show")
def dlq_show(
    letter_id: LetterId,
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    as_json: Annotated[bool, typer.Option("--json", help="The letter's file as it is.")] = False,
) -> None:
    """Show one letter, and copies of it: what is wrong and how to mend it, then the whole record.

    The record is canonical Extended JSON.
    """
    damaged: list[DamagedLetter] = []
    found = _open(pipeline, prepare(sys.stderr), as_json).named(letter_id, of_anybody=True)
    for letter in _readable(found, damaged):
        if as_json and letter.path:
            typer.echo(letter.path.read_text(encoding="utf-8"))
            continue
        whose = f", of {Owner.parse(letter.owner).name}" if letter.owner else ""
        again = f", {letter.times} times until {letter.last_seen.isoformat()}" if letter.last_seen else ""
        origin = f"batch {letter.batch_id}, {letter.time.isoformat()}{again}{whose}"
        typer.echo(f"{letter.id}: {letter.reason} {letter.field or ''} ({origin})")
        for line in words_of(letter, pipeline):
            typer.echo(line)
        typer.echo(json_util.dumps(letter.record, indent=2, json_options=json_util.CANONICAL_JSON_OPTIONS))
    for each in damaged:
        typer.echo(f"{each.path.name}: {each.reason}\n{_text_of(each)}")
    _tell_damaged(pipeline, damaged)


def _text_of(damaged: DamagedLetter) -> str:
    try:
        return damaged.path.read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return ""


@app.command("retry")
def dlq_retry(
    letter_id: Annotated[
        str | None, typer.Argument(help="One letter; without it, all, parked ones too.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be retried.")] = False,
    pipeline: PipelineOption = DEFAULT_PIPELINE,
) -> None:
    """Compute the letters' users, or judge their records again; remove letters whose reason is gone.

    Ctrl+C or SIGTERM finish the running piece; then the exit code is 3.
    """
    settings = prepare()
    queue = _open(pipeline, settings)
    damaged: list[DamagedLetter] = []
    named = queue.named(letter_id) if letter_id else None
    letters = _readable(queue.read() if named is None else named, damaged)
    some = queue.count() if named is None else any(isinstance(each, Letter) for each in named)
    if dry_run or not some:
        typer.echo(f"{_counted(letters, pipeline)} would be retried.")
    else:
        stop, reasons = StopFlag(), dict[str, str]()
        with PIPELINES[pipeline].open_retry(settings) as retry, progress("Retrying"), stop.on_signals():
            outcome = retry(_noting_reasons(letters, reasons), stop)
        why = Counter(reasons[letter_id] for letter_id in outcome.kept if letter_id in reasons)
        reasons_told = ", ".join(f"{count} × {reason}" for reason, count in most(why).items())
        kept = f"{len(outcome.kept)} kept{reasons_told and f': {reasons_told}'}"
        typer.echo(f"{len(outcome.resolved)} resolved, {kept}.")
        if outcome.stopped:
            raise StoppedError("Stopped before the end; the other letters are kept for the next retry.")
    _tell_damaged(pipeline, damaged)


def _noting_reasons(letters: Iterator[Letter], reasons: dict[str, str]) -> Iterator[Letter]:
    for letter in letters:
        reasons[letter.id] = f"{letter.field}: {letter.reason}" if letter.field else letter.reason
        yield letter


def _counted(letters: Iterator[Letter], pipeline: str) -> str:
    of_users = PIPELINES[pipeline].letters_are_of_users
    count, records, users = 0, 0, set()
    for letter in letters:
        count += 1
        users.add(letter.user_id)
        records += len(_records(letter))
    rest = f"of {counted(len(users), 'user')}" if of_users else f"with {counted(records, 'record')}"
    return f"{counted(count, 'letter')} {rest}"


@app.command("purge")
def dlq_purge(
    letter_id: Annotated[
        str | None, typer.Argument(help="One letter with its copies, or a file's name; without it, all.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    pipeline: PipelineOption = DEFAULT_PIPELINE,
) -> None:
    """Delete letters for good, damaged ones too."""
    queue = _open(pipeline, prepare(sys.stderr))
    named = queue.named(letter_id) if letter_id else None
    count = queue.count() if named is None else len(named)
    if count:
        confirm(f"Delete {counted(count, 'dead letter')} for good?", yes)
    if named is not None:
        queue.delete(*named)
    stop = StopFlag()
    with stop.on_signals():
        done = queue.purge(stop) if named is None else count
    typer.echo(f"{counted(done, 'letter')} deleted.")
    if done < count:
        raise StoppedError("Stopped before the end; the other letters are still there.")
