"""Odd workbooks: each invoice enters whole, as a person sees it, or is refused by name."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from openpyxl import Workbook

from accounting.books import ACCEPTED, REJECTED, Verdict
from accounting.entries import Entry
from accounting.upload import UploadReport, upload
from accounting.workbook import COLUMNS, DETAILS, INVOICES
from contracts.stock import Sale
from tests.support.odd_workbooks import Book, book_of, books


class _Books:
    """Books that take everything, and remember it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def save(self, entries: Sequence[Entry]) -> list[Verdict]:
        """Take all of it."""
        self.entries += entries
        return [Verdict(ACCEPTED) for _ in entries]


def _upload(content: bytes) -> tuple[list[Sale], UploadReport]:
    taken: Any = _Books()
    report = upload(content, taken)
    return [entry for entry in taken.entries if isinstance(entry, Sale)], report


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(books())
def test_an_invoice_enters_as_a_person_sees_it_or_not_at_all(book: Book) -> None:
    """Merged cells, pivots, formulas, formats, date systems, errors, totals, hidden, far cells, ids alike."""
    found, report = _upload(book.content)
    seen = {sale.invoice_id: sale for sale in found}
    assert len(seen) == len(found)
    for invoice in book.invoices:
        assert seen.pop(invoice.number, None) == invoice.seen
    assert seen == {}
    # The report names each row, and the reason of each that is refused.
    refused = {row.key for row in report.rows if row.sheet == INVOICES and row.verdict.state == REJECTED}
    assert {invoice.number for invoice in book.invoices if invoice.seen is None} <= refused
    assert all(row.verdict.reason for row in report.rows if row.verdict.state == REJECTED)
    accepted = Counter(row.sheet for row in report.rows if row.verdict.state == ACCEPTED)
    assert accepted[DETAILS] == sum(len(sale.items) for sale in found)


_INVOICES = (INVOICES, [COLUMNS[INVOICES], ("I1", "C1", "2026-02-01", 5)])
_LINES = [COLUMNS[DETAILS], ("I1", "P1", 1)]


def test_two_sheets_or_columns_of_one_name_are_refused_and_both_named() -> None:
    """Otherwise the last would be taken, whatever the first says."""
    found, report = _upload(
        book_of(_INVOICES, (DETAILS, _LINES), ("Invoice Details", [*_LINES, ("I1", "P2", 9)]))
    )
    assert found == []
    assert 'Several sheets are called Invoice_Details: "Invoice_Details", "Invoice Details"; leave one.' in (
        report.remarks
    )
    twice = [(*COLUMNS[DETAILS], "Quantity "), ("I1", "P1", 1, 2)]
    found, report = _upload(book_of(_INVOICES, (DETAILS, twice)))
    assert found == []
    assert (
        "Columns of Invoice_Details are there more than once: quantity (C, D); leave one." in report.remarks
    )


def test_what_is_taken_otherwise_than_it_is_held_is_told() -> None:
    """A rounded total, a number for a date, an id like a float."""
    made: Any = Workbook()
    made.active.title = INVOICES
    made.active.append(COLUMNS[INVOICES])
    made.active.append(("I1", "17850.0", 46054, 14.388))
    made.active["D2"].number_format = "0.00"
    made.create_sheet(DETAILS)
    for row in _LINES:
        made[DETAILS].append(row)
    made[DETAILS].row_dimensions[2].hidden = True
    content = io.BytesIO()
    made.save(content)
    (sale,), report = _upload(content.getvalue())
    assert (sale.amount, sale.time.date().isoformat(), sale.client_id) == (1439, "2026-02-01", "17850.0")
    assert report.rows[0].verdict == Verdict(
        ACCEPTED,
        "client_id 17850.0 is not the same id as 17850. "
        "timestamp 46054 was taken as Excel's number of 2026-02-01. "
        "total_amount 14.388 was taken as 14.39, as the cell shows it.",
    )
    assert "Of Invoice_Details what is hidden was read like the rest: row 2." in report.remarks


@pytest.mark.parametrize("odd", ["I1\u200b", "i1\u200b", "I1\u3164"])
def test_an_id_that_cannot_be_seen_whole_takes_no_line_from_its_twin(odd: str) -> None:
    """It is refused in Invoices; the lines that have it may be of the other."""
    rows = [*_INVOICES[1], (odd, "C1", "2026-02-01", 5)]
    found, report = _upload(book_of((INVOICES, rows), (DETAILS, [*_LINES, (odd, "P2", 9)])))
    assert found == []
    shown = f"{odd[:2]}<U+{ord(odd[2]):04X}>"
    assert [(row.key, row.verdict.state) for row in report.rows] == [("I1", REJECTED), (shown, REJECTED)] * 2
    assert report.rows[0].verdict.reason == ("Invoice_Details has rows with almost the same invoice_id: 3.")
    assert report.rows[3].verdict.reason == (f"invoice_id {shown} is almost I1, which is in Invoices.")


@pytest.mark.parametrize("amount", [5, 6])
def test_an_invoice_that_is_there_twice_counts_only_where_both_say_the_same(amount: int) -> None:
    """Its lines may be of either."""
    rows = [*_INVOICES[1], ("I1", "C1", "2026-02-01", amount)]
    found, report = _upload(book_of((INVOICES, rows), (DETAILS, _LINES)))
    assert len(found) == (amount == 5)
    assert [row.verdict.state for row in report.rows][1] == REJECTED
