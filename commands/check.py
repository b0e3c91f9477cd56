"""`main.py check`: whether the machine, the database and the backend are as the service needs them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer
from rich.table import Column
from rich.text import Text

from commands.checks import backend, database, documents, kafka, machine, postgres, stock
from commands.checks.result import CheckResult, bounded, failed, ok, skipped, warning
from commands.terminal import console, print_json, progress, table
from contracts import ConfigurationError
from monitoring import logs
from pipelines.catalog import PipelineName, open_letters, topics_by_setting
from pipelines.engine.letters_again import told_others
from settings import Settings, load, unknown_keys

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
_DATABASE_CHECKS: tuple[tuple[str, Callable[[database.Database], CheckResult]], ...] = (
    ("Read", database.can_read),
    ("Write", database.can_write),
    ("Poll index", database.poll_index),
    ("Result indexes", database.result_indexes),
    ("Clocks", database.clock_skew),
    ("Unseen documents", documents.unseen_documents),
    ("Clocks of writers", documents.writers_clocks),
    ("Sources", documents.sources),
    ("User ids", documents.user_ids),
    ("Days", documents.local_days),
)


def check(
    pipeline: Annotated[PipelineName, typer.Option(help="Whose servers and folders.")] = PipelineName.HEALTH,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")] = False,
) -> None:
    """Look at Java, servers, rights, indexes, topics, clocks, folders, backend; exit code 2 if one fails."""
    with progress("Checking"):
        results = list(run_checks(pipeline))
    good = all(result.status != "failed" for result in results)
    if as_json:
        print_json({"ok": good, "checks": [asdict(result) for result in results]})
    else:
        _print(results)
    if not good:
        raise typer.Exit(2)


def run_checks(pipeline: PipelineName = PipelineName.HEALTH) -> Iterator[CheckResult]:
    """Every check in order; what depends on a failed one is skipped. Never raises, never hangs."""
    yield bounded("Python", machine.python)
    yield bounded("Packages", machine.packages)
    yield bounded("Java", machine.java)
    try:
        settings = load()
    except ConfigurationError as error:
        logs.configure("WARNING", stream=sys.stderr)
        yield failed("Settings", str(error), "Correct them; `python main.py config` shows them afterwards.")
        return
    logs.configure(settings.log_level, settings.secrets(), settings.log_json, sys.stderr)
    yield _settings_result()
    yield bounded("Time zone", partial(machine.time_zone, settings))
    for name, path in machine.folders(settings).items():
        yield bounded(name, partial(machine.folder, name, path))
    if others := told_others(open_letters(pipeline, settings)):
        yield warning("Dead letters", others, "Give each deployment a DLQ_DIRECTORY of its own.")
    yield from _server_results(pipeline, settings)


def _server_results(pipeline: PipelineName, settings: Settings) -> Iterator[CheckResult]:
    if topics := topics_by_setting(pipeline, settings):
        yield from kafka.run(settings, topics)
    match pipeline:
        case PipelineName.HEALTH:
            yield machine.connector_jars()
            yield from _database_results(settings)
            yield bounded("Backend", partial(backend.answers, settings))
        case PipelineName.ECOMMERCE:
            yield from postgres.run(settings)
        case PipelineName.STOCK:
            yield from stock.run(settings)


def _settings_result() -> CheckResult:
    unknown = unknown_keys()
    if unknown:
        return warning("Settings", "\n".join(unknown), "Rename or remove them: they have no effect.")
    return ok("Settings", "valid, no unknown key in .env")


def _database_results(settings: Settings) -> Iterator[CheckResult]:
    try:
        opened = database.Database.open(settings)
    except ConfigurationError as error:
        first = failed("MongoDB", str(error), "Correct MONGO_URI.")
    else:
        first = bounded("MongoDB", partial(database.reachable, opened))
    yield first
    for name, look in _DATABASE_CHECKS:
        if first.status == "failed":
            yield skipped(name, "MongoDB does not answer")
        else:
            yield bounded(name, partial(look, opened))


def _print(results: list[CheckResult]) -> None:
    # Words, not symbols: terminals disagree about how wide those are, and screen readers about their names.
    rows = table("status", "check", Column("found", overflow="fold"))
    for result in results:
        cell = Text(logs.redact(result.detail))
        if result.remedy:
            cell.append(f"\n→ {logs.redact(result.remedy)}", _STYLES[result.status])
        rows.add_row(Text(result.status, _STYLES[result.status]), result.name, cell)
    screen = console()
    screen.print(rows)
    count = Counter[str](result.status for result in results)
    screen.print()
    screen.print(", ".join(f"{count[status]} {status}" for status in _STYLES))
