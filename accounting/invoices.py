"""The invoices in the accountant's file, what corrects each of them, and which corrections are allowed.

Every function works in a transaction that the caller has begun.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from accounting.messages import money_text, time_text
from contracts.iso_times import read_time
from contracts.stock import Sale, Void

# A list that is longer is searched, not read.
MAX_LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice, or a credit note, with the number of its void and its credit notes that are not voided.

    `is_voided` also where the invoice is voided that it credits.
    """

    sale: Sale
    voided_by: str | None
    credit_notes: tuple[Sale, ...]
    is_voided: bool

    @property
    def credited(self) -> int:
        """What its credit notes take back, in cents."""
        return sum(note.amount for note in self.credit_notes)

    def left(self) -> Sale:
        """What is left of it: each item without what came back, the amount without what was credited."""
        back = Counter[str]()
        for note in self.credit_notes:
            for product_id, pieces in note.items:
                back[product_id] += pieces
        items = []
        for product_id, pieces in self.sale.items:
            taken = min(pieces, back[product_id])
            back[product_id] -= taken
            items.append((product_id, pieces - taken))
        return replace(self.sale, amount=self.sale.amount - self.credited, items=tuple(items))


def find_sale(connection: sqlite3.Connection, invoice_id: str) -> Sale | None:
    """The invoice or credit note of this number; None where there is none."""
    row = connection.execute("SELECT * FROM sales WHERE invoice_id = ?", (invoice_id,)).fetchone()
    if row is None:
        return None
    items = connection.execute(
        "SELECT product_id, quantity FROM sale_items WHERE invoice_id = ? ORDER BY line", (invoice_id,)
    )
    time = read_time(row["time"])
    sold = tuple((product, pieces) for product, pieces in items)
    return Sale(invoice_id, row["client_id"], time, row["amount_cents"], sold, row["credits"])


def find_void(connection: sqlite3.Connection, invoice_id: str) -> Void | None:
    """The void of this number; None where there is none."""
    row = connection.execute("SELECT * FROM voids WHERE invoice_id = ?", (invoice_id,)).fetchone()
    return None if row is None else Void(invoice_id, row["voids"], read_time(row["time"]))


def store_sale(connection: sqlite3.Connection, sale: Sale) -> None:
    """Store an invoice or credit note that is not there."""
    values = (sale.invoice_id, sale.client_id, time_text(sale.time), sale.amount, sale.credits)
    connection.execute(
        "INSERT INTO sales (invoice_id, client_id, time, amount_cents, credits) VALUES (?, ?, ?, ?, ?)",
        values,
    )
    lines = [
        (sale.invoice_id, line, product, pieces) for line, (product, pieces) in enumerate(sale.items, start=1)
    ]
    connection.executemany("INSERT INTO sale_items VALUES (?, ?, ?, ?)", lines)


def store_void(connection: sqlite3.Connection, void: Void) -> None:
    """Store a void that is not there."""
    connection.execute(
        "INSERT INTO voids VALUES (?, ?, ?)", (void.invoice_id, void.voids, time_text(void.time))
    )


def find_invoice(connection: sqlite3.Connection, invoice_id: str) -> Invoice | None:
    """The invoice or credit note of this number with what corrects it; None where there is none."""
    sale = find_sale(connection, invoice_id)
    if sale is None:
        return None
    rows = connection.execute(
        "SELECT invoice_id FROM sales WHERE credits = ? AND invoice_id NOT IN (SELECT voids FROM voids) "
        "ORDER BY time, invoice_id",
        (invoice_id,),
    ).fetchall()
    notes = (find_sale(connection, number) for (number,) in rows)
    voided_by = _void_of(connection, invoice_id)
    is_voided = bool(voided_by or (sale.credits and _void_of(connection, sale.credits)))
    return Invoice(sale, voided_by, tuple(note for note in notes if note), is_voided)


def find_invoices(connection: sqlite3.Connection, day: date | None, words: Sequence[str]) -> list[Invoice]:
    """The newest invoices of a UTC `day`, or of all, whose number or client has each of `words`."""
    condition, values = "time >= ? AND time < ?", ["", "A"]
    if day is not None:
        values = [day.isoformat(), (day + timedelta(days=1)).isoformat() if day < date.max else "A"]
    for word in words:
        condition += " AND (instr(lower(invoice_id), ?) OR instr(lower(client_id), ?))"
        values += [word.lower()] * 2
    rows = connection.execute(
        f"SELECT invoice_id FROM sales WHERE {condition} ORDER BY time DESC, invoice_id LIMIT {MAX_LISTED}",
        values,
    ).fetchall()
    found = (find_invoice(connection, number) for (number,) in rows)
    return [invoice for invoice in found if invoice]


def why_no_void(connection: sqlite3.Connection, void: Void) -> str | None:
    """Why a void that is not there cannot be taken, None when it can."""
    if find_sale(connection, void.invoice_id):
        return f"invoice_id {void.invoice_id} is there already: an invoice has it."
    invoice = find_invoice(connection, void.voids)
    if invoice is None:
        return f"voids {void.voids}: there is no such invoice here."
    if invoice.voided_by:
        return f"voids {void.voids} is voided already, by {invoice.voided_by}."
    return None


def why_no_credit(connection: sqlite3.Connection, note: Sale) -> str | None:
    """Why a credit note that is not there cannot be taken, None when it can."""
    invoice = find_invoice(connection, note.credits or "")
    if invoice is None:
        return f"credits {note.credits}: there is no such invoice here."
    if invoice.is_voided:
        return f"credits {note.credits} is voided: nothing is left of it."
    if invoice.sale.credits:
        return f"credits {note.credits} is a credit note itself: void it instead."
    return _too_much(invoice.left(), note)


def _too_much(left: Sale, note: Sale) -> str | None:
    """Why `note` takes back more than is `left` of its invoice, None where it does not."""
    if left.client_id != note.client_id:
        return f"client_id {note.client_id} is not the client of {note.credits}."
    pieces = Counter[str]()
    for product_id, count in left.items:
        pieces[product_id] += count
    for product_id, count in note.items:
        pieces[product_id] -= count
    lacking = [name for name, count in pieces.items() if count < 0]
    if lacking:
        return f"item_product_id {lacking[0]}: more pieces than are left of {note.credits}."
    if note.amount > left.amount:
        return f"total_amount is more than the {money_text(left.amount)} that are left of {note.credits}."
    return None


def _void_of(connection: sqlite3.Connection, invoice_id: str) -> str | None:
    row = connection.execute("SELECT invoice_id FROM voids WHERE voids = ?", (invoice_id,)).fetchone()
    return None if row is None else str(row[0])
