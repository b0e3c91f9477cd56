"""The upload of an Excel workbook, and the report of what became of each of its rows."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Final

import pandas as pd
import streamlit as st

from accounting.books import ACCEPTED, ALREADY_THERE, REJECTED, Books
from accounting.database import BooksError
from accounting.sample import sample_workbook
from accounting.upload import UploadReport, upload
from accounting.workbook import COLUMNS, MAX_BYTES, MAX_ROWS, WorkbookError
from dashboard import frame
from dashboard.stock.activity import log
from dashboard.stock.forms import Filling
from dashboard.text import plain

_REPORT: Final = "upload_report"
_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SHOWN: Final = 100
_MARKS: Final = {ACCEPTED: "✓\xa0accepted", ALREADY_THERE: "=\xa0already there", REJECTED: "✗\xa0refused"}


def render(books: Books) -> None:
    """Draw the form and the last report."""
    st.markdown(
        f"A workbook with the sheets {plain(', '.join(COLUMNS))}; up to {MAX_ROWS:,} rows and "
        f"{MAX_BYTES // 10**6} MB. What is right is stored at once, what is wrong is listed; uploading the "
        "same workbook again adds nothing."
    )
    # Made when it is asked for: a file that each run of the page replaces may be gone before it is fetched.
    st.download_button(
        "Download a sample",
        lambda: sample_workbook(datetime.now(timezone.utc)),
        "sample.xlsx",
        _XLSX,
        icon=":material/download:",
    )
    filling = Filling("upload")
    file = st.file_uploader(
        "Excel workbook (.xlsx)", type="xlsx", max_upload_size=MAX_BYTES // 10**6, key=filling.key("file")
    )
    if st.button("Store the workbook", type="primary", key=filling.key("store"), disabled=file is None):
        with st.spinner("Reading and storing"):
            _store(filling, books, file.getvalue() if file else b"")
        st.rerun()
    filling.show_told()
    report = st.session_state.get(_REPORT)
    if report is not None:
        _show(report)


def _store(filling: Filling, books: Books, content: bytes) -> None:
    st.session_state.pop(_REPORT, None)
    try:
        report = upload(content, books)
    except (WorkbookError, BooksError) as error:
        filling.tell("error", f"Nothing was stored. {plain(error)}")
        return
    counts = report.counts()
    accepted = sum(count[ACCEPTED] for count in counts.values())
    rejected = sum(count[REJECTED] for count in counts.values())
    known = len(report.rows) - accepted - rejected
    log(f"📄 Accountant Interface: Workbook stored, {accepted} rows accepted, {rejected} refused")
    rows = f"{accepted:,} rows accepted, {known:,} already there, {rejected:,} refused."
    filling.tell("error" if rejected or report.remarks else "success", rows)
    st.session_state[_REPORT] = report
    filling.next()


def _show(report: UploadReport) -> None:
    for remark in report.remarks:
        st.warning(plain(remark), icon=":material/warning:")
    counts = report.counts()
    marks = {mark: [f"{counts[name][state]:,}" for name in COLUMNS] for state, mark in _MARKS.items()}
    frame.table({"Sheet": list(COLUMNS), **marks}, "Rows by sheet and what became of them")
    rows = sorted(report.rows, key=lambda row: row.verdict.state != REJECTED)
    if not rows:
        return
    shown = pd.DataFrame(
        {
            "Sheet": [row.sheet for row in rows],
            "Row": [str(row.row) for row in rows],
            "Id": [row.key or "–" for row in rows],
            "Result": [_MARKS[row.verdict.state] for row in rows],
            "Reason": [row.verdict.reason or "–" for row in rows],
        }
    )
    if len(rows) > _SHOWN:
        st.markdown(f"{_SHOWN} rows are shown, refused ones first; the download holds all {len(rows):,}.")
    frame.table(
        shown.head(_SHOWN), "Rows of the workbook, refused ones first", 420 if len(rows) > 12 else None
    )
    frame.download("Download the report", shown, "report.csv")
