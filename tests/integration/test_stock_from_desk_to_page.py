"""From the accountant's desk through Kafka, Spark and MongoDB to the Administrator's and the User's pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from accounting.books import ACCEPTED, Books
from accounting.database import BooksDatabase
from accounting.outbox import Outbox
from accounting.sample import sample_workbook
from accounting.upload import upload
from contracts.stock import Sale, Void
from dashboard.data.stock_data import Standing, StockData
from tests.support.outbox import drain, sending
from tests.support.stock_shop import StockShop

_NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def _send(file: BooksDatabase, servers: str, topics: Mapping[str, str]) -> None:
    """A sender at work until nothing waits."""
    with sending(file, servers, topics):
        drain(file)


def _standing(data: StockData) -> Standing:
    loaded = data.standing()
    assert loaded.fault is None
    assert loaded.value is not None
    return loaded.value


def _content(standing: Standing) -> dict[str, Any]:
    return {
        "winners": standing.winners,
        "risks": standing.risks,
        "clients": standing.clients,
        "documents": standing.status.documents,
    }


def test_a_workbook_becomes_the_administrators_page_and_history_changes_nothing(shop: StockShop) -> None:
    """Every event that the desk makes is accepted; all of it sent again leaves the results as they are."""
    file = BooksDatabase(shop.folder / "books.db")
    file.prepare()
    report = upload(sample_workbook(_NOW), Books(file))
    assert {row.verdict.state for row in report.rows} == {ACCEPTED}
    _send(file, shop.topics.servers, shop.topics.names)
    assert shop.run()
    shop.assert_accounted(7)
    assert shop.total("records_written") == 7
    first = _standing(StockData(shop.database))
    assert [(w.product_id, w.profit, w.units) for w in first.winners] == [
        ("P-1002", Decimal("148.80"), 62),
        ("P-1001", Decimal("140.00"), 50),
        ("P-1003", Decimal("27.80"), 2),
    ]
    assert [(c.client_id, c.revenue, c.tier) for c in first.clients] == [
        ("C-201", Decimal("10023.00"), "Silver")
    ]
    assert first.status.documents == {"inventory": 3, "sales": 2, "clients": 2}
    assert {risk.product_id for risk in first.risks} >= {"P-1003"}
    tea = StockData(shop.database).search("tea black").value
    assert tea is not None
    assert [(item.product_id, item.price) for item in tea] == [("P-1002", Decimal("4.20"))]

    assert Outbox(file).resend(None, None) == 7
    _send(file, shop.topics.servers, shop.topics.names)
    assert shop.run()
    shop.assert_accounted(14)
    # Records of the same `updated_at` are written again as they are.
    assert shop.total("duplicates") == 2
    assert shop.rejected() == {}
    assert _content(_standing(StockData(shop.database))) == _content(first)

    _correct(file, shop)


def _correct(file: BooksDatabase, shop: StockShop) -> None:
    """A credit note of one piece and a void, sent twice, are each taken back once."""
    wrong, other = "INV-SAMPLE-20260301-2", "INV-SAMPLE-20260301-1"
    note = Sale("N1", "C-201", _NOW, 420, (("P-1002", 1),), other)
    verdicts = Books(file).save([Void("V1", wrong, _NOW), note])
    assert {verdict.state for verdict in verdicts} == {ACCEPTED}
    for _ in range(2):
        _send(file, shop.topics.servers, shop.topics.names)
        assert shop.run()
        found = _standing(StockData(shop.database))
        assert [(w.product_id, w.profit, w.units) for w in found.winners] == [
            ("P-1002", Decimal("146.40"), 61),
            ("P-1001", Decimal("140.00"), 50),
            ("P-1003", Decimal("13.90"), 1),
        ]
        assert [(c.client_id, c.revenue) for c in found.clients] == [("C-201", Decimal("10018.80"))]
        assert (found.status.documents["sales"], found.status.corrections) == (
            2,
            {"credit": 1, "void": 1, "reversal": 1},
        )
        assert shop.rejected() == {}
        assert Outbox(file).resend(None, None) == 9
