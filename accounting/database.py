"""The accountant's SQLite file: its tables, and transactions of several sessions one after another."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from contracts import ConfigurationError, ServiceError
from contracts.versions import require_known

# Marks the file as ours.
_APPLICATION: Final = 0x53746F6B
# Each brings a file from the version of its place, from 1, to the next; none that has landed changes.
_MIGRATIONS: tuple[str, ...] = (
    # Version 2: credit notes are sales with `credits`; a void names what it voids, which none does twice.
    """
ALTER TABLE sales ADD COLUMN credits TEXT REFERENCES sales;
CREATE INDEX sales_credits ON sales (credits) WHERE credits IS NOT NULL;
CREATE INDEX sales_time ON sales (time DESC, invoice_id);
CREATE TABLE voids (
    invoice_id TEXT PRIMARY KEY, voids TEXT NOT NULL UNIQUE REFERENCES sales (invoice_id), time TEXT NOT NULL
)
""",
)
# A workbook of the greatest size is stored in less.
_BUSY_SECONDS: Final = 20.0
# Version 1, from which a new file is brought forward too.
_TABLES: Final = """
CREATE TABLE products (
    product_id TEXT PRIMARY KEY, name TEXT NOT NULL, category TEXT, quantity INTEGER NOT NULL,
    buy_cents INTEGER NOT NULL, sell_cents INTEGER NOT NULL, last_movement TEXT, expiry_date TEXT,
    batch_no TEXT, updated_at TEXT NOT NULL
);
CREATE TABLE clients (
    client_id TEXT PRIMARY KEY, name TEXT, email TEXT, phone TEXT, opening_cents INTEGER NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX products_updated_at ON products (updated_at DESC, product_id);
CREATE INDEX clients_updated_at ON clients (updated_at DESC, client_id);
CREATE TABLE sales (
    invoice_id TEXT PRIMARY KEY, client_id TEXT NOT NULL, time TEXT NOT NULL, amount_cents INTEGER NOT NULL
);
CREATE TABLE sale_items (
    invoice_id TEXT NOT NULL REFERENCES sales, line INTEGER NOT NULL, product_id TEXT NOT NULL,
    quantity INTEGER NOT NULL, PRIMARY KEY (invoice_id, line)
);
-- What was entered, for ever; a row of the outbox is one sending of it.
CREATE TABLE events (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT NULL,
    entered_at TEXT NOT NULL
);
CREATE INDEX events_entered_at ON events (entered_at);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_id INTEGER NOT NULL REFERENCES events,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    queued_at TEXT NOT NULL, sent_at TEXT, reason TEXT
);
CREATE INDEX outbox_state ON outbox (state, id);
CREATE INDEX outbox_waiting ON outbox (event_id) WHERE state = 'waiting';
CREATE TABLE sender (id INTEGER PRIMARY KEY CHECK (id = 1), fault TEXT, since TEXT);
INSERT INTO sender (id) VALUES (1);
"""


class BooksError(ServiceError):
    """The accountant's file cannot be read or written; nothing of what was asked for was saved."""


class BooksDatabase:
    """Connections to the file, one for each piece of work: any thread and process may have its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the file with its tables, or bring it forward to the newest version.

        Raises BooksError for another program's file, and for one of a newer version.
        """
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Clients' names and addresses are for this user alone; SQLite's other files get the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            with self._connection() as connection:
                # Before anything of the file is changed.
                self._version(connection)
                connection.execute("PRAGMA journal_mode = WAL")
        with self.write() as connection:
            _bring_forward(connection, self._version(connection))

    def is_prepared(self) -> bool:
        """Whether the file and its tables are there. Raises what `prepare` raises."""
        if not self.path.exists():
            return False
        with self.read() as connection:
            return self._version(connection) > 0

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of everything, for the block. Raises BooksError."""
        with self._explained(), self._connection() as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is stored, all of it and durably, at the end of the block. Raises BooksError."""
        with self._explained(), self._connection() as connection:
            # At once, so that the block changes the state that it reads.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def scrub(self) -> None:
        """Write the file anew, so that it holds nothing that was replaced or removed. Raises BooksError."""
        with self._explained(), self._connection() as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            # A power cut after COMMIT loses nothing.
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        finally:
            connection.close()

    def _version(self, connection: sqlite3.Connection) -> int:
        """The version of the file; 0 without tables."""
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if owner == _APPLICATION:
            try:
                require_known(version, 1 + len(_MIGRATIONS), str(self.path), "SQLITE_DB_PATH")
            except ConfigurationError as error:
                raise BooksError(str(error)) from None
            return version
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise BooksError(
                f"{self.path} holds tables of another program, which are left alone: set SQLITE_DB_PATH to a "
                "new file."
            )
        return 0

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BooksError(
                f"The accountant's file {self.path} cannot be used ({error}); nothing was saved. Check "
                "SQLITE_DB_PATH, the free space and who else has the file open."
            ) from error
        except OSError as error:
            raise BooksError(
                f"The accountant's file {self.path} cannot be made ({error.strerror}). Set SQLITE_DB_PATH to "
                "a file in a writable folder on a local disk."
            ) from error


def _bring_forward(connection: sqlite3.Connection, version: int) -> None:
    steps = (_TABLES, *_MIGRATIONS)
    if version == len(steps):
        return
    for script in steps[version:]:
        for statement in script.split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(steps)}")
