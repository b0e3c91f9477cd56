"""A client who is forgotten leaves the accountant's file, also its pages that hold nothing any more."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from accounting.books import ACCEPTED, Books
from accounting.database import BooksDatabase
from accounting.entries import read_client, read_sale
from accounting.forgetting import count_client, rename_client, told_of
from accounting.outbox import Outbox
from analytics.stock.nameless import Client

_NAMES = [f"C4NARY {'Zoë ' * size}" for size in (60, 20, 3)]


def _sold(number: int, whom: str) -> dict[str, str]:
    return {
        "invoice_id": f"I{number}", "client_id": whom, "timestamp": "2026-03-01", "total_amount": "10.10",
    }  # fmt: skip


@pytest.fixture(autouse=True)
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SQLite that overwrites nothing of its own accord; Debian's does."""
    connect = sqlite3.connect

    def opened(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(sqlite3, "connect", opened)


def test_no_byte_of_the_file_tells_the_client(tmp_path: Path) -> None:
    """Whose name has changed: what was replaced lies on in SQLite's free space. Amounts and others stay."""
    file = BooksDatabase(tmp_path / "books.db")
    file.prepare()
    books = Books(file)
    for name in _NAMES:
        for whom in ("mine", "Other"):
            told = name if whom == "mine" else "Other"
            books.save([read_client({"client_id": whom, "name": told, "email": f"{told[:9]}@x"})])
    sales = [read_sale(_sold(n, whom), [("P1", "3")]) for n, whom in enumerate(["mine", "Other", "mine"])]
    assert {verdict.state for verdict in books.save(sales)} == {ACCEPTED}
    client = Client("mine", "forgotten-1", {"mine", *told_of(file, "mine")})
    assert _NAMES[-1].strip() in client.texts
    # One record and three versions of it, two invoices and their messages.
    assert count_client(file, client) == 1 + len(_NAMES) + 2 + 2
    assert rename_client(file, client) == 1 + len(_NAMES) + 2 + 2
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"C4NARY" not in content
    assert b'"mine"' not in content
    found = {one.client_id: one for one in books.clients()}
    assert found.keys() == {"forgotten-1", "Other"}
    assert (found["forgotten-1"].name, found["Other"].name) == (None, "Other")
    amounts = sorted(
        (sale.invoice_id, sale.client_id, sale.amount) for sale in (one.sale for one in books.invoices())
    )
    assert amounts == [("I0", "forgotten-1", 1010), ("I1", "Other", 1010), ("I2", "forgotten-1", 1010)]
    assert {one.key for one in Outbox(file).waiting(50)} == {"forgotten-1", "Other", "I0", "I1", "I2"}
    assert (count_client(file, client), rename_client(file, client)) == (0, 0)
