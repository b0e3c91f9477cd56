"""A place to break the pipeline in the demo: it runs as a process of its own, beside a server of its own.

What was sent is known here, record by record; what became of it is read from the ledger in PostgreSQL. So
whatever strikes, nobody has to believe the pipeline's own word.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import psycopg

from pipelines.ecommerce.demo import Feeder
from pipelines.ecommerce.local_server import LocalServer
from pipelines.engine.stop_flag import StopFlag
from settings import Settings
from sinks.ecommerce.connection import session
from told import told

DATABASE_AWAY_SECONDS: Final = 8.0
# As a service manager waits before it starts a process anew.
_RESTART_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 3.0
_ENDS: Final = """
    SELECT coalesce(sum(inserted), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,
        coalesce(sum(records_in - inserted - duplicates), 0)::bigint FROM user_event_batches
"""
_ROWS: Final = "SELECT count(*) FROM user_events"


@dataclass(frozen=True)
class Found:
    """What the ledger says became of the records, and the `rows` of the table, in one snapshot."""

    written: int
    duplicate: int
    refused: int
    rows: int

    @property
    def records(self) -> int:
        """How many came in."""
        return self.written + self.duplicate + self.refused


@dataclass
class Blow:
    """Something that was done to it: when, what, how many records had been sent by then.

    `caught_up` is when the database was first seen to have them all.
    """

    at: datetime
    what: str
    sent: int
    caught_up: datetime | None = None


class Rig:
    """The sender, the server, and the process that the demo hands its pipeline to when it `is_wanted`."""

    def __init__(
        self,
        server: LocalServer,
        settings: Settings,
        feeder: Feeder,
        command: Sequence[str] = (),
    ) -> None:
        """`command` runs the pipeline in place of `pulse`."""
        self.feeder = feeder
        self.blows: list[Blow] = []
        self.starts = 0
        self.database_is_up = True
        self.is_wanted = threading.Event()
        self._server, self._settings = server, settings
        self._command = command or shlex.split(told("ecommerce run"))
        self._process: subprocess.Popen[bytes] | None = None
        self._found: Found | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def supervise(self, stop: StopFlag) -> None:
        """Run the pipeline as a process, and start it again whenever it dies, until `stop`."""
        log = self._settings.log_directory / "process.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        while not stop():
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    self._command,
                    env={**os.environ, **self._environment()},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            self.starts += 1
            while self._process.poll() is None and not stop():
                stop.wait(_LOOK_SECONDS)
            if not stop():
                stop.wait(_RESTART_SECONDS)
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)

    def _environment(self) -> dict[str, str]:
        names = (
            *("postgres_dsn", "ecommerce_input_path", "ecommerce_interval_seconds", "checkpoint_location"),
            *("dlq_directory", "log_directory", "metrics_directory", "health_port"),
        )
        values = {name.upper(): getattr(self._settings, name) for name in names if name != "postgres_dsn"}
        given = {name: str(v.absolute() if isinstance(v, Path) else v) for name, v in values.items()}
        return {**given, "POSTGRES_DSN": self._server.dsn, "FAULT": ""}

    def found(self) -> Found | None:
        """What became of the records so far, by the database; the last answer while it is away."""
        with (
            suppress(psycopg.Error),
            session(
                self._server.dsn, read_only=True, quiet_seconds=_ANSWER_SECONDS, asks=False
            ) as connection,
        ):
            ends = connection.execute(_ENDS).fetchall()[0]
            self._found = found = Found(*ends, *connection.execute(_ROWS).fetchall()[0])
            for blow in self.blows:
                if blow.caught_up is None and found.records >= blow.sent:
                    blow.caught_up = datetime.now(timezone.utc)
        return self._found

    def kill(self) -> None:
        """Kill the pipeline's process where it stands: SIGKILL, which it cannot notice."""
        self._note("kill -9 of the pipeline")
        if self._process is not None:
            self._process.kill()

    def stop_database(self) -> None:
        """Kill PostgreSQL, as a power cut would; it comes back after some seconds."""
        self._note(f"kill -9 of PostgreSQL, away for {DATABASE_AWAY_SECONDS:g} s")
        self.database_is_up = False

        def again() -> None:
            self._server.run("kill")
            threading.Event().wait(DATABASE_AWAY_SECONDS)
            self._server.run("start")
            self.database_is_up = True

        threading.Thread(target=again, name="database", daemon=True).start()

    def send(self, what: str, write: Callable[[], object]) -> None:
        """Let the sender `write` something out of the ordinary."""
        write()
        self._note(what)

    def _note(self, what: str) -> None:
        self.blows.append(Blow(datetime.now(timezone.utc), what, self.feeder.records))
