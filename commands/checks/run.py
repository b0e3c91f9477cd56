"""The checks in their order, each on what the one before it has found usable."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

from commands.checks import backend, database, documents, kafka, machine, postgres, stock
from commands.checks.result import CheckResult, bounded, failed, ok, skipped, warning
from contracts import ConfigurationError
from monitoring import logs
from pipelines.catalog import PipelineName, open_letters, topics_by_setting
from pipelines.engine.letters_again import told_others
from settings import Settings, load, unknown_keys

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


def run_checks(pipeline: PipelineName) -> Iterator[CheckResult]:
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
