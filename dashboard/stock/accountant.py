"""Accountant: sales, products and clients are entered or uploaded here, and sent by the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import streamlit as st

from accounting.database import BooksError
from accounting.desk import Desk
from dashboard import frame
from dashboard.stock import invoices, outbox_view, record_forms, sale_form, upload_form
from dashboard.stock.activity import log
from dashboard.text import plain
from dashboard.visitor import visitor

_INSIDE: Final = "accountant_is_in"


@dataclass(frozen=True)
class AccountantData:
    """The desk; None when the page is off, or cannot work because of `fault`."""

    desk: Desk | None = None
    fault: str | None = None


def render(data: AccountantData) -> None:
    """Draw the page."""
    frame.heading(
        "Accountant",
        "What is entered or corrected here is stored first, then sent to the pipeline.",
    )
    if data.desk is None:
        if data.fault:
            st.error(plain(data.fault), icon=":material/error:")
        else:
            st.info(
                "This page is off. Set ACCOUNTANT_PASSWORD in the dashboard's environment or .env, and start "
                "it again.",
                icon=":material/lock:",
            )
        return
    if not st.session_state.get(_INSIDE):
        _ask(data.desk)
        return
    try:
        _work(data.desk)
    except BooksError as error:
        st.error(plain(error), icon=":material/error:")


def _ask(desk: Desk) -> None:
    with st.form("accountant_door", clear_on_submit=True, width=420):
        given = st.text_input("Password", type="password", key="accountant_password", max_chars=500)
        submitted = st.form_submit_button("Open")
    if not submitted:
        return
    refusal = desk.door.refusal(given or "", *visitor(st.context.ip_address, st.context.headers))
    log(f"🔐 Accountant Interface: {'Refused at the door' if refusal else 'Opened'}")
    if refusal:
        st.error(refusal, icon=":material/lock:")
        return
    st.session_state[_INSIDE] = True
    st.rerun()


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
    if st.button("Leave", key="accountant_leave", icon=":material/logout:"):
        del st.session_state[_INSIDE]
        st.rerun()
