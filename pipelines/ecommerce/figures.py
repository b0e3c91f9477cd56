"""The e-commerce pipeline's figures for people and scripts: `main.py metrics ecommerce` and the demo."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import psycopg

from contracts import ConfigurationError
from pipelines.engine.pipeline import Figures
from settings import Settings
from sinks.ecommerce.connection import session, wait_for_server
from sources.ecommerce.figures import EventFigures, Spread, read_figures
from told import told

# A table without the index on the time of insertion, or a server that is overloaded: better no answer.
_PATIENCE = "30s"


def load_figures(settings: Settings, window: timedelta) -> EventFigures:
    """What the database of POSTGRES_DSN says of the last `window`.

    Raises ConfigurationError with the remedy: no server, no tables, no right to read, too much to read.
    """
    dsn = settings.postgres_dsn.get_secret_value()
    wait_for_server(dsn, 0, lambda _line: None)
    try:
        with session(dsn, read_only=True, statement_timeout=f"'{_PATIENCE}'") as connection:
            return read_figures(connection, window)
    except psycopg.errors.UndefinedTable:
        raise ConfigurationError(
            "The database of POSTGRES_DSN has no tables of the e-commerce pipeline: start that once "
            f"({told('ecommerce run')}), or correct POSTGRES_DSN."
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"The user of POSTGRES_DSN may not read ({error.diag.message_primary}). Let it: "
            "GRANT SELECT ON user_events, user_event_batches TO …"
        ) from None
    except psycopg.errors.QueryCanceled:
        raise ConfigurationError(
            f"PostgreSQL did not answer within {_PATIENCE}: ask for fewer --minutes, or see what it is doing."
        ) from None


def figures(settings: Settings, window: timedelta) -> Figures:
    """The figures of the last `window`. Raises what `load_figures` raises."""
    found = load_figures(settings, window)
    return Figures(shown_figures(found), as_document(found))


def as_document(figures: EventFigures) -> dict[str, Any]:
    """The figures for scripts; times are ISO 8601, spans seconds, rates shares of 1."""
    last = figures.last_commit
    return {
        "time": figures.now.isoformat(),
        "window_seconds": figures.seconds,
        "batches": figures.batches,
        "records_in": figures.records_in,
        "inserted": figures.inserted,
        "duplicates": figures.duplicates,
        "rejected": dict(figures.rejected),
        "events_per_second": figures.events_per_second,
        "duplicate_rate": figures.duplicate_rate,
        "latency_seconds": asdict(figures.latency),
        "batch_seconds": asdict(figures.batch_seconds),
        "last_commit": last.isoformat() if last else None,
    }


def shown_figures(figures: EventFigures) -> dict[str, str]:
    """Each figure by name, as people read it."""
    rate, last = figures.duplicate_rate, figures.last_commit
    reasons = ", ".join(f"{count:,} × {reason}" for reason, count in figures.rejected.items())
    batches = "1 batch" if figures.batches == 1 else f"{figures.batches:,} batches"
    return {
        "Throughput": f"{figures.events_per_second:,.1f} events/s over {figures.seconds:,.0f} s",
        "Latency": _spread(figures.latency),
        "Batch time": f"{_spread(figures.batch_seconds)} ({batches})",
        "Duplicate rate": "–" if rate is None else f"{rate:.2%} of the valid records, seen at insert",
        "Accounting": (
            f"{figures.records_in:,} in = {figures.inserted:,} inserted + {figures.duplicates:,} duplicates"
            f" + {sum(figures.rejected.values()):,} rejected"
        ),
        "Rejected by rule": reasons or "none",
        "Last batch": "never" if last is None else f"{last:%Y-%m-%d %H:%M:%S} UTC",
    }


def _spread(spread: Spread) -> str:
    if spread.avg is None or spread.p50 is None or spread.p95 is None or spread.max is None:
        return "–"
    return f"avg {spread.avg:.2f} s, p50 {spread.p50:.2f} s, p95 {spread.p95:.2f} s, max {spread.max:.2f} s"
