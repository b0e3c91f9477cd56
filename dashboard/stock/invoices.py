"""The accountant's invoices: today's or any, searched; one of them is voided, or goods of it come back."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Final

import streamlit as st

from accounting.books import Books
from accounting.entries import Entry, read_credit, read_void
from accounting.invoices import MAX_LISTED, Invoice
from accounting.messages import money_of, money_text
from dashboard import frame
from dashboard.stock.forms import Filling, save
from dashboard.text import NBSP, figure, money, plain, short_time

# Without digits and letters that are mistaken for one another.
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LABELS: Final = {
    "invoice_id": "Number",
    "timestamp": "Time",
    "total_amount": "Amount",
    "voids": "Invoice",
    "credits": "Invoice",
    "item_product_id": "Product",
}


def render(books: Books, currency: str) -> None:
    """Draw the list, and the corrections of the invoice that is chosen; amounts are in `currency`."""
    found = _listed(books, currency)
    if not found:
        return
    chosen = st.selectbox(
        "Correct an invoice",
        [invoice.sale.invoice_id for invoice in found],
        index=None,
        placeholder="Choose one of the list",
        key="invoices_chosen",
        width=420,
    )
    invoice = books.invoice(chosen) if chosen else None
    if invoice is None:
        return
    _content(invoice)
    if invoice.is_voided:
        st.markdown(_state(invoice, currency))
        return
    _void(books, invoice)
    if not invoice.sale.credits:
        _credit(books, invoice, currency)


def new_number(kind: str) -> str:
    """A number for a new `kind` of record: today and six characters by chance."""
    ending = "".join(secrets.choice(_ALPHABET) for _ in range(6))
    return f"{kind}-{datetime.now(timezone.utc):%Y%m%d}-{ending}"


def _listed(books: Books, currency: str) -> Sequence[Invoice]:
    with st.container(horizontal=True):
        day = st.date_input(
            "Day (UTC; empty: all)", value="today", key="invoices_day", format="YYYY-MM-DD", width=200
        )
        words = st.text_input("Number or client contains", key="invoices_words", max_chars=100, width=320)
    found = books.invoices(day, (words or "").split())
    if not found:
        frame.hint("No invoice of this day." if day and not words else "No invoice has all of this.")
        return []
    notes = sum(bool(invoice.sale.credits) for invoice in found)
    count = _number_of(len(found) - notes, "invoice")
    if notes:
        count += f" and {_number_of(notes, 'credit note')}"
    most = f" The newest {MAX_LISTED} are listed; search to see others." if len(found) == MAX_LISTED else ""
    st.markdown(f"{count}, {money(money_of(sum(map(_counts, found))))}{NBSP}{currency} in all.{most}")
    frame.table(
        {
            "Time (UTC)": [short_time(invoice.sale.time) for invoice in found],
            "Number": [invoice.sale.invoice_id for invoice in found],
            "Client": [invoice.sale.client_id for invoice in found],
            f"Amount, {currency}": [money(money_of(_signed(invoice))) for invoice in found],
            "State": [_state(invoice, currency) for invoice in found],
        },
        "Invoices and credit notes, the newest first",
        420 if len(found) > 12 else None,
        numbers=(f"Amount, {currency}",),
    )
    return found


def _number_of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _signed(invoice: Invoice) -> int:
    return -invoice.sale.amount if invoice.sale.credits else invoice.sale.amount


def _counts(invoice: Invoice) -> int:
    return 0 if invoice.is_voided else _signed(invoice)


def _state(invoice: Invoice, currency: str) -> str:
    if invoice.voided_by:
        return f"✗ voided by {invoice.voided_by}"
    if invoice.is_voided:
        return f"✗ credit note of {invoice.sale.credits}, which is voided"
    if invoice.sale.credits:
        return f"↩ credit note of {invoice.sale.credits}"
    return (
        f"↩ {money_text(invoice.credited)}{NBSP}{currency} credited" if invoice.credit_notes else "✓ counts"
    )


def _content(invoice: Invoice) -> None:
    left = invoice.left()
    frame.table(
        {
            "Product": [product_id for product_id, _ in invoice.sale.items],
            "Pieces": [figure(pieces) for _, pieces in invoice.sale.items],
            "Left": [figure(pieces) for _, pieces in left.items],
        },
        f"Items of {invoice.sale.invoice_id}",
        numbers=("Pieces", "Left"),
    )


def _void(books: Books, invoice: Invoice) -> None:
    filling, number = Filling("void"), invoice.sale.invoice_id
    st.markdown("**Void it**: it was entered wrongly, and counts as if it never was; so do its credit notes.")
    _number(filling, "Number of the void", "V")
    is_sure = st.checkbox("Void this invoice for good", key=filling.key(f"sure_{number}"))

    def read() -> Entry:
        return read_void({"invoice_id": filling.text("invoice_id"), "timestamp": _now()}, number)

    st.button(
        "Void the invoice",
        key=filling.key("save"),
        disabled=not is_sure,
        on_click=lambda: save(filling, books, read, f"The void of {plain(number)}", _LABELS),
    )
    filling.show_told()


def _credit(books: Books, invoice: Invoice, currency: str) -> None:
    filling, left = Filling("credit"), invoice.left()
    number = invoice.sale.invoice_id
    st.markdown("**Credit note**: goods of it come back.")
    _number(filling, "Number of the credit note", "CN")
    names = {}
    for place, (product_id, pieces) in enumerate(left.items):
        if pieces:
            field = f"quantity_{place}"
            names[place] = f"{field}_{number}"
            label = f"Pieces of {product_id} that come back, up to {pieces:,}"
            st.text_input(plain(label), key=filling.key(names[place]), width=320)
            filling.mark(field)
    amount = f"total_amount_{number}"
    st.text_input(
        f"Amount that is paid back, up to {money_text(left.amount)}{NBSP}{currency}",
        key=filling.key(amount),
        width=320,
    )
    filling.mark("total_amount")
    labels = {**_LABELS, **{f"quantity_{place}": f"Pieces of {left.items[place][0]}" for place in names}}

    def read() -> Entry:
        fields = {"invoice_id": filling.text("invoice_id"), "timestamp": _now()}
        given = {place: filling.text(name) for place, name in names.items()}
        return read_credit({**fields, "total_amount": filling.text(amount)}, left, given)

    st.button(
        "Save the credit note",
        type="primary",
        key=filling.key("save"),
        on_click=lambda: save(filling, books, read, f"The credit note of {plain(number)}", labels),
    )
    filling.show_told()


def _number(filling: Filling, label: str, kind: str) -> None:
    st.session_state.setdefault(filling.key("invoice_id"), new_number(kind))
    st.text_input(label, key=filling.key("invoice_id"), width=320)


def _now() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S}"
