"""The tables of the e-commerce pipeline; made by the program, so that an empty database is enough."""

from __future__ import annotations

from typing import Any

import psycopg

from contracts.versions import require_known

EVENTS = "user_events"
LEDGER = "user_event_batches"

# By name. Names are fixed, so that a second start finds what the first made.
_STATEMENTS = {
    EVENTS: f"""
    CREATE TABLE {EVENTS} (
        event_id UUID PRIMARY KEY,
        user_id TEXT NOT NULL CHECK (user_id <> ''),
        product_id TEXT NOT NULL CHECK (product_id <> ''),
        product_name TEXT NOT NULL CHECK (product_name <> ''),
        product_category TEXT NOT NULL CHECK (product_category <> ''),
        event_type TEXT NOT NULL CHECK (event_type IN ('view', 'purchase')),
        price NUMERIC(10,2) CHECK (price >= 0),
        event_timestamp TIMESTAMPTZ NOT NULL,
        ingested_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        CHECK ((event_type = 'purchase') = (price IS NOT NULL))
    )
    """,
    f"{EVENTS}_event_timestamp": f"CREATE INDEX {EVENTS}_event_timestamp ON {EVENTS} (event_timestamp)",
    f"{EVENTS}_user_id": f"CREATE INDEX {EVENTS}_user_id ON {EVENTS} (user_id)",
    f"{EVENTS}_product_id": f"CREATE INDEX {EVENTS}_product_id ON {EVENTS} (product_id)",
    # Rows arrive in the order of this column, so the smallest kind of index finds the last minutes.
    f"{EVENTS}_ingested_at": f"""
    CREATE INDEX {EVENTS}_ingested_at ON {EVENTS} USING BRIN (ingested_at)
        WITH (pages_per_range = 32, autosummarize = on)
    """,
    # One row a batch, written in the transaction that inserts its events: what is here is done.
    LEDGER: f"""
    CREATE TABLE {LEDGER} (
        query_id UUID NOT NULL,
        batch_id BIGINT NOT NULL,
        records_in BIGINT NOT NULL,
        inserted BIGINT NOT NULL,
        duplicates BIGINT NOT NULL,
        rejected JSONB NOT NULL,
        latency JSONB NOT NULL,
        started_at TIMESTAMPTZ NOT NULL,
        committed_at TIMESTAMPTZ NOT NULL,
        reported BOOLEAN NOT NULL DEFAULT false,
        PRIMARY KEY (query_id, batch_id)
    )
    """,
    f"{LEDGER}_committed_at": f"CREATE INDEX {LEDGER}_committed_at ON {LEDGER} (committed_at)",
}
# Each brings the tables from the version of its place, from 1, to the next; none that has landed changes.
_MIGRATIONS: tuple[str, ...] = ()
# The comment on the ledger; without it they are of version 1.
_VERSION = "schema version "
# Two programs that start at once would both try to make the tables.
_LOCK = 5_072_026


def ensure_tables(connection: psycopg.Connection[Any]) -> None:
    """Make what is missing, and bring it forward; the caller's transaction covers all of it.

    Raises ConfigurationError when a newer program has brought the tables further.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    version = known_version(connection)
    for name, statement in _STATEMENTS.items():
        # IF NOT EXISTS would ask for the right to make what is there already.
        if connection.execute("SELECT to_regclass(%s)", [name]).fetchone() == (None,):
            connection.execute(statement)
    for number, statements in enumerate(_MIGRATIONS[version - 1 :], version + 1):
        connection.execute(statements)
        connection.execute(f"COMMENT ON TABLE {LEDGER} IS '{_VERSION}{number}'")


def known_version(connection: psycopg.Connection[Any]) -> int:
    """The version of the tables. Raises ConfigurationError when this program does not know it."""
    asked = "SELECT obj_description(to_regclass(%s), 'pg_class')"
    ((comment,),) = connection.execute(asked, [LEDGER]).fetchall()
    told = str(comment or "").removeprefix(_VERSION)
    version = int(told) if told.isdecimal() and told != comment else 1
    require_known(version, 1 + len(_MIGRATIONS), "The database", "POSTGRES_DSN")
    return version
