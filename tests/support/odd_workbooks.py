"""Workbooks as people make them, with what a person sees of each invoice in them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.utils.datetime import CALENDAR_MAC_1904, to_excel

from accounting.workbook import COLUMNS, DETAILS, INVOICES
from contracts.stock import Sale

DAY = datetime(2026, 2, 1, 14, 30, tzinfo=timezone.utc)
# What is in a cell, in which format, and what a person sees as a value; None: must be refused.
Odd = tuple[Any, str, Any]
_GENERAL = "General"
_LAYOUTS = ("plain", "plain", "merged", "pivot", "merged pieces", "merged across", "twin")
AMOUNTS: Sequence[Odd] = (
    (14.39, _GENERAL, 1439),
    ("14.39", _GENERAL, 1439),
    (" 14.39\u00a0", _GENERAL, 1439),
    (CellRichText("14", TextBlock(InlineFont(b=True), ".39")), _GENERAL, 1439),
    (14.388, "0.00", 1439),
    (14.388, '#,##0.00 "€"', 1439),
    (0.1 + 0.2, _GENERAL, 30),
    (Decimal("14.385"), "0.00", 1439),
    (14.388, _GENERAL, None),
    (14.39, "0", None),
    (14.0, "0", 1400),
    (0.1439, "0.00%", None),
    (14390.0, "0.00,", None),
    ("14.39_x000D_", _GENERAL, 1439),
    (14.388, "[Red][$€-407] #,##0.00", 1439),
    (14.0, f"0.{'0' * 30}", 1400),
    (14.0, '0"00"', None),
    (14.0, "0\\0", None),
    (14.0, "[$1]0.00", None),
    (14.0, "[<100]0.00;0.0", None),
    (4e26, "#,##0.00", None),
    (4e30, "0", None),
    (1e300, "0.00", None),
    ("14,39", _GENERAL, 1439),
    ("1,439", _GENERAL, None),
    ("_x000D_\n", _GENERAL, None),
    ("#N/A", _GENERAL, None),
    ("=1+1", _GENERAL, None),
    (None, _GENERAL, None),
)
PIECES: Sequence[Odd] = (
    (2, _GENERAL, 2), (2.0, "0.00", 2), ("2", "@", 2), (2.5, _GENERAL, None), (2.5, "0", None),
    ((0.1 + 0.2) * 10, _GENERAL, 3), ("2_x000D_", _GENERAL, 2), (4e26, "0.00", None), (2, '0"00"', None),
    (True, _GENERAL, None), (None, _GENERAL, None), ("=1+1", _GENERAL, None), (2, "0%", None),
)  # fmt: skip
IDS: Sequence[Odd] = (
    ("C1", _GENERAL, "C1"), (77, _GENERAL, "77"), (77.0, _GENERAL, "77"), (77, "00000", "00077"),
    ("007", "@", "007"), (4006381333931, _GENERAL, "4006381333931"), (1.1, "0.00", "1.10"),
    (1.9000000000000008, _GENERAL, "1.9"), (77.00000000000001, "00000", "00077"),
    (1.5, f"0.{'0' * 30}", f"1.5{'0' * 29}"),
    ("C1_x000D_", _GENERAL, "C1"), ("C_x005F_x0009_1", _GENERAL, "C_x0009_1"),
    ("C_x0009_1", _GENERAL, None), ("C_xD83D_", _GENERAL, None), (4e26, "0.00", None),
    ("4.00638E+12", _GENERAL, None), (4006381333931123, _GENERAL, None), (12, '"K-"0000', None),
    (datetime(2026, 3, 1), "d-mmm", None), ("NaN", _GENERAL, None), ("#REF!", _GENERAL, None),  # noqa: DTZ001
    ("a\u200bb", _GENERAL, None), (CellRichText("C", TextBlock(InlineFont(i=True), "2")), _GENERAL, "C2"),
)  # fmt: skip


@dataclass
class Invoice:
    """What the cells of an invoice hold, and what a person sees of it."""

    number: str
    client: Odd
    time: Odd
    amount: Odd
    lines: list[tuple[Odd, Odd]]
    # What looks like the number, or is what Excel makes of it.
    twin: Any
    layout: str = "plain"

    @property
    def seen(self) -> Sale | None:
        """As the books should have it; None when it must be refused."""
        cells = [self.client, self.time, self.amount, *(cell for line in self.lines for cell in line)]
        if self.layout == "twin":
            return None
        if self.layout in ("pivot", "merged pieces", "merged across") and len(self.lines) > 1:
            return None
        if any(seen is None for _, _, seen in cells):
            return None
        items = tuple((product[2], pieces[2]) for product, pieces in self.lines)
        return Sale(self.number, self.client[2], self.time[2], self.amount[2], items)


@dataclass
class Book:
    """An odd workbook: its content, and its invoices."""

    content: bytes
    invoices: list[Invoice]


def _usually(usual: Odd, odd: Sequence[Odd]) -> st.SearchStrategy[Odd]:
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), st.sampled_from(odd))


def _times(epoch: datetime) -> Sequence[Odd]:
    naive = DAY.replace(tzinfo=None)
    midnight = DAY.replace(hour=0, minute=0)
    return (
        (naive, "yyyy-mm-dd hh:mm", DAY),
        ("2026-02-01 14:30", _GENERAL, DAY),
        ("2026-02-01T15:30+01:00", _GENERAL, DAY),
        (naive.date(), "d/m", midnight),
        (to_excel(naive.date(), epoch), _GENERAL, midnight),
        ("01.02.2026", _GENERAL, None),
        ("0026-02-01", _GENERAL, None),
        (naive + timedelta(days=366 * 40), "yyyy-mm-dd", None),
        (5, _GENERAL, None),
        (None, _GENERAL, None),
    )


def _twins(number: int) -> list[tuple[str, Any]]:
    """Ids of an invoice, each with another that a person may take for it."""
    return [
        (f"I{number}", f"I{number}\u200b"), (f"I{number}", f"i{number}"),
        (f"I{number}", f"I\u00ad00{number}"), (f"I{number}", f"I{number}\u3164"),
        (f"I-{number}", f"I\u2013{number}"), (f"I {number}", f"I_{number}"),
        (f"I{number}", f"\uff29{number}"),
        (f"\u00c9{number}", f"E\u0301{number}"), (f"00{number}", number), (f"{number}.0", number),
        (f"{number}.50", number + 0.5), (f"{number}", f"{number}.0\u200b"),
    ]  # fmt: skip


@st.composite
def books(draw: st.DrawFn) -> Book:
    """Workbooks of a few invoices, some of whose cells and layouts are odd."""
    made: Any = Workbook()
    made.active.title = "Notes"
    if draw(st.booleans()):
        made.epoch = CALENDAR_MAC_1904
    times = _times(made.epoch)
    named = [draw(st.sampled_from(_twins(number))) for number in range(draw(st.integers(1, 4)))]
    invoices = [
        Invoice(
            number,
            draw(_usually(IDS[0], IDS)),
            draw(_usually(times[0], times)),
            draw(_usually(AMOUNTS[0], AMOUNTS)),
            [
                (draw(_usually((f"P{line}", _GENERAL, f"P{line}"), IDS)), draw(_usually(PIECES[0], PIECES)))
                for line in range(draw(st.integers(1, 3)))
            ],
            twin,
            draw(st.sampled_from(_LAYOUTS)),
        )
        for number, twin in named
    ]
    for name in (INVOICES, DETAILS):
        columns = draw(st.permutations(COLUMNS[name]))
        titles = [name, name.upper(), name.replace("_", " "), f"{name}\u200b", f"{name}_x000D_"]
        sheet = made.create_sheet(draw(st.sampled_from(titles)))
        if draw(st.booleans()):
            sheet.sheet_state = "hidden"
        sheet.append([draw(st.sampled_from(_spellings(column))) for column in columns])
        for invoice in invoices:
            sheet.cell(sheet.max_row + draw(st.sampled_from([0, 0, 1, 2, 120_000])), len(columns) + 1)
            _write(sheet, [*columns], invoice, name)
            if draw(st.booleans()):
                sheet.row_dimensions[sheet.max_row].hidden = True
        if draw(st.booleans()):
            total = {"invoice_id": "Total", "quantity": 99, "total_amount": 99}
            sheet.append([total.get(column) for column in columns])
    if draw(st.booleans()):
        made.worksheets[1].cell(4_000, 40, "far away")
    content = io.BytesIO()
    made.save(content)
    return Book(content.getvalue(), invoices)


def _spellings(column: str) -> list[str]:
    return [column, column.title(), f" {column} ", f"\ufeff{column}\u200b", f"{column}_x000D_\n"]


def _write(sheet: Any, columns: list[str], invoice: Invoice, name: str) -> None:
    number = (invoice.number, _GENERAL, invoice.number)
    if name == INVOICES:
        given = {"client_id": invoice.client, "timestamp": invoice.time, "total_amount": invoice.amount}
        _append(sheet, columns, {"invoice_id": number, **given})
        return
    first = sheet.max_row + 1
    for place, (product, pieces) in enumerate(invoice.lines):
        is_named = place == 0 or invoice.layout not in ("merged", "pivot")
        if invoice.layout == "twin" and place == len(invoice.lines) - 1:
            number = (invoice.twin, _GENERAL, invoice.twin)
        cells = {"product_id": product, "quantity": pieces} | ({"invoice_id": number} if is_named else {})
        _append(sheet, columns, cells)
    last = first + len(invoice.lines) - 1
    if last > first and invoice.layout.startswith("merged"):
        column = columns.index("invoice_id" if invoice.layout == "merged" else "quantity") + 1
        across = 1 if invoice.layout == "merged across" and column > 1 else 0
        sheet.merge_cells(start_row=first, end_row=last, start_column=column - across, end_column=column)


def _append(sheet: Any, columns: Sequence[str], cells: dict[str, Odd]) -> None:
    row = sheet.max_row + 1
    for place, column in enumerate(columns, start=1):
        value, number_format, _ = cells.get(column, (None, _GENERAL, None))
        if value is not None:
            cell = sheet.cell(row, place, value)
            cell.number_format = number_format
            if isinstance(value, str) and value.startswith("#"):
                cell.data_type = "e"


def book_of(*sheets: tuple[str, Sequence[Sequence[Any]]]) -> bytes:
    """A workbook of these sheets, each with its rows."""
    made: Any = Workbook()
    made.remove(made.active)
    for name, rows in sheets:
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    content = io.BytesIO()
    made.save(content)
    return content.getvalue()
