"""After `stock forget` no file and no collection knows the client, and every amount is as before."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from bson import json_util

from accounting.books import ACCEPTED, Books
from accounting.database import BooksDatabase
from accounting.entries import Entry, read_client, read_credit, read_sale, read_void
from accounting.outbox import Outbox
from commands import pulse
from commands.forgetting.logs import spellings
from tests.support.command_line import run_command
from tests.support.outbox import drain, sending
from tests.support.stock_events import client, product, sale
from tests.support.stock_shop import StockShop

# Each is one client's; what they have in common with patterns, JSON, paths and other ids must not matter.
CLIENTS = [
    'Zoë "C.*" O\'Brien\\ 7 $(x) %s',
    "7",
    "клиент-№1 😀",
]
NAME, MAIL, PHONE = "Zoë Кана́рейка (C4NARY)", "c4nary+мир@example.org", "+49 151 c4nary"


def _environment(shop: StockShop, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("log_directory", "metrics_directory", "dlq_directory", "checkpoint_location", "stock_cold_path")
    for name in names:
        monkeypatch.setenv(name.upper(), str(getattr(shop.settings, name)))
    for name, value in shop.topics.environment(shop.database.name).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONGO_URI", shop.mongo_uri)
    monkeypatch.setenv("SQLITE_DB_PATH", str(shop.folder / "books.db"))
    monkeypatch.chdir(shop.folder)


def _book(shop: StockShop, whom: str) -> BooksDatabase:
    """A client with invoices, a credit note and a void at the desk, all of it sent but the last."""
    file = BooksDatabase(shop.folder / "books.db")
    file.prepare()
    books = Books(file)
    fields = {
        "client_id": whom,
        "name": NAME,
        "email": MAIL,
        "phone": PHONE,
        "total_revenue_generated": "5.5",
    }
    sold = [
        read_sale(
            {"invoice_id": f"D{n}", "client_id": whom, "timestamp": "2026-03-01", "total_amount": "10.10"},
            [("P1", "3")],
        )
        for n in range(3)
    ]
    entries: list[Entry] = [
        read_client(fields),
        *sold,
        read_credit(
            {"invoice_id": "K0", "timestamp": "2026-03-01", "total_amount": "1.10"}, sold[0], {0: "1"}
        ),
        read_void({"invoice_id": "V1", "timestamp": "2026-03-01"}, "D1"),
    ]
    assert {verdict.state for verdict in books.save(entries)} == {ACCEPTED}
    with sending(file, shop.topics.servers, shop.topics.names):
        drain(file)
    waits = read_sale(
        {"invoice_id": "W", "client_id": whom, "timestamp": "2026-03-01", "total_amount": "1"}, [("P1", "1")]
    )
    assert books.save([waits])[0].state == ACCEPTED
    return file


def _refused(whom: str) -> list[Any]:
    """Records that become letters: of the client, of somebody else, and ones that cannot be read."""
    broken = json.dumps({"client_id": whom, "name": NAME, "email": MAIL, "phone": PHONE})[:-5]
    return [
        {**sale("L1", whom, P1=1), "total_amount": "much"},
        {**client(whom), "total_revenue_generated": "-1", "name": NAME, "email": MAIL},
        {**sale("L2", "somebody else", P1=1), "total_amount": "much", "note": "kept"},
        {"kunde": NAME, "mail": MAIL, "invoice_id": "L3"},
        broken,
    ]


def _amounts(shop: StockShop) -> Any:
    totals = [
        (t["_id"], t["units"], t["profit_cents"]) for t in shop.database["product_totals"].find().sort("_id")
    ]
    fields = ("opening_cents", "sales_cents", "revenue_cents", "eligible_promo", "loyalty_tier")
    clients = sorted(str([one[name] for name in fields]) for one in shop.database["clients"].find())
    sales = [
        (s["_id"], s.get("amount_cents"), s.get("items"), s["timestamp"])
        for s in shop.database["sales"].find().sort("_id")
    ]
    return totals, clients, sales


def _traces(shop: StockShop, texts: list[str]) -> list[str]:
    """Where one of `texts` still is: in any document, file, and value of the cold store."""
    forms = {form for text in texts for once in spellings(text) for form in spellings(once)}
    found = []
    for name in shop.database.list_collection_names():
        for document in shop.database[name].find():
            found += (
                [name] if any(form in json_util.dumps(document, ensure_ascii=False) for form in forms) else []
            )
    for path in shop.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if any(form.encode() in content for form in forms):
                found.append(str(path.relative_to(shop.folder)))
    cold = (shop.folder / "cold" / "events").resolve()
    found_rows = duckdb.sql(f"SELECT key, value FROM read_parquet('{cold}/**/*.parquet')")
    assert found_rows is not None
    rows = found_rows.fetchall()
    for each in [value for row in rows for value in row if value is not None]:
        found += ["cold store"] if any(form.encode() in bytes(each) for form in forms) else []
    return found


@pytest.mark.parametrize("whom", CLIENTS, ids=["quotes and patterns", "a short number", "unicode"])
def test_nothing_tells_the_client_and_all_amounts_stay(
    shop: StockShop, monkeypatch: pytest.MonkeyPatch, whom: str
) -> None:
    """Through desk, Kafka and Spark into database, cold store, letters and logs; then forgotten, twice."""
    _environment(shop, monkeypatch)
    file = _book(shop, whom)
    shop.topics.send(product("P1"), client("Other"), sale("O1", "Other", P1=2))
    for record in _refused(whom):
        shop.topics.send(record, kind="sales" if "invoice_id" in str(record) else "clients")
    assert shop.run()
    log = shop.settings.log_directory / "stock_batch_logs_20260301.jsonl"
    error = f"E11000 duplicate key: {{ _id: {json.dumps(whom, ensure_ascii=False)} }} of {MAIL}; {whom} again"
    log.write_text(
        json.dumps({"errors": [error], "records_processed": 7}, ensure_ascii=False) + "\n", "utf-8"
    )
    acts = shop.settings.log_directory / "acts_20260301.jsonl"
    acts.write_text(json.dumps({"who": "operator", "outcome": error}) + "\n")
    sizes = [log.stat().st_size, acts.stat().st_size]
    before, texts = _amounts(shop), [NAME, MAIL, PHONE, *([whom] if len(whom) > 1 else [])]
    letters = len(shop.dead_records())
    assert len({*_traces(shop, texts)}) > 6

    asked = run_command("stock", "forget", whom, "--dry-run", "--json", app=pulse.app)
    assert asked.code == 0, asked.err
    assert _traces(shop, texts)
    assert _amounts(shop) == before
    done = run_command("stock", "forget", whom, "--yes", "--json", app=pulse.app)
    assert done.code == 0, done.err
    assert _traces(shop, texts) == []
    assert _amounts(shop) == before
    assert [log.stat().st_size, acts.stat().st_size] == sizes
    assert json.loads(log.read_text())["records_processed"] == 7
    counts = {each["what"]: each["count"] for each in json.loads(done.out)["found"]}
    assert counts.items() >= {each["what"]: each["count"] for each in json.loads(asked.out)["found"]}.items()
    assert counts["totals set right"] == 0
    assert not any(text in done.out for text in texts)
    known = json.loads(done.out)["person"]["pseudonym"]
    assert shop.database["clients"].count_documents({"_id": known}) == 1
    # Of two records nothing could stay; somebody else's is as it was.
    assert len(shop.dead_records()) == letters - 2
    assert "somebody else" in str(shop.dead_records())

    again = run_command("stock", "forget", whom, "--yes", "--json", app=pulse.app)
    assert (again.code, [each["count"] for each in json.loads(again.out)["found"] if each["count"]]) == (
        0,
        [],
    )
    _the_desk_sends_on_under_the_pseudonym(shop, file, texts)


def _the_desk_sends_on_under_the_pseudonym(shop: StockShop, file: BooksDatabase, texts: list[str]) -> None:
    """What waited is counted for the pseudonym, and what is sent again is known."""
    Outbox(file).resend(None, None)
    with sending(file, shop.topics.servers, shop.topics.names):
        drain(file)
    letters = len(shop.dead_records())
    assert shop.run()
    assert len(shop.dead_records()) == letters
    assert shop.database["sales"].count_documents({"_id": "W"}) == 1
    assert shop.database["clients"].count_documents({}) == 2
    assert _traces(shop, texts) == []
