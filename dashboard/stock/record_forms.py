"""The forms for a product and a client: saving one that is there replaces it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import streamlit as st

from accounting.books import Books
from accounting.entries import Entry, read_client, read_product
from accounting.messages import fields_of
from contracts.stock import Client, Product
from dashboard.stock.forms import Filling, save
from dashboard.text import plain


@dataclass(frozen=True)
class _Kind:
    """A form: its name, (field, label) in their order, the id first, and what makes an entry of the texts.

    `known` gives the records to choose from, and those with the ids that it gets.
    """

    name: str
    fields: Sequence[tuple[str, str]]
    read: Callable[[Mapping[str, str]], Entry]
    known: Callable[[Books, Sequence[str]], Sequence[Product | Client]]

    @property
    def labels(self) -> dict[str, str]:
        """The labels without their explanations."""
        return {
            field: label.partition(" (")[0].partition(",")[0].partition(":")[0]
            for field, label in self.fields
        }


_AMOUNTS: Final = ("buy_price", "sell_price", "total_revenue_generated")
_DAYS: Final = ("last_movement", "expiry_date")
# Streamlit offers ten years around today; what is too far is told like any other fault.
_FIRST, _LAST = date(1970, 1, 1), date(2199, 12, 31)
PRODUCT: Final = _Kind(
    "product",
    (
        ("product_id", "Product id"),
        ("name", "Name"),
        ("category", "Category (optional)"),
        ("quantity", "Quantity in stock"),
        ("buy_price", "Purchase price"),
        ("sell_price", "Selling price"),
        ("last_movement", "Last movement, UTC (optional)"),
        ("expiry_date", "Expiry date, UTC (optional)"),
        ("batch_no", "Batch number (optional)"),
    ),
    read_product,
    Books.products,
)
CLIENT: Final = _Kind(
    "client",
    (
        ("client_id", "Client id"),
        ("name", "Name (optional)"),
        ("email", "E-mail (optional)"),
        ("phone", "Phone (optional)"),
        ("total_revenue_generated", "Opening balance: revenue before the first invoice (optional)"),
    ),
    read_client,
    Books.clients,
)


def render(books: Books, kind: _Kind, currency: str) -> None:
    """Draw the form for a record of `kind`; amounts are in `currency`."""
    filling = Filling(kind.name)
    records = map(_texts, kind.known(books, [filling.text("known")]))
    known = {texts[kind.fields[0][0]]: texts for texts in records}
    if known:
        _offer(filling, kind, known)
    with st.form(filling.key("form"), border=True, width=640):
        for field, label in kind.fields:
            if field in _DAYS:
                st.date_input(
                    label,
                    value=None,
                    min_value=_FIRST,
                    max_value=_LAST,
                    key=filling.key(field),
                    format="YYYY-MM-DD",
                )
            else:
                amount = f", {currency}" if field in _AMOUNTS else ""
                st.text_input(f"{label}{amount}", key=filling.key(field))
            filling.mark(field)
        st.form_submit_button(
            f"Save the {kind.name}",
            type="primary",
            on_click=lambda: save(
                filling, books, lambda: _read(filling, kind), _what(filling, kind), kind.labels
            ),
        )
    filling.show_told()


def _offer(filling: Filling, kind: _Kind, known: Mapping[str, Mapping[str, str]]) -> None:
    """Offer the `known` records, and fetch a chosen one into the form."""
    chosen = filling.key("known")
    st.selectbox(
        f"Change a {kind.name} that is there",
        list(known),
        index=None,
        format_func=lambda key: f"{key} · {known[key]['name']}" if known.get(key, {}).get("name") else key,
        key=chosen,
        placeholder="Choose one, or fill the form for a new one",
        on_change=lambda: _fill(filling, kind, known.get(st.session_state.get(chosen) or "", {})),
        width=420,
    )


def _fill(filling: Filling, kind: _Kind, texts: Mapping[str, str]) -> None:
    for field, _ in kind.fields:
        text = texts.get(field, "")
        day = date.fromisoformat(text) if text and field in _DAYS else None
        st.session_state[filling.key(field)] = day if field in _DAYS else text


def _read(filling: Filling, kind: _Kind) -> Entry:
    return kind.read({field: filling.text(field) for field, _ in kind.fields})


def _what(filling: Filling, kind: _Kind) -> str:
    return f"{kind.name.capitalize()} {plain(filling.text(kind.fields[0][0]))}"


def _texts(record: Product | Client) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in fields_of(record).items()}
