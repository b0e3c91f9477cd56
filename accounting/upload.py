"""A workbook into the books: every row judged, what is right stored at once, a report of all of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from accounting.books import REJECTED, Books, Verdict
from accounting.entries import Entry, EntryError, read_client, read_item, read_product, read_sale
from accounting.workbook import CLIENTS, COLUMNS, DETAILS, INVOICES, PRODUCTS, Row, Sheet, read_workbook

_BLANK = "is missing."
_FORMULA = "is missing; if the cell holds a formula, save the workbook in Excel once and upload it again."


@dataclass(frozen=True, slots=True)
class RowReport:
    """What became of a row: its sheet, number and key, and the verdict."""

    sheet: str
    row: int
    key: str
    verdict: Verdict


@dataclass(slots=True)
class UploadReport:
    """`rows` in the order of the workbook, `remarks` on whole sheets: missing, or not looked at."""

    rows: list[RowReport] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, Counter[str]]:
        """How many rows of each sheet were accepted, already there, or rejected."""
        found: dict[str, Counter[str]] = {name: Counter() for name in COLUMNS}
        for row in self.rows:
            found[row.sheet][row.verdict.state] += 1
        return found


@dataclass(slots=True)
class _Judged:
    """Entries to store with the rows they come from, and the rows that cannot be."""

    entries: list[tuple[Entry, list[tuple[str, Row]]]] = field(default_factory=list)
    rejected: list[RowReport] = field(default_factory=list)

    def reject(self, sheet: str, row: Row, reason: str) -> None:
        self.rejected.append(RowReport(sheet, row.number, _key(sheet, row), Verdict(REJECTED, reason)))


def upload(content: bytes, books: Books) -> UploadReport:
    """Store what a workbook holds; the same workbook again changes nothing.

    A row with a fault is left out, an invoice with all of its rows. Raises WorkbookError when the file cannot
    be used at all, BooksError when nothing could be stored.
    """
    sheets = read_workbook(content)
    judged = _Judged()
    _judge_records(judged, PRODUCTS, sheets[PRODUCTS], read_product)
    _judge_records(judged, CLIENTS, sheets[CLIENTS], read_client)
    remarks = _remarks(sheets)
    if not sheets[INVOICES].fault and not sheets[DETAILS].fault:
        _judge_invoices(judged, sheets[INVOICES], sheets[DETAILS])
    elif sheets[INVOICES].rows or sheets[DETAILS].rows:
        remarks.append(f"No invoice was looked at, because {INVOICES} and {DETAILS} are needed together.")
    verdicts = books.save([entry for entry, _ in judged.entries])
    found = judged.rejected
    for (_, rows), verdict in zip(judged.entries, verdicts, strict=True):
        found += [RowReport(sheet, row.number, _key(sheet, row), verdict) for sheet, row in rows]
    order = list(COLUMNS)
    return UploadReport(sorted(found, key=lambda row: (order.index(row.sheet), row.row)), remarks)


def _remarks(sheets: Mapping[str, Sheet]) -> list[str]:
    faults = [sheet.fault for sheet in sheets.values() if sheet.fault]
    ignored = [
        f"Columns of {name} that were not looked at: {', '.join(sheet.ignored)}."
        for name, sheet in sheets.items()
        if sheet.ignored
    ]
    return faults + ignored


def _judge_records(
    judged: _Judged, name: str, sheet: Sheet, read: Callable[[Mapping[str, str]], Entry]
) -> None:
    for row in sheet.rows:
        entry, reason = _attempt(row, read)
        if entry is None:
            judged.reject(name, row, reason)
        else:
            judged.entries.append((entry, [(name, row)]))


def _attempt(row: Row, read: Callable[[Mapping[str, str]], Entry]) -> tuple[Entry | None, str]:
    if row.faults:
        return None, " ".join(row.faults)
    try:
        return read(row.values), ""
    except EntryError as error:
        return None, str(error).replace(_BLANK, _FORMULA)


def _judge_invoices(judged: _Judged, invoices: Sheet, details: Sheet) -> None:
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in details.rows:
        lines[row.values["invoice_id"]].append(row)
    first: dict[str, int] = {}
    for row in invoices.rows:
        invoice_id = row.values["invoice_id"]
        if invoice_id in first:
            judged.reject(INVOICES, row, f"invoice_id {invoice_id} is in row {first[invoice_id]} already.")
            continue
        if invoice_id:
            first[invoice_id] = row.number
        _judge_invoice(judged, row, lines.pop(invoice_id, []) if invoice_id else [])
    for invoice_id, rows in lines.items():
        reason = f"invoice_id {invoice_id} is not in {INVOICES}." if invoice_id else f"invoice_id {_FORMULA}"
        for row in rows:
            judged.reject(DETAILS, row, reason)


def _judge_invoice(judged: _Judged, invoice: Row, lines: list[Row]) -> None:
    """The invoice with all of its lines, or none of them."""
    faults = {line.number: reason for line in lines if (reason := _line_fault(line))}
    items = [(line.values["product_id"], line.values["quantity"]) for line in lines]
    entry, reason = _attempt(invoice, lambda fields: read_sale(fields, items))
    if faults:
        # The lines' own rows tell their faults.
        own = _attempt(invoice, lambda fields: read_sale(fields, [("-", "1")]))[1]
        rows = ", ".join(str(number) for number in list(faults)[:5])
        reason = f"{own} {DETAILS} has faults in row {rows}{' …' if len(faults) > 5 else ''}.".strip()
    if entry is not None and not faults:
        judged.entries.append((entry, [(INVOICES, invoice), *((DETAILS, line) for line in lines)]))
        return
    judged.reject(INVOICES, invoice, reason)
    for line in lines:
        judged.reject(
            DETAILS, line, faults.get(line.number) or f"The invoice in row {invoice.number} is rejected."
        )


def _line_fault(line: Row) -> str:
    faults = [*line.faults, *read_item(line.values["product_id"], line.values["quantity"])[1]]
    return " ".join(faults[: 1 if line.faults else None]).replace(_BLANK, _FORMULA)


def _key(sheet: str, row: Row) -> str:
    return row.values[COLUMNS[sheet][0]]
