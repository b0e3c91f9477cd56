"""Checks for the health pipeline: its database, what lies in it, and the backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from commands.checks import backend, database, documents, machine
from commands.checks.result import CheckResult, bounded, failed, skipped
from contracts import ConfigurationError
from settings import Settings

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


def run(settings: Settings) -> Iterator[CheckResult]:
    """All of them in order; what needs the server is skipped when that does not answer."""
    yield machine.connector_jars()
    yield from _database_results(settings)
    yield bounded("Backend", partial(backend.answers, settings))


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
