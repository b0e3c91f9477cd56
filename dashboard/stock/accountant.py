"""Accountant: sales, products and clients are entered or uploaded here, and sent by the outbox."""

from __future__ import annotations

from dataclasses import dataclass, field

import streamlit as st

from accounting.database import BooksError
from accounting.desk import Desk
from dashboard import entrance, frame
from dashboard.entrance import Entrance
from dashboard.stock import invoices, outbox_view, record_forms, sale_form, upload_form
from dashboard.text import plain


@dataclass(frozen=True)
class AccountantData:
    """The desk; None when nobody can be the accountant, or it cannot work because of `fault`.

    Amounts are in `currency`.
    """

    desk: Desk | None = None
    fault: str | None = None
    entrance: Entrance = field(default_factory=Entrance)
    currency: str = "EUR"


def render(data: AccountantData) -> None:
    """Draw the page."""
    is_in = data.desk is not None and data.entrance.is_in("accountant")
    frame.heading("Accountant", _verdict(data, is_in))
    if data.fault:
        st.error(plain(data.fault), icon=":material/error:")
        return
    if data.desk is None or not is_in:
        entrance.ask(data.entrance, "accountant")
        return
    try:
        _work(data.desk, data.currency)
    except BooksError as error:
        st.error(plain(error), icon=":material/error:")
    entrance.leave(data.entrance, "accountant")


def _verdict(data: AccountantData, is_in: bool) -> str:
    """Whether all that was entered has been sent, for who may know it."""
    if data.fault:
        return "Nothing can be entered now."
    if data.desk is None or not is_in:
        return "Sales, products and clients are entered here."
    try:
        return outbox_view.verdict(data.desk.outbox.state())
    except BooksError:
        return "Nothing can be entered now."


def _work(desk: Desk, currency: str) -> None:
    outbox_view.summary(desk.outbox)
    sale, invoice, product, client, workbook, outbox = st.tabs(
        ["Sale", "Invoices", "Product", "Client", "Workbook", "Outbox"]
    )
    with sale:
        sale_form.render(desk.books, currency)
    with invoice:
        invoices.render(desk.books, currency)
    with product:
        record_forms.render(desk.books, record_forms.PRODUCT, currency)
    with client:
        record_forms.render(desk.books, record_forms.CLIENT, currency)
    with workbook:
        upload_form.render(desk.books)
    with outbox:
        outbox_view.render(desk.outbox)
