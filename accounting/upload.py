"""A workbook into the books: every row judged, what is right stored at once, a report of all of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from accounting.books import REJECTED, Books, Verdict
from accounting.cells import FORMULA
from accounting.entries import Entry, EntryError, read_client, read_item, read_product, read_sale
from accounting.workbook import CLIENTS, COLUMNS, DETAILS, INVOICES, PRODUCTS, Row, Sheet, read_workbook

_BLANK = "is missing."


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
        for sheet, row in rows:
            reason = " ".join([verdict.reason, *row.notes]).strip()
            found.append(RowReport(sheet, row.number, _key(sheet, row), Verdict(verdict.state, reason)))
    order = list(COLUMNS)
    return UploadReport(sorted(found, key=lambda row: (order.index(row.sheet), row.row)), remarks)


def _remarks(sheets: Mapping[str, Sheet]) -> list[str]:
    faults = [sheet.fault for sheet in sheets.values() if sheet.fault]
    ignored = [
        f"Columns of {name} that were not looked at: {', '.join(sheet.ignored)}."
        for name, sheet in sheets.items()
        if sheet.ignored
    ]
    hidden = [
        f"Of {name} what is hidden was read like the rest: {sheet.hidden}."
        for name, sheet in sheets.items()
        if sheet.hidden
    ]
    return faults + ignored + hidden


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
        return None, str(error).replace(_BLANK, FORMULA)


def _judge_invoices(judged: _Judged, invoices: Sheet, details: Sheet) -> None:
    lines: dict[str, list[Row]] = defaultdict(list)
    # Rows without an invoice, by the invoice above them: they may be its own, as in a pivot table.
    nameless: dict[str, list[Row]] = defaultdict(list)
    above = ""
    for row in details.rows:
        if row.values["invoice_id"]:
            above = row.values["invoice_id"]
            lines[above].append(row)
        else:
            nameless[above].append(row)
    same_id: dict[str, list[Row]] = defaultdict(list)
    for row in invoices.rows:
        same_id[row.values["invoice_id"]].append(row)
    for row in same_id.pop("", []):
        judged.reject(INVOICES, row, _attempt(row, lambda fields: read_sale(fields, [("-", "1")]))[1])
    for invoice_id, rows in same_id.items():
        _judge_invoice(judged, rows, lines.pop(invoice_id, []), nameless[invoice_id])
    for invoice_id, rows in lines.items():
        for row in rows:
            judged.reject(DETAILS, row, f"invoice_id {invoice_id} is not in {INVOICES}.")
    for row in (row for rows in nameless.values() for row in rows):
        judged.reject(DETAILS, row, f"invoice_id {FORMULA}")


def _judge_invoice(judged: _Judged, rows: list[Row], lines: list[Row], nameless: list[Row]) -> None:
    """The invoice of the first row with all of its lines, or none of them; each further row is rejected."""
    invoice, faults = rows[0], {line.number: reason for line in lines if (reason := _line_fault(line))}
    invoice_id, numbers = invoice.values["invoice_id"], [row.number for row in rows]
    items = [(line.values["product_id"], line.values["quantity"]) for line in lines]
    entry, reason = _attempt(invoice, lambda fields: read_sale(fields, items))
    if faults or nameless:
        # The lines' own rows tell their faults.
        reason = _attempt(invoice, lambda fields: read_sale(fields, [("-", "1")]))[1]
        if faults:
            reason += f" {DETAILS} has faults in row {_listed(list(faults))}."
        if nameless:
            below = _listed([row.number for row in nameless])
            reason += (
                f" {DETAILS} has rows without an invoice_id below those of it: {below}; write it in each row."
            )
    if any(row.values != invoice.values for row in rows):
        reason = f"invoice_id {invoice_id} is in the rows {_listed(numbers)}, which differ."
    elif entry is not None and not reason:
        judged.entries.append((entry, [(INVOICES, invoice), *((DETAILS, line) for line in lines)]))
    for row in rows[1:]:
        judged.reject(INVOICES, row, f"invoice_id {invoice_id} is in row {invoice.number} already.")
    if reason:
        judged.reject(INVOICES, invoice, reason.strip())
        for line in lines:
            rejected = f"The invoice in row {invoice.number} is rejected."
            judged.reject(DETAILS, line, faults.get(line.number) or rejected)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")


def _line_fault(line: Row) -> str:
    faults = [*line.faults, *read_item(line.values["product_id"], line.values["quantity"])[1]]
    return " ".join(faults[: 1 if line.faults else None]).replace(_BLANK, FORMULA)


def _key(sheet: str, row: Row) -> str:
    return row.values[COLUMNS[sheet][0]]
