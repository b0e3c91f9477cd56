"""A sample workbook, made anew each time: what the four sheets look like."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Font

from accounting.workbook import CLIENTS, COLUMNS, DETAILS, INVOICES, PRODUCTS


def sample_workbook(now: datetime) -> bytes:
    """An .xlsx that can be uploaded as it is; its dates lie around `now`, which is UTC."""
    book: Any = Workbook()
    book.remove(book.active)
    for name, rows in _rows(now.replace(tzinfo=None)).items():
        sheet = book.create_sheet(name)
        sheet.append(COLUMNS[name])
        for row in rows:
            sheet.append(row)
        for cell in sheet[1]:
            cell.font = Font(bold=True)
            sheet.column_dimensions[cell.column_letter].width = max(14, len(cell.value) + 4)
        sheet.freeze_panes = "A2"
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _rows(now: datetime) -> dict[str, list[tuple[Any, ...]]]:
    def day(days: int) -> Any:
        return (now + timedelta(days=days)).date()

    # Downloaded twice on one day it is the same.
    morning = now.replace(hour=9, minute=30, second=0, microsecond=0)
    first, second = (f"INV-SAMPLE-{now:%Y%m%d}-{number}" for number in (1, 2))
    return {
        PRODUCTS: [
            ("P-1001", "Green tea", "tea", 120, Decimal("2.10"), Decimal("4.90"), day(-2), day(200), "T-7"),
            ("P-1002", "Black tea", "tea", 80, Decimal("1.80"), Decimal("4.20"), day(-1), day(5), "T-8"),
            ("P-1003", "Teapot", "kitchen", 15, Decimal("11.00"), Decimal("24.90"), day(-45), None, None),
        ],
        CLIENTS: [
            ("C-201", "Corner Shop", "shop@example.com", "+49 30 1234", Decimal("9500.00")),
            ("C-202", "Tea House", "house@example.com", None, Decimal("0.00")),
        ],
        INVOICES: [
            (first, "C-201", morning, Decimal("523.00")),
            (second, "C-202", morning + timedelta(hours=2), Decimal("24.90")),
        ],
        DETAILS: [
            (first, "P-1001", 50),
            (first, "P-1002", 62),
            (first, "P-1003", 1),
            (second, "P-1003", 1),
        ],
    }
