"""Checks for the health pipeline: its database, what lies in it, and the backend."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from commands.checks import backend, catalogue, database, documents, machine, webhook
from commands.checks.result import CheckResult, Looks, bounded
from settings import Settings

_DATABASE_CHECKS: Looks = (
    ("Read", database.can_read),
    ("Write", database.can_write),
    ("Poll index", database.poll_index),
    ("History index", database.history_index),
    ("Result indexes", database.result_indexes),
    ("Clocks", database.clock_skew),
    ("Unseen documents", documents.unseen_documents),
    ("Clocks of writers", documents.writers_clocks),
    ("Sources", documents.sources),
    ("User ids", documents.user_ids),
    ("Days", documents.local_days),
    ("Told", webhook.can_be_noted),
)


def run(settings: Settings) -> Iterator[CheckResult]:
    """All of them in order; what needs the server is skipped when that does not answer."""
    yield machine.connector_jars()
    yield bounded("Metrics", partial(catalogue.metrics, settings))
    yield from database.on_server(settings, _DATABASE_CHECKS)
    yield bounded("Backend", partial(backend.answers, settings))
    yield bounded("Webhook", partial(webhook.takes_notices, settings))
    if settings.notify_backend:
        yield webhook.backend_has_token(settings)
