"""The desk's invoices and their corrections: what is allowed, what is left, what is found."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from accounting.books import ACCEPTED, ALREADY_THERE, REJECTED, Books
from accounting.database import BooksDatabase
from accounting.entries import Entry, EntryError, read_credit, read_void
from accounting.outbox import Outbox
from contracts.stock import Sale, Void

_NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
_SALE = Sale("I1", "C1", _NOW, 5000, (("P1", 3), ("P2", 1), ("P1", 2)))


def _note(number: str, amount: int, *items: tuple[str, int], of: str = "I1", client: str = "C1") -> Sale:
    return Sale(number, client, _NOW, amount, items, of)


def _void(number: str, voids: str) -> Void:
    return Void(number, voids, _NOW)


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Books with one invoice."""
    database = BooksDatabase(tmp_path / "books.db")
    database.prepare()
    made = Books(database)
    made.save([_SALE])
    return made


@pytest.mark.parametrize(
    ("before", "entry", "reason"),
    [
        ([], _note("N1", 5001, ("P1", 1)), "total_amount is more than the 50.00 that are left of I1."),
        ([], _note("N1", 1, ("P1", 6)), "item_product_id P1: more pieces than are left of I1."),
        ([], _note("N1", 1, ("P1", 3), ("P1", 3)), "item_product_id P1: more pieces than are left of I1."),
        ([], _note("N1", 1, ("P9", 1)), "item_product_id P9: more pieces than are left of I1."),
        ([], _note("N1", 1, ("P1", 1), client="C2"), "client_id C2 is not the client of I1."),
        ([], _note("N1", 1, ("P1", 1), of="I9"), "credits I9: there is no such invoice here."),
        ([_note("N1", 4000, ("P1", 5))], _note("N2", 1001, ("P2", 1)), "than the 10.00 that are left"),
        ([_note("N1", 4000, ("P1", 5))], _note("N2", 1, ("P1", 1)), "more pieces than are left of I1."),
        ([_note("N1", 1, ("P1", 1))], _note("N2", 1, ("P1", 1), of="N1"), "is a credit note itself"),
        ([_void("V1", "I1")], _note("N1", 1, ("P1", 1)), "credits I1 is voided"),
        ([_void("V1", "I1")], _void("V2", "I1"), "voids I1 is voided already, by V1."),
        ([], _void("V1", "I9"), "voids I9: there is no such invoice here."),
        ([_void("V1", "I1")], _void("V2", "V1"), "voids V1: there is no such invoice here."),
        ([_note("N1", 1, ("P1", 1))], _void("N1", "I1"), "is there already, with other content."),
        ([_void("V1", "I1")], Sale("V1", "C1", _NOW, 1, ()), "is there already, with other content."),
        ([_void("V1", "I1")], _void("V1", "N1"), "is there already, with other content."),
    ],
)  # fmt: skip
def test_a_correction_that_takes_back_too_much_is_rejected(
    books: Books, before: list[Entry], entry: Entry, reason: str
) -> None:
    """With its reason; nothing is stored or sent."""
    assert {verdict.state for verdict in books.save(before)} <= {ACCEPTED}
    [verdict] = books.save([entry])
    assert verdict.state == REJECTED
    assert reason in verdict.reason


def test_what_was_taken_back_wrongly_is_given_back_by_a_void_of_it(books: Books) -> None:
    """Then as much can be credited again."""
    whole = _note("N1", 5000, ("P1", 5), ("P2", 1))
    books.save([whole])
    invoice = books.invoice("I1")
    assert invoice
    assert (invoice.left().amount, {pieces for _, pieces in invoice.left().items}) == (0, {0})
    assert [one.state for one in books.save([_void("V1", "N1"), _note("N2", 5000, ("P1", 5))])] == [
        ACCEPTED
    ] * 2
    invoice = books.invoice("I1")
    assert invoice
    assert invoice.left().items == (("P1", 0), ("P2", 1), ("P1", 0))
    note = books.invoice("N1")
    assert note
    assert (note.is_voided, note.voided_by) == (True, "V1")


def test_the_same_correction_again_is_there_already_and_sent_once(books: Books, tmp_path: Path) -> None:
    """Also when nothing is left of its invoice by then."""
    entries: list[Entry] = [_note("N1", 5000, ("P1", 5), ("P2", 1)), _void("V1", "I1")]
    books.save(entries)
    assert [verdict.state for verdict in books.save(entries)] == [ALREADY_THERE] * 2
    waiting = Outbox(BooksDatabase(tmp_path / "books.db")).waiting(9)
    assert [(message.kind, message.key) for message in waiting] == [
        ("sales", "I1"),
        ("sales", "N1"),
        ("sales", "V1"),
    ]
    note, void = (json.loads(message.payload) for message in waiting[1:])
    assert (note["credits"], note["total_amount"], note["items"][0]["quantity"]) == ("I1", 50.0, 5)
    assert void == {"invoice_id": "V1", "voids": "I1", "timestamp": "2026-03-01T12:00:00.000Z"}


def test_invoices_are_listed_by_day_and_found_by_number_or_client(books: Books) -> None:
    """In any case of letters; what is typed is no pattern."""
    books.save(
        [
            Sale("INV-7%", "Café_1", _NOW - timedelta(days=1), 5, (("P1", 1),)),
            Sale("I3", "C1", _NOW - timedelta(hours=12), 5, (("P1", 1),)),
            Sale("I4", "C1", _NOW + timedelta(hours=12), 5, (("P1", 1),)),
        ]
    )

    def found(day: date | None, *words: str) -> list[str]:
        return [invoice.sale.invoice_id for invoice in books.invoices(day, words)]

    assert found(_NOW.date()) == ["I1", "I3"]
    assert found(None) == ["I4", "I1", "I3", "INV-7%"]
    assert found(None, "inv", "CAF") == ["INV-7%"]
    assert found(None, "%") == ["INV-7%"]
    assert found(None, "_") == ["INV-7%"]
    assert found(date.max) == []


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({0: "4"}, ["quantity_0 is more than the 3 that are left.", "total_amount is missing."]),
        ({0: "", 1: " "}, ["No piece comes back", "total_amount is missing."]),
        ({0: "x"}, ['quantity_0 "x" is not a number such as 12.', "total_amount is missing."]),
    ],
)
def test_all_faults_of_a_credit_note_are_told_at_once(given: dict[int, str], faults: list[str]) -> None:
    """By the names of the fields; a void needs a number and nothing else."""
    with pytest.raises(EntryError) as raised:
        read_credit({"invoice_id": "N1", "timestamp": "2026-03-01"}, _SALE, given)
    assert len(raised.value.faults) == len(faults)
    assert all(fault in told for fault, told in zip(faults, raised.value.faults, strict=True))
    with pytest.raises(EntryError, match="invoice_id is missing"):
        read_void({"invoice_id": "", "timestamp": "2026-03-01"}, "I1")
