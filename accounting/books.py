"""Sales, products and clients as entered, each stored in one transaction with its message in the outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final, TypeVar

from accounting.database import BooksDatabase
from accounting.entries import Entry
from accounting.invoices import (
    Invoice,
    find_invoice,
    find_invoices,
    find_sale,
    find_void,
    store_sale,
    store_void,
    why_no_credit,
    why_no_void,
)
from accounting.messages import key_of, kind_of, payload, time_text
from contracts.iso_times import read_time
from contracts.stock import Client, Product, Sale, Void

Record = TypeVar("Record", bound=Product | Client)

ACCEPTED: Final = "accepted"
ALREADY_THERE: Final = "already there"
REJECTED: Final = "rejected"
# A list to choose from that is longer helps nobody.
OFFERED: Final = 1_000
_TABLES: Final = {Product: ("products", "product_id"), Client: ("clients", "client_id")}
_DAYS: Final = ("last_movement", "expiry_date")
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an entry: ACCEPTED, ALREADY_THERE (nothing was to be done) or REJECTED with a reason."""

    state: str
    reason: str = ""


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(timezone.utc)


class Books:
    """What the accountant entered. Every method raises BooksError when the file cannot be used."""

    def __init__(self, database: BooksDatabase, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = now

    def save(self, entries: Sequence[Entry]) -> list[Verdict]:
        """Store entries with their messages, all in one transaction; a verdict for each.

        The same entry again is already there and is not sent again. An invoice is never changed, but can be
        voided or credited; a product or client is replaced.
        """
        with self._database.write() as connection:
            now = self._now()
            return [self._save(connection, entry, now) for entry in entries]

    def products(self, also: Sequence[str] = ()) -> list[Product]:
        """The OFFERED products entered last and those with ids `also`; `order` is when each was entered."""
        return self._some(Product, also)

    def clients(self, also: Sequence[str] = ()) -> list[Client]:
        """Clients, like `products`."""
        return self._some(Client, also)

    def invoices(self, day: date | None = None, words: Sequence[str] = ()) -> list[Invoice]:
        """The newest invoices and credit notes of a UTC day, or of all, that have each word."""
        with self._database.read() as connection:
            return find_invoices(connection, day, words)

    def invoice(self, invoice_id: str) -> Invoice | None:
        """The invoice or credit note of this number, None where there is none."""
        with self._database.read() as connection:
            return find_invoice(connection, invoice_id)

    def _some(self, kind: type[Record], also: Sequence[str]) -> list[Record]:
        table, key = _TABLES[kind]
        with self._database.read() as connection:
            newest = connection.execute(
                f"SELECT * FROM {table} ORDER BY updated_at DESC, {key} LIMIT ?", (OFFERED,)
            )
            found = {row[key]: row for row in newest}
            for wanted in also:
                row = connection.execute(f"SELECT * FROM {table} WHERE {key} = ?", (wanted,)).fetchone()
                if row is not None:
                    found[wanted] = row
            return [_record(kind, found[name]) for name in sorted(found)]

    def _save(self, connection: sqlite3.Connection, entry: Entry, now: datetime) -> Verdict:
        entered = time_text(now)
        if isinstance(entry, Sale | Void):
            known = find_sale(connection, entry.invoice_id) or find_void(connection, entry.invoice_id)
            if known is not None:
                return _verdict_on_known(known, entry)
            refusal = _refusal(connection, entry)
            if refusal:
                return Verdict(REJECTED, refusal)
            if isinstance(entry, Sale):
                store_sale(connection, entry)
            else:
                store_void(connection, entry)
        else:
            record, before = _find_record(connection, entry)
            if record == entry:
                return Verdict(ALREADY_THERE)
            entered = time_text(max(now, _after(before)))
            _store_record(connection, replace(entry, order=entered))
        event = connection.execute(
            "INSERT INTO events (kind, key, payload, entered_at) VALUES (?, ?, ?, ?)",
            (kind_of(entry), key_of(entry), payload(entry, entered), time_text(now)),
        )
        connection.execute(
            "INSERT INTO outbox (event_id, queued_at) VALUES (?, ?)", (event.lastrowid, time_text(now))
        )
        return Verdict(ACCEPTED)


def _refusal(connection: sqlite3.Connection, entry: Sale | Void) -> str | None:
    """Why a correction that is not there cannot be taken, None when it can, and of an invoice."""
    if isinstance(entry, Void):
        return why_no_void(connection, entry)
    return why_no_credit(connection, entry) if entry.credits else None


def _verdict_on_known(stored: Sale | Void, entry: Sale | Void) -> Verdict:
    if _plain(stored) == _plain(entry):
        return Verdict(ALREADY_THERE)
    return Verdict(REJECTED, f"invoice_id {entry.invoice_id} is there already, with other content.")


def _plain(entry: Sale | Void) -> Sale | Void:
    # In whatever order the items stand.
    return entry if isinstance(entry, Void) else replace(entry, items=tuple(sorted(entry.items)))


def _after(updated_at: str) -> datetime:
    # Of two changes in one millisecond the second must be the newer one.
    if not updated_at:
        return datetime.min.replace(tzinfo=timezone.utc)
    return read_time(updated_at) + _MILLISECOND


def _find_record(connection: sqlite3.Connection, record: Record) -> tuple[Record | None, str]:
    """What is stored of a product or client, as it would be entered, and when it was."""
    table, key = _TABLES[type(record)]
    row = connection.execute(f"SELECT * FROM {table} WHERE {key} = ?", (key_of(record),)).fetchone()
    return (None, "") if row is None else (replace(_record(type(record), row), order=""), row["updated_at"])


def _record(kind: type[Record], row: sqlite3.Row) -> Record:
    """A row as what was entered: the columns stand in the order of the fields."""
    values: list[Any] = [
        date.fromisoformat(value) if value and name in _DAYS else value for name, value in dict(row).items()
    ]
    return kind(*values)


def _store_record(connection: sqlite3.Connection, record: Product | Client) -> None:
    values = [value.isoformat() if isinstance(value, date) else value for value in astuple(record)]
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT OR REPLACE INTO {_TABLES[type(record)][0]} VALUES ({places})", values)
