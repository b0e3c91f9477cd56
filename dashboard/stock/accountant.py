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
    """The desk; None when nobody can be the accountant, or it cannot work because of `fault`."""

    desk: Desk | None = None
    fault: str | None = None
    entrance: Entrance = field(default_factory=Entrance)


def render(data: AccountantData) -> None:
    """Draw the page."""
    frame.heading(
        "Accountant",
        "What is entered or corrected here is stored first, then sent to the pipeline.",
    )
    if data.fault:
        st.error(plain(data.fault), icon=":material/error:")
        return
    if data.desk is None or not data.entrance.is_in("accountant"):
        entrance.ask(data.entrance, "accountant")
        return
    try:
        _work(data.desk)
    except BooksError as error:
        st.error(plain(error), icon=":material/error:")
    entrance.leave(data.entrance, "accountant")


def _work(desk: Desk) -> None:
    outbox_view.summary(desk.outbox)
    sale, invoice, product, client, workbook, outbox = st.tabs(
        ["Sale", "Invoices", "Product", "Client", "Workbook", "Outbox"]
    )
    with sale:
        sale_form.render(desk.books)
    with invoice:
        invoices.render(desk.books)
    with product:
        record_forms.render(desk.books, record_forms.PRODUCT)
    with client:
        record_forms.render(desk.books, record_forms.CLIENT)
    with workbook:
        upload_form.render(desk.books)
    with outbox:
        outbox_view.render(desk.outbox)
