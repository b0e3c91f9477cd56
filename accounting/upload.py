"""Takes a workbook into the books: judges every row, stores the right ones at once, reports all of them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from accounting.books import REJECTED, Books, Verdict
from accounting.cells import FORMULA, bare
from accounting.entries import Entry, EntryError, read_client, read_item, read_product, read_sale
from accounting.workbook import CLIENTS, COLUMNS, DETAILS, INVOICES, PRODUCTS, Row, Sheet, read_workbook
from analytics.texts import is_visible, shown

_BLANK = "is missing."
# 17.0 and 1.10 are 17 and 1.1 where Excel takes them for numbers, 007 is 7.
_DECIMALS = re.compile(r"([0-9]+)[.]([0-9]*?)0*")
_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


@dataclass(frozen=True, slots=True)
class RowReport:
    """The result of a row: its sheet, number and key, and the verdict."""

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
    """Store the rows of the workbook `content`; the same workbook again changes nothing.

    A row with a fault is left out, an invoice with all of its rows, and rows of one id that differ. Raises
    WorkbookError when the file cannot be used at all, BooksError when nothing could be stored.
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
    same_id: dict[str, list[Row]] = defaultdict(list)
    for row in sheet.rows:
        same_id[_id(name, row)].append(row)
    for rows in same_id.values():
        differ = _contradiction(name, rows)
        for row in rows:
            entry, reason = _attempt(row, read)
            if entry is None or differ:
                judged.reject(name, row, reason or differ)
            else:
                judged.entries.append((entry, [(name, row)]))


def _contradiction(name: str, rows: Sequence[Row]) -> str:
    """Returns that `rows`, which are of one id, say different things; empty when they say the same."""
    if all(row.values == rows[0].values for row in rows):
        return ""
    numbers = _listed([row.number for row in rows])
    return f"{COLUMNS[name][0]} {_key(name, rows[0])} is in the rows {numbers}, which differ."


def _attempt(row: Row, read: Callable[[Mapping[str, str]], Entry]) -> tuple[Entry | None, str]:
    if row.faults:
        return None, " ".join(row.faults)
    try:
        return read(row.values), ""
    except EntryError as error:
        return None, str(error).replace(_BLANK, FORMULA)


def _judge_invoices(judged: _Judged, invoices: Sheet, details: Sheet) -> None:
    lines: dict[str, list[Row]] = defaultdict(list)
    doubts = _Doubts(details.rows, {row.values["invoice_id"] for row in invoices.rows})
    for row in details.rows:
        if row.number not in doubts.rows:
            lines[row.values["invoice_id"]].append(row)
    same_id: dict[str, list[Row]] = defaultdict(list)
    for row in invoices.rows:
        same_id[row.values["invoice_id"]].append(row)
    for row in same_id.pop("", []):
        judged.reject(INVOICES, row, _attempt(row, lambda fields: read_sale(fields, [("-", "1")]))[1])
    for invoice_id, rows in same_id.items():
        _judge_invoice(judged, rows, lines.pop(invoice_id, []), doubts.about(invoice_id))
    for invoice_id, rows in lines.items():
        for row in rows:
            judged.reject(DETAILS, row, f"invoice_id {shown(invoice_id)} is not in {INVOICES}.")
    for row in details.rows:
        if row.number in doubts.rows:
            judged.reject(DETAILS, row, doubts.rows[row.number])


class _Doubts:
    """Rows of Invoice_Details that may be an invoice's own: without them it would enter incomplete, for good.

    `rows` has the numbers of those rows, each with its reason.
    """

    def __init__(self, details: Sequence[Row], invoice_ids: Collection[str]) -> None:
        alike: dict[str, list[str]] = defaultdict(list)
        for invoice_id in sorted(invoice_ids):
            alike[_loosely(invoice_id)].append(invoice_id)
        self._unclear: list[int] = []
        self._nameless: dict[str, list[int]] = defaultdict(list)
        self._alike: dict[str, list[int]] = defaultdict(list)
        self.rows: dict[int, str] = {}
        # A row without an invoice may be of the one above it, as in a pivot table, or before all of the next.
        above = next((found for row in details if (found := row.values["invoice_id"])), "")
        for row in details:
            given = row.values["invoice_id"]
            if "invoice_id" in row.unclear:
                self._unclear.append(row.number)
                self.rows[row.number] = " ".join(row.faults)
            elif not given:
                self._nameless[above].append(row.number)
                self.rows[row.number] = f"invoice_id {FORMULA}"
            # An id that cannot be seen whole is refused in Invoices, too; the row may be of its twin there.
            elif (given not in invoice_ids or not is_visible(given)) and (
                meant := [found for found in alike[_loosely(given)] if found != given]
            ):
                for invoice_id in meant:
                    self._alike[invoice_id].append(row.number)
                self.rows[row.number] = (
                    f"invoice_id {shown(given)} is almost {shown(meant[0])}, which is in {INVOICES}."
                )
            above = given or above

    def about(self, invoice_id: str) -> str:
        """Returns why the invoice may have more items than those under its id; empty when it has not."""
        found = ""
        if numbers := self._nameless[invoice_id]:
            found += (
                f" {DETAILS} has rows without an invoice_id beside those of it: {_listed(numbers)};"
                " write it in each row."
            )
        if numbers := self._alike[invoice_id]:
            found += f" {DETAILS} has rows with almost the same invoice_id: {_listed(numbers)}."
        if self._unclear:
            found += f" {DETAILS} has rows whose invoice cannot be told: {_listed(self._unclear)}."
        return found


def _loosely(invoice_id: str) -> str:
    """Returns a form that is the same for ids that differ by case, signs, or what Excel does to numbers."""
    number = _DECIMALS.fullmatch("".join(filter(is_visible, invoice_id)))
    return _LEADING_ZEROS.sub("", bare("".join(number.groups()) if number else invoice_id))


def _judge_invoice(judged: _Judged, rows: list[Row], lines: list[Row], doubt: str) -> None:
    """Judge an invoice: its first row counts with all of its lines or none; each further row is rejected."""
    invoice, faults = rows[0], {line.number: reason for line in lines if (reason := _line_fault(line))}
    items = [(line.values["product_id"], line.values["quantity"]) for line in lines]
    entry, reason = _attempt(invoice, lambda fields: read_sale(fields, items))
    if faults or doubt:
        # The lines' own rows tell their faults.
        reason = _attempt(invoice, lambda fields: read_sale(fields, [("-", "1")]))[1]
        if faults:
            reason += f" {DETAILS} has faults in row {_listed(list(faults))}."
        reason += doubt
    if differ := _contradiction(INVOICES, rows):
        reason = differ
    elif entry is not None and not reason:
        judged.entries.append((entry, [(INVOICES, invoice), *((DETAILS, line) for line in lines)]))
    for row in rows[1:]:
        judged.reject(INVOICES, row, f"invoice_id {_key(INVOICES, row)} is in row {invoice.number} already.")
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


def _id(sheet: str, row: Row) -> str:
    return row.values[COLUMNS[sheet][0]]


def _key(sheet: str, row: Row) -> str:
    return shown(_id(sheet, row))
