"""Excel workbooks into the books: every row is told of, and no file however made takes the page down."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from accounting import workbook
from accounting.books import ACCEPTED, ALREADY_THERE, REJECTED, Books
from accounting.database import BooksDatabase
from accounting.outbox import WAITING, Outbox
from accounting.sample import sample_workbook
from accounting.upload import UploadReport, upload
from accounting.workbook import CLIENTS, COLUMNS, DETAILS, INVOICES, WorkbookError, read_workbook
from tests.support.odd_workbooks import book_of

_NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def _excel_time(*parts: int) -> datetime:
    """Excel knows no time zones."""
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


_PRODUCT = ("P1", "Tea", "tea", 5, 1.1, 2.9, date(2026, 1, 5), date(2026, 9, 1), "B1")
_INVOICE = ("I1", "C1", _excel_time(2026, 2, 1, 14, 30), 8.7)
_SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def file(tmp_path: Path) -> BooksDatabase:
    """An empty file of the accountant's."""
    made = BooksDatabase(tmp_path / "books.db")
    made.prepare()
    return made


def _book(rows: Mapping[str, Any], headers: Mapping[str, Sequence[str]] = COLUMNS) -> bytes:
    return book_of(*((name, [header, *rows.get(name, ())]) for name, header in headers.items()))


def _told(report: UploadReport) -> list[tuple[str, int, str, str]]:
    return [(row.sheet, row.row, row.verdict.state, row.verdict.reason) for row in report.rows]


def _states(report: UploadReport) -> list[str]:
    return [row.verdict.state for row in report.rows]


def test_the_sample_is_accepted_and_the_second_time_already_there(file: BooksDatabase) -> None:
    """Every row of the four sheets is accepted; the same workbook again sends nothing."""
    books, content = Books(file), sample_workbook(_NOW)
    assert _states(upload(content, books)) == [ACCEPTED] * 11
    waiting = Outbox(file).state().counts[WAITING]
    assert waiting == 7
    assert _states(upload(sample_workbook(_NOW), books)) == [ALREADY_THERE] * 11
    assert Outbox(file).state().counts[WAITING] == waiting


def test_numbers_and_dates_of_excel_are_what_they_show(file: BooksDatabase) -> None:
    """Floats are exact to the cent, whole numbers may be ids, dates and times are dates and times."""
    rows = {
        "Products": [(1001, "Tea", None, 5.0, 0.1 + 0.2, "2.90", _excel_time(2026, 1, 5), "2026-09-01", 7)],
        "Invoices": [("I1", 77.0, _excel_time(2026, 2, 1, 14, 30, 0, 500_000), 8.700000000000001)],
        "Invoice_Details": [("I1", 1001, 3)],
    }
    assert _states(upload(_book(rows), Books(file))) == [ACCEPTED] * 3
    product, sale = (message.payload for message in Outbox(file).waiting(9))
    assert '"product_id":"1001","name":"Tea","category":null,"quantity":5,"buy_price":0.3,' in product
    assert '"last_movement":"2026-01-05","expiry_date":"2026-09-01","batch_no":"7"' in product
    assert '"client_id":"77","timestamp":"2026-02-01T14:30:00.500Z","total_amount":8.7' in sale
    assert '"items":[{"product_id":"1001","quantity":3}]' in sale


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (0, None, "product_id is missing; if the cell holds a formula, save the workbook in Excel once"),
        (3, "=2+3", "quantity is missing; if the cell holds a formula"),
        (3, 2.5, "quantity must be a whole number."),
        (3, True, 'quantity "TRUE" is not a number such as 12.'),
        (4, "NaN", 'buy_price "NaN" is not an amount such as 12.50.'),
        (4, "1,100", 'buy_price "1,100" is not an amount such as 12.50.'),
        (5, -1, "sell_price must not be negative."),
        (5, "#DIV/0!", "sell_price holds Excel's error #DIV/0!."),
        (0, 4006381333931001, "product_id has more digits than the 15 that Excel keeps"),
        (0, "4.00638E+12", "product_id is a number as Excel shortens it, so digits are lost"),
        (0, date(2026, 3, 1), "product_id holds a date or a time"),
        (2, "=A1", "category is missing; if the cell holds a formula"),
        (6, "0026-01-31", "last_movement is before 1970; write the year with four digits."),
        (7, date(2062, 1, 1), "expiry_date is more than 30 years ahead."),
        (7, 99_000_000, 'expiry_date "99000000" is not a date such as 2026-01-31.'),
        (7, "31/01/2026", 'expiry_date "31/01/2026" is not a date such as 2026-01-31.'),
    ],
)
def test_a_faulty_row_is_rejected_with_its_reason(
    file: BooksDatabase, column: int, value: Any, reason: str
) -> None:
    """Named by sheet, row and column; the rows around it are stored."""
    faulty = [*_PRODUCT[:column], value, *_PRODUCT[column + 1 :]]
    report = upload(_book({"Products": [("P0", *_PRODUCT[1:]), faulty, ("P2", *_PRODUCT[1:])]}), Books(file))
    assert _states(report) == [ACCEPTED, REJECTED, ACCEPTED]
    assert report.rows[1].row == 3
    assert report.rows[1].verdict.reason.startswith(reason)


def test_blank_rows_and_other_columns_are_no_faults(file: BooksDatabase) -> None:
    """Rows keep Excel's numbers; names are found in any order and spelling; what is not looked at is told."""
    headers = {
        **COLUMNS,
        "products": ["Colour", *(f" {name.replace('_', ' ').title()}" for name in COLUMNS["Products"])],
    }
    del headers["Products"]
    rows = {"products": [("red", *_PRODUCT), (), ("blue",), (None, " ", ""), ("green", "P2", *_PRODUCT[1:])]}
    report = upload(_book(rows, headers), Books(file))
    assert _told(report) == [("Products", 2, ACCEPTED, ""), ("Products", 6, ACCEPTED, "")]
    assert report.remarks == ["Columns of Products that were not looked at: Colour."]


def test_missing_sheets_and_columns_are_named(file: BooksDatabase) -> None:
    """What is there is stored, but invoices only together with their details."""
    headers = {
        "Products": COLUMNS["Products"],
        "Clients": ("client_id", "email"),
        "Invoices": COLUMNS["Invoices"],
    }
    report = upload(_book({"Products": [_PRODUCT], "Invoices": [_INVOICE]}, headers), Books(file))
    assert _told(report) == [("Products", 2, ACCEPTED, "")]
    assert report.remarks == [
        "Columns are missing in row 1 of Clients: name, phone, total_revenue_generated.",
        "The sheet Invoice_Details is missing.",
        "No invoice was looked at, because Invoices and Invoice_Details are needed together.",
    ]
    empty: Any = Workbook()
    content = io.BytesIO()
    empty.save(content)
    assert len(upload(content.getvalue(), Books(file)).remarks) == 4


def test_an_invoice_comes_with_all_of_its_items_or_not_at_all(file: BooksDatabase) -> None:
    """A faulty line takes its invoice along, and each row says why."""
    rows = {
        "Invoices": [_INVOICE, ("I2", *_INVOICE[1:]), ("I3", *_INVOICE[1:]), _INVOICE, ("I4", None, "x", 1)],
        "Invoice_Details": [
            ("I1", "P1", 3),
            ("I2", "P1", 1),
            ("I2", None, 0.5),
            ("I9", "P1", 1),
            ("I1", "P2", 1),
            ("I4", "P1", 1),
            (None, "P1", 1),
        ],
    }
    told = _told(upload(_book(rows), Books(file)))
    formula = "is missing; if the cell holds a formula, save the workbook in Excel once and upload it again."
    nameless = f"{DETAILS} has rows without an invoice_id beside those of it: 8; write it in each row."
    assert told == [
        ("Invoices", 2, ACCEPTED, ""),
        ("Invoices", 3, REJECTED, "Invoice_Details has faults in row 4."),
        ("Invoices", 4, REJECTED, "The invoice has no items."),
        ("Invoices", 5, REJECTED, "invoice_id I1 is in row 2 already."),
        (
            "Invoices",
            6,
            REJECTED,
            f'client_id {formula} timestamp "x" is not a time such as 2026-01-31 14:30. {nameless}',
        ),
        ("Invoice_Details", 2, ACCEPTED, ""),
        ("Invoice_Details", 3, REJECTED, "The invoice in row 3 is rejected."),
        ("Invoice_Details", 4, REJECTED, f"product_id {formula} quantity must be a whole number."),
        ("Invoice_Details", 5, REJECTED, "invoice_id I9 is not in Invoices."),
        ("Invoice_Details", 6, ACCEPTED, ""),
        ("Invoice_Details", 7, REJECTED, "The invoice in row 6 is rejected."),
        ("Invoice_Details", 8, REJECTED, f"invoice_id {formula}"),
    ]
    [message] = Outbox(file).waiting(9)
    assert message.key == "I1"


@pytest.mark.parametrize(
    ("whose", "row", "waiting"),
    [
        ("#REF!", 1, {"I1", "I2"}), ("=A2", 1, {"I1", "I2"}), (datetime(2026, 3, 1), 1, {"I1", "I2"}),  # noqa: DTZ001
        (4006381333931123, 1, {"I1", "I2"}), (None, 0, {"I1"}), (None, 1, {"I1"}), (None, 2, {"I2"}),
        ("i2", 0, {"I2"}), ("I 2", 1, {"I2"}), ("I9", 1, set()), ("17.0", 1, {"17"}),
    ],
)  # fmt: skip
def test_an_invoice_waits_for_a_row_that_may_be_its_own(
    file: BooksDatabase, whose: Any, row: int, waiting: set[str]
) -> None:
    """It can never be corrected once it is in: without one of its items it would be wrong for good."""
    details: list[tuple[Any, ...]] = [("I1", "P1", 1), ("I2", "P1", 1)]
    details.insert(row, (whose, "P2", 1))
    invoices = [_INVOICE, ("I2", *_INVOICE[1:])]
    if "17" in waiting:
        invoices, details = [*invoices, ("17", *_INVOICE[1:])], [*details, ("17", "P1", 1)]
    report = upload(_book({"Invoices": invoices, "Invoice_Details": details}), Books(file))
    assert {
        each.key for each in report.rows if each.sheet == INVOICES and each.verdict.state == REJECTED
    } == (waiting)
    [odd] = [each for each in report.rows if each.sheet == DETAILS and each.row == row + 2]
    assert odd.verdict.state == REJECTED
    assert odd.verdict.reason


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("Products", _PRODUCT, ("P1", "Coffee", *_PRODUCT[2:])),
        ("Clients", ("C1", "Shop"), ("C1", "Shop", None, None, 7)),
        ("Products", _PRODUCT, ("P1", *_PRODUCT[1:3], 2.5, *_PRODUCT[4:])),
    ],
)
def test_a_record_that_is_there_twice_counts_only_where_both_say_the_same(
    file: BooksDatabase, name: str, same: Any, other: Any
) -> None:
    """Nobody can tell which of them is meant; a faulty one may be."""
    report = upload(_book({name: [("X", *same[1:]), same, same]}), Books(file))
    assert _states(report) == [ACCEPTED, ACCEPTED, ALREADY_THERE]
    report = upload(_book({name: [("X", *same[1:]), same, other, (), (None, *same[1:])]}), Books(file))
    assert _states(report) == [ALREADY_THERE, REJECTED, REJECTED, REJECTED]
    differ = f"{COLUMNS[name][0]} {same[0]} is in the rows 3, 4, which differ."
    assert report.rows[1].verdict.reason == differ
    assert report.rows[2].verdict.reason in (differ, "quantity must be a whole number.")


def _altered(
    name: str, change: Callable[[str], str], made: bytes | None = None, encoding: str = "utf-8"
) -> bytes:
    """The sample, or the workbook `made`, with one of its parts changed, or added."""
    content = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(made or sample_workbook(_NOW))) as parts,
        zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as changed,
    ):
        for part in parts.namelist():
            text = parts.read(part).decode()
            changed.writestr(part, change(text).encode(encoding) if part == name else text)
        if name not in parts.namelist():
            changed.writestr(name, change(""))
    return content.getvalue()


def _laughs(text: str) -> str:
    entities = "".join(
        f'<!ENTITY {a} "{f"&{b};" * 10}">' for a, b in zip("bcdefghij", "abcdefghi", strict=True)
    )
    return f'<!DOCTYPE x [<!ENTITY a "ha">{entities}]>{text.replace("Green tea", "&j;")}'


def _outside(text: str) -> str:
    return f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>{text.replace("Green tea", "&a;")}'


@pytest.mark.parametrize(
    ("before", "after", "hidden"),
    [
        ('<row r="2"', '<row ht="0" customHeight="1" r="2"', "row 2"),
        ('<row r="2"', '<row ht="15" customHeight="1" r="2"', ""),
        ('<row r="3"', '<row hidden="true" r="3"', "row 3"),
        ("<col ", '<col hidden="1" ', "columns"),
        ('width="14"', 'width="0"', "columns"),
    ],
)
def test_what_is_hidden_is_told_however_it_is_hidden(before: str, after: str, hidden: str) -> None:
    """By its mark, or by a size of nothing."""
    content = _altered(_SHEET, lambda text: text.replace(before, after, 1))
    assert read_workbook(content)["Products"].hidden == hidden


@pytest.mark.parametrize(
    "change",
    [
        lambda text: re.sub(' r="[A-Z]+[0-9]+"', "", text),
        lambda text: re.sub(' r="[A-Z]*[0-9]+"', "", text),
        lambda text: text.replace('encoding="UTF-8"', "").replace("<f>1+1</f>", "<f><![CDATA[1+1]]></f>"),
        lambda text: text.replace("<f>", "<!-- a sum --><f>"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_formula_without_a_value_is_told_however_its_cell_is_written(
    change: Callable[[str], str], encoding: str
) -> None:
    """Cells without names, other encodings, comments: a client's balance is not taken for none."""
    content = book_of((CLIENTS, [COLUMNS[CLIENTS], ("C1", "Shop", "mail", "1", "=1+1")]))
    (row,) = read_workbook(_altered(_SHEET, change, content, encoding))[CLIENTS].rows
    assert row.unclear == ["total_revenue_generated"]


def _swapped(text: str) -> str:
    return re.sub("(<row .*?</row>)(<row .*?</row>)", r"\2\1", text, count=1)


def test_rows_out_of_order_refuse_their_sheet() -> None:
    """Otherwise some of them would be passed over."""
    assert read_workbook(_altered(_SHEET, _swapped))["Products"].fault == (
        "The sheet Products has its rows out of order: open it in Excel and save it as .xlsx."
    )


def test_columns_that_lie_too_far_right_are_told_as_such() -> None:
    """A person sees them there."""
    content = book_of((CLIENTS, [[*COLUMNS[CLIENTS][1:], *[None] * 57, "client_id"]]))
    assert read_workbook(content)[CLIENTS].fault == (
        "Columns are missing in row 1 of Clients, within the first 60 columns: client_id."
    )


_BROKEN: dict[str, Callable[[], bytes]] = {
    "password": lambda: bytes.fromhex("D0CF11E0A1B11AE1") + bytes(2000),
    "nothing": lambda: b"",
    "text": lambda: b"hello",
    "cut": lambda: sample_workbook(_NOW)[:3000],
    "cut sheet": lambda: _altered(_SHEET, lambda text: text[:500]),
    "entities": lambda: _altered(_SHEET, _laughs),
    "entity of a file": lambda: _altered(_SHEET, _outside),
    "no xml": lambda: _altered("xl/workbook.xml", lambda _: "{}"),
    "bomb": lambda: _altered("bomb", lambda _: "0" * 260_000_000),
}


@pytest.mark.parametrize("make", _BROKEN.values(), ids=_BROKEN)
def test_a_file_that_is_no_workbook_is_told_as_such(make: Callable[[], bytes]) -> None:
    """Damaged or hostile, within seconds, in one sentence with the remedy."""
    content, started = make(), time.monotonic()
    with pytest.raises(WorkbookError, match=r"save it as \.xlsx|divide it"):
        read_workbook(content)
    assert time.monotonic() - started < 30


def test_large_workbooks_are_bounded(monkeypatch: pytest.MonkeyPatch, file: BooksDatabase) -> None:
    """More rows or bytes than allowed are refused before anything is stored; far cells cost nothing."""
    monkeypatch.setattr(workbook, "MAX_ROWS", 5)
    rows = {
        "Products": [(f"P{n}", *_PRODUCT[1:]) for n in range(3)],
        "Clients": [(f"C{n}",) for n in range(3)],
    }
    with pytest.raises(WorkbookError, match="more than 5 rows"):
        upload(_book(rows), Books(file))
    assert Outbox(file).waiting(9) == []
    with pytest.raises(WorkbookError, match="larger than 20 MB"):
        read_workbook(b"x" * 20_000_001)
    made: Any = Workbook()
    made.active.title = "Products"
    made.active.append(list(COLUMNS["Products"]))
    made.active.append(list(_PRODUCT))
    made.active.cell(1_048_576, 16_384, "far away")
    content = io.BytesIO()
    made.save(content)
    made.active.cell(1_048_575, 1, "P2")
    content = io.BytesIO()
    made.save(content)
    started = time.monotonic()
    assert [row.number for row in read_workbook(content.getvalue())["Products"].rows] == [2, 1_048_575]
    assert time.monotonic() - started < 10


def test_a_file_with_a_password_is_told_as_such() -> None:
    """Excel opens it as any other, so the remedy is to remove the password."""
    with pytest.raises(WorkbookError, match=r"has a password, or is an old \.xls: .* remove the password"):
        read_workbook(_BROKEN["password"]())
