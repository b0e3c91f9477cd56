"""What the e-commerce demo is struck with: its process, its PostgreSQL, and the ledger in that."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import psycopg

from pipelines.ecommerce.demo import Feeder
from pipelines.ecommerce.local_server import LocalServer
from pipelines.engine.demo_rig import Found, Rig
from settings import Settings
from sinks.ecommerce.connection import session
from told import told

_AWAY_SECONDS: Final = 8.0
_ANSWER_SECONDS: Final = 3.0
_ENDS: Final = """
    SELECT coalesce(sum(inserted), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,
        coalesce(sum(records_in - inserted - duplicates), 0)::bigint FROM user_event_batches
"""
_ROWS: Final = "SELECT count(*) FROM user_events"


def open_rig(settings: Settings, feeder: Feeder, server: LocalServer, command: Sequence[str] = ()) -> Rig:
    """The rig of the demo of `settings` on its own `server`; `command` runs in place of `pulse`."""
    command = command or shlex.split(told("ecommerce run"))
    rig = Rig(settings, feeder, command, "PostgreSQL", partial(_find, server.dsn))
    rig.strikes |= {
        "Kill the database": lambda: rig.take_store(
            f"kill -9 of PostgreSQL, away for {_AWAY_SECONDS:g} s",
            lambda: server.run("kill"),
            _AWAY_SECONDS,
            lambda: server.run("start"),
        ),
        "Send garbage": lambda: rig.send("50 records that break a rule", feeder.send_garbage),
        "Send a file again": lambda: rig.send("the last file once more", feeder.send_again),
        "Commit late": lambda: rig.send("a file of events of an hour ago", feeder.send_late),
    }
    return rig


def _find(dsn: str) -> Found | None:
    """What the ledger and the table say, in one snapshot."""
    with (
        suppress(psycopg.Error),
        session(dsn, read_only=True, quiet_seconds=_ANSWER_SECONDS, asks=False) as connection,
    ):
        ends = connection.execute(_ENDS).fetchall()[0]
        (rows,) = connection.execute(_ROWS).fetchall()[0]
        return Found(dict(zip(("written", "duplicate", "refused"), ends, strict=True)), rows, ends[0])
    return None
