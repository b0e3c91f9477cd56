"""Sales, products and clients as entered, each stored in one transaction with its event in the outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from typing import Final

from accounting.database import BooksDatabase
from accounting.entries import Entry
from accounting.events import key_of, kind_of, payload, time_text
from contracts.stock import Client, Product, Sale

ACCEPTED: Final = "accepted"
ALREADY_THERE: Final = "already there"
REJECTED: Final = "rejected"
# A longer list to choose from is of no use.
OFFERED: Final = 1_000
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of an entry: ACCEPTED, ALREADY_THERE (nothing was to be done) or REJECTED with a reason."""

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
        """Store `entries` with their events, all in one transaction; returns a verdict for each.

        The same entry again is already there and is not sent again. An invoice is never changed; a product
        or client is replaced.
        """
        with self._database.write() as connection:
            now = self._now()
            return [self._save(connection, entry, now) for entry in entries]

    def products(self, also: Sequence[str] = ()) -> list[Product]:
        """The OFFERED products entered last and those with ids `also`; `order` is when each was entered."""
        return [_product(row) for row in self._some("products", "product_id", also)]

    def clients(self, also: Sequence[str] = ()) -> list[Client]:
        """Clients, like `products`."""
        return [_client(row) for row in self._some("clients", "client_id", also)]

    def _some(self, table: str, key: str, also: Sequence[str]) -> list[sqlite3.Row]:
        with self._database.read() as connection:
            newest = connection.execute(
                f"SELECT * FROM {table} ORDER BY updated_at DESC, {key} LIMIT ?", (OFFERED,)
            )
            found = {row[key]: row for row in newest}
            for wanted in also:
                row = connection.execute(f"SELECT * FROM {table} WHERE {key} = ?", (wanted,)).fetchone()
                if row is not None:
                    found[wanted] = row
            return [found[name] for name in sorted(found)]

    def _save(self, connection: sqlite3.Connection, entry: Entry, now: datetime) -> Verdict:
        before = ""
        if isinstance(entry, Sale):
            sale = _find_sale(connection, entry.invoice_id)
            if sale is not None:
                return _verdict_on_known(sale, entry)
        else:
            record, before = _find_record(connection, entry)
            if record == entry:
                return Verdict(ALREADY_THERE)
        entered = time_text(max(now, _after(before)))
        _STORE[type(entry)](connection, entry, entered)
        event = connection.execute(
            "INSERT INTO events (kind, key, payload, entered_at) VALUES (?, ?, ?, ?)",
            (kind_of(entry), key_of(entry), payload(entry, entered), time_text(now)),
        )
        connection.execute(
            "INSERT INTO outbox (event_id, queued_at) VALUES (?, ?)", (event.lastrowid, time_text(now))
        )
        return Verdict(ACCEPTED)


def _verdict_on_known(stored: Sale, entry: Sale) -> Verdict:
    # The order of the items does not matter.
    if replace(stored, items=tuple(sorted(stored.items))) == replace(entry, items=tuple(sorted(entry.items))):
        return Verdict(ALREADY_THERE)
    return Verdict(REJECTED, f"invoice_id {entry.invoice_id} is there already, with other content.")


def _after(updated_at: str) -> datetime:
    # Of two changes in one millisecond the second must be the newer one.
    if not updated_at:
        return datetime.min.replace(tzinfo=timezone.utc)
    return datetime.fromisoformat(updated_at.replace("Z", "+00:00")) + _MILLISECOND


def _find_sale(connection: sqlite3.Connection, invoice_id: str) -> Sale | None:
    row = connection.execute("SELECT * FROM sales WHERE invoice_id = ?", (invoice_id,)).fetchone()
    if row is None:
        return None
    items = connection.execute(
        "SELECT product_id, quantity FROM sale_items WHERE invoice_id = ? ORDER BY line", (invoice_id,)
    )
    time = datetime.fromisoformat(row["time"].replace("Z", "+00:00"))
    return Sale(invoice_id, row["client_id"], time, row["amount_cents"], tuple(map(tuple, items)))


def _find_record(
    connection: sqlite3.Connection, entry: Product | Client
) -> tuple[Product | Client | None, str]:
    """Returns the stored product or client with the id of `entry`, as it was entered, and when it was."""
    if isinstance(entry, Product):
        row = connection.execute(
            "SELECT * FROM products WHERE product_id = ?", (entry.product_id,)
        ).fetchone()
        return (None, "") if row is None else (_product(row, ""), row["updated_at"])
    row = connection.execute("SELECT * FROM clients WHERE client_id = ?", (entry.client_id,)).fetchone()
    return (None, "") if row is None else (_client(row, ""), row["updated_at"])


def _product(row: sqlite3.Row, order: str | None = None) -> Product:
    return Product(
        product_id=row["product_id"],
        name=row["name"],
        category=row["category"],
        quantity=row["quantity"],
        buy_price=row["buy_cents"],
        sell_price=row["sell_cents"],
        last_movement=_day(row["last_movement"]),
        expiry_date=_day(row["expiry_date"]),
        batch_no=row["batch_no"],
        order=row["updated_at"] if order is None else order,
    )


def _client(row: sqlite3.Row, order: str | None = None) -> Client:
    return Client(
        client_id=row["client_id"],
        name=row["name"],
        email=row["email"],
        phone=row["phone"],
        opening=row["opening_cents"],
        order=row["updated_at"] if order is None else order,
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _store_sale(connection: sqlite3.Connection, sale: Sale, _entered: str) -> None:
    values = (sale.invoice_id, sale.client_id, time_text(sale.time), sale.amount)
    connection.execute("INSERT INTO sales VALUES (?, ?, ?, ?)", values)
    lines = [
        (sale.invoice_id, line, product, pieces) for line, (product, pieces) in enumerate(sale.items, start=1)
    ]
    connection.executemany("INSERT INTO sale_items VALUES (?, ?, ?, ?)", lines)


def _store_product(connection: sqlite3.Connection, product: Product, entered: str) -> None:
    days = [value and value.isoformat() for value in (product.last_movement, product.expiry_date)]
    named = (product.product_id, product.name, product.category)
    numbers = (product.quantity, product.buy_price, product.sell_price)
    values = (*named, *numbers, *days, product.batch_no, entered)
    connection.execute("INSERT OR REPLACE INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _store_client(connection: sqlite3.Connection, client: Client, entered: str) -> None:
    values = (client.client_id, client.name, client.email, client.phone, client.opening, entered)
    connection.execute("INSERT OR REPLACE INTO clients VALUES (?, ?, ?, ?, ?, ?)", values)


_STORE: Final[dict[type, Callable[..., None]]] = {
    Sale: _store_sale,
    Product: _store_product,
    Client: _store_client,
}
