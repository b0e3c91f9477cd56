"""The form for a sale: a client, any number of items, a total that the selling prices suggest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final

import streamlit as st

from accounting.books import Books
from accounting.entries import MAX_ITEMS, read_item, read_sale
from accounting.messages import money_text
from contracts.stock import Product, Sale
from dashboard.stock.forms import Filling, save
from dashboard.stock.invoices import new_number
from dashboard.text import NBSP, plain

_LABELS: Final = {
    "invoice_id": "Invoice number",
    "client_id": "Client",
    "timestamp": "Time",
    "total_amount": "Total amount",
    "product_id": "Product",
    "quantity": "Quantity",
}
_PLACEHOLDER: Final = "Choose one, or type a new id"


def render(books: Books, currency: str) -> None:
    """Draw the form; amounts are in `currency`."""
    filling = Filling("sale")
    typed = [product_id for product_id, _ in _typed(filling)]
    products = {product.product_id: product for product in books.products(typed)}
    names = {client.client_id: client.name for client in books.clients()}
    _defaults(filling)
    st.text_input("Invoice number", key=filling.key("invoice_id"), width=320)
    filling.mark("invoice_id")
    st.selectbox(
        "Client: choose one, or type a new id",
        list(names),
        index=None,
        format_func=lambda client_id: (
            f"{client_id} · {names[client_id]}" if names.get(client_id) else client_id
        ),
        accept_new_options=True,
        placeholder=_PLACEHOLDER,
        key=filling.key("client_id"),
        width=420,
    )
    filling.mark("client_id")
    with st.container(horizontal=True):
        st.date_input("Day (UTC)", key=filling.key("day"), format="YYYY-MM-DD", width=200)
        st.time_input("Time (UTC)", key=filling.key("clock"), step=60, width=160)
    filling.mark("timestamp")
    _items(filling, products, currency)
    total = _sum(filling, products)
    if total is None:
        st.markdown("The sum is not known: an item has no price here, or no quantity.")
    else:
        st.markdown(f"Sum at selling prices: **{money_text(total)}{NBSP}{currency}**")
    st.text_input(
        f"Total amount, {currency} (empty: the sum at selling prices)",
        key=filling.key("total_amount"),
        width=420,
    )
    filling.mark("total_amount")
    st.button(
        "Save the sale",
        type="primary",
        key=filling.key("save"),
        on_click=lambda: save(filling, books, lambda: _read(filling, products), _what(filling), _LABELS),
    )
    filling.show_told()


def _defaults(filling: Filling) -> None:
    now = datetime.now(timezone.utc)
    st.session_state.setdefault(filling.key("invoice_id"), new_number("INV"))
    st.session_state.setdefault(filling.key("day"), now.date())
    st.session_state.setdefault(filling.key("clock"), now.time().replace(second=0, microsecond=0))
    st.session_state.setdefault(filling.key("rows"), 1)


def _rows(filling: Filling) -> range:
    return range(1, int(st.session_state.get(filling.key("rows"), 1)) + 1)


def _items(filling: Filling, products: Mapping[str, Product], currency: str) -> None:
    def label(product_id: str) -> str:
        product = products.get(product_id)
        if product is None:
            return product_id
        return f"{product_id} · {product.name} · {money_text(product.sell_price)}{NBSP}{currency}"

    for row in _rows(filling):
        with st.container(horizontal=True):
            st.selectbox(
                f"Product of item {row}",
                list(products),
                index=None,
                format_func=label,
                accept_new_options=True,
                placeholder=_PLACEHOLDER,
                key=filling.key(f"product_{row}"),
                width=420,
            )
            st.text_input(f"Quantity of item {row}", key=filling.key(f"quantity_{row}"), width=160)
        filling.mark(f"product_id_{row}")
        filling.mark(f"quantity_{row}")
    with st.container(horizontal=True):
        st.button(
            "Add an item",
            key=filling.key("more"),
            on_click=lambda: _change_rows(filling, 1),
            icon=":material/add:",
        )
        if len(_rows(filling)) > 1:
            st.button(
                "Remove the last item",
                key=filling.key("fewer"),
                on_click=lambda: _change_rows(filling, -1),
                icon=":material/remove:",
            )


def _change_rows(filling: Filling, change: int) -> None:
    rows = len(_rows(filling)) + change
    st.session_state[filling.key("rows")] = max(1, min(rows, MAX_ITEMS))


def _typed(filling: Filling) -> list[tuple[str, str]]:
    """Returns product and quantity of each item; leaves out rows that are empty."""
    found = [(filling.text(f"product_{row}"), filling.text(f"quantity_{row}")) for row in _rows(filling)]
    return [item for item in found if any(text.strip() for text in item)]


def _sum(filling: Filling, products: Mapping[str, Product]) -> int | None:
    total = 0
    for item in _typed(filling):
        (product_id, pieces), faults = read_item(*item)
        if faults or product_id not in products:
            return None
        total += products[product_id].sell_price * pieces
    return total


def _read(filling: Filling, products: Mapping[str, Product]) -> Sale:
    fields = {name: filling.text(name) for name in ("invoice_id", "client_id", "total_amount")}
    fields["timestamp"] = " ".join(filter(None, (filling.text("day"), filling.text("clock"))))
    total = _sum(filling, products)
    if not fields["total_amount"].strip() and total is not None:
        fields["total_amount"] = money_text(total)
    return read_sale(fields, _typed(filling))


def _what(filling: Filling) -> str:
    return f"Invoice {plain(filling.text('invoice_id'))}"
