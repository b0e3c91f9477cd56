"""The command line: parses arguments, builds settings, runs pipelines. The only place that exits.

`python main.py` (or `spark-submit main.py`) runs the health stream.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import typer
from bson import json_util
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.table import Column, Table

from contracts import AlreadyRunningError, ConfigurationError, ServiceError
from monitoring import logs
from pipelines.catalog import OPENERS, PipelineName
from pipelines.health import open_cursor, open_letters, open_pipeline
from pipelines.runner import StopFlag
from settings import Settings, load, unknown_keys

app = typer.Typer(
    add_completion=False, help="Streaming analytics for MongoDB with Spark.", no_args_is_help=False
)
dlq_app = typer.Typer(help="The dead-letter queue: what was set aside, and trying it again.")
checkpoint_app = typer.Typer(help="The cursor: from when on changes are processed.")
app.add_typer(dlq_app, name="dlq")
app.add_typer(checkpoint_app, name="checkpoint")

LetterId = Annotated[str, typer.Argument(help="The letter's id, or its beginning, as `dlq list` shows it.")]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    pipeline: Annotated[PipelineName, typer.Option(help="Which pipeline to run.")] = PipelineName.HEALTH,
    once: Annotated[bool, typer.Option("--once", help="Process what is there, then stop.")] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Run on an embedded store with simulated users.")
    ] = False,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Let the demo run until Ctrl+C.")
    ] = False,
) -> None:
    """Run a pipeline until it is stopped (Ctrl+C or SIGTERM finish the running batch)."""
    if context.invoked_subcommand:
        return
    if demo:
        from pipelines.demo import run_demo

        run_demo(keep_running, Console())
        return
    settings = prepare()
    with OPENERS[pipeline](settings, not once) as job:
        stop = StopFlag()
        with stop.on_signals():
            succeeded = job.once(stop) if once else job.stream(stop)
        job.finish(typer.echo)
    if not succeeded:
        raise typer.Exit(1)


def prepare(**overrides: Any) -> Settings:
    """Settings, with logging configured and unknown keys of `.env` told."""
    settings = load(**overrides)
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    for line in unknown_keys():
        logs.get_logger(__name__).warning(line)
    return settings


@dlq_app.command("list")
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
    Console().print(table if letters else "The dead-letter queue is empty.")


@dlq_app.command("show")
def dlq_show(letter_id: LetterId) -> None:
    """One letter with its whole record, as canonical Extended JSON."""
    letter = open_letters(prepare()).get(letter_id)
    origin = f"batch {letter.batch_id}, {letter.time.isoformat()}"
    typer.echo(f"{letter.id}: {letter.reason} {letter.field or ''} ({origin})")
    typer.echo(json_util.dumps(letter.record, indent=2, json_options=json_util.CANONICAL_JSON_OPTIONS))


@dlq_app.command("retry")
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
    with open_pipeline(settings, False) as job:
        outcome = job.letters.run(chosen)
    typer.echo(f"{len(outcome.resolved)} resolved, {len(outcome.kept)} kept.")


@dlq_app.command("purge")
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


@checkpoint_app.command("show")
def checkpoint_show() -> None:
    """The cursor and where it comes from."""
    state = open_cursor(prepare()).read(_local_now())
    typer.echo(f"{state.timestamp.isoformat().replace('+00:00', 'Z')} ({state.origin})")


@checkpoint_app.command("set")
def checkpoint_set(
    when: Annotated[str, typer.Argument(help="ISO 8601; without an offset it is UTC.")],
) -> None:
    """Reprocess what changed since WHEN; safe while the job runs."""
    cursor = open_cursor(prepare())
    cursor.set(parse_time(when), _local_now())
    checkpoint_show()


@checkpoint_app.command("reset")
def checkpoint_reset() -> None:
    """Remove the cursor: the next run starts 30 days ago."""
    open_cursor(prepare()).reset()
    checkpoint_show()


def parse_time(text: str) -> datetime:
    """ISO 8601 text as UTC. Raises ConfigurationError with examples."""
    from checkpoint.cursor import parse_timestamp

    try:
        return parse_timestamp(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z."
        ) from None


def _local_now() -> datetime:
    from datetime import timezone

    return datetime.now(timezone.utc)


def guarded(call: Callable[[], Any]) -> int:
    """Run `call`; faults that a person can mend become one line on stderr and exit code 2."""
    try:
        call()
    except (ConfigurationError, AlreadyRunningError) as error:
        typer.echo(f"❌ {error}", err=True)
        return 2
    except ServiceError as error:
        typer.echo(f"❌ {error}", err=True)
        return 1
    except PyMongoError as error:
        typer.echo(f"❌ {logs.redact(_mongo_remedy(error))}", err=True)
        return 2
    return 0


def _mongo_remedy(error: PyMongoError) -> str:
    first_line = str(error).partition(", Timeout:")[0]
    name = type(error).__name__
    return f"MongoDB at MONGO_URI does not answer as needed ({name}: {first_line}). Check MONGO_URI."


if __name__ == "__main__":
    sys.exit(guarded(app))
