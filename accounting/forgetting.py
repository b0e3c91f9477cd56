"""Gives a client another name in the accountant's file, and in its messages; amounts stay."""

from __future__ import annotations

import sqlite3

from accounting.database import BooksDatabase
from accounting.messages import CLIENTS, SALES
from analytics.stock.nameless import Client, without

_OF_CLIENT = "SELECT id, payload FROM events WHERE (kind = ? AND key = ?) OR kind = ?"


def told_of(database: BooksDatabase, client_id: str) -> set[str]:
    """The name and addresses that the file has of the client. Raises BooksError."""
    with database.read() as connection:
        asked = "SELECT name, email, phone FROM clients WHERE client_id = ?"
        row = connection.execute(asked, (client_id,)).fetchone()
        return {text for text in row or () if text}


def count_client(database: BooksDatabase, client: Client) -> int:
    """How many rows are about the client. Raises BooksError."""
    with database.read() as connection:
        rows = sum(
            connection.execute(
                f"SELECT count(*) FROM {table} WHERE client_id = ?", (client.client_id,)
            ).fetchone()[0]
            for table in ("clients", "sales")
        )
        return int(rows) + len(_messages(connection, client))


def rename_client(database: BooksDatabase, client: Client) -> int:
    """Put the pseudonym in the client's place, for good; returns in how many rows. Raises BooksError.

    What waits for Kafka goes there under the pseudonym, and so does what is sent again.
    """
    old, new = client.client_id, client.pseudonym
    with database.write() as connection:
        messages = _messages(connection, client)
        connection.executemany("UPDATE events SET payload = ? WHERE id = ?", messages)
        keyed = (new, CLIENTS, old)
        connection.execute("UPDATE events SET key = ? WHERE kind = ? AND key = ?", keyed)
        count = len(messages)
        count += connection.execute("UPDATE sales SET client_id = ? WHERE client_id = ?", (new, old)).rowcount
        nobody = (
            "UPDATE clients SET client_id = ?, name = NULL, email = NULL, phone = NULL WHERE client_id = ?"
        )
        count += connection.execute(nobody, (new, old)).rowcount
    # Also when there was nothing: SQLite keeps what was replaced in pages that it does not use any more.
    database.scrub()
    return count


def _messages(connection: sqlite3.Connection, client: Client) -> list[tuple[str, int]]:
    """The texts without the client, and the numbers, of the messages that are about the client."""
    found = []
    for number, payload in connection.execute(_OF_CLIENT, (CLIENTS, client.client_id, SALES)):
        changed = without(client, payload.encode(), None)
        if changed is not None and changed.value is not None:
            found.append((changed.value.decode(), number))
    return found
