"""The e-commerce page on a real PostgreSQL: its numbers, rights and plans; a database away, hostile text."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.data import remembered
from dashboard.data.events_database import reading
from dashboard.data.shop import QUERIES, ShopData
from dashboard.ecommerce import shop
from sinks.ecommerce.schema import ensure_tables
from tests.support.clock import Clock
from tests.support.postgres_servers import fresh_role
from tests.support.shop_rows import insert_batch, insert_event
from tests.support.shown import HOSTILE, charts, show, texts
from tests.support.toxiproxy import Toxiproxy, free_port
from tests.unit.dashboard.conftest import keep_main_module  # noqa: F401 - a fixture

HOUR = timedelta(hours=1)
_READ = "SELECT ON user_events, user_event_batches"


def _fill(connection: psycopg.Connection[Any]) -> None:
    """Five users in the last hour, one of whom buys after a view; one user of two hours ago."""
    insert_event(connection, 1800, user="anna", category="Toys")
    insert_event(connection, 1200, user="anna", category="Toys", price="10.00")
    insert_event(connection, 900, user="carl", category="Books", price="5.50")
    insert_event(connection, 700, user="carl", category="Books")
    insert_event(connection, 600, user="ben", category="Books")
    insert_event(connection, 7200, user="old", category="Toys", price="99.00")
    for user, latency in (("emma", 10), ("finn", 20)):
        insert_event(connection, 100, latency, user, "Toys")
    insert_batch(connection, 1200, 2, (4, 1), {"invalid_price": 2}, (8, 3))
    insert_batch(connection, 104, 4, (2, 2), {"corrupt": 1}, (30, 20))
    insert_batch(connection, 7200, 1, (1, 0), {"corrupt": 7}, (1, 1))


def _page(dsn: str, **query: str) -> AppTest:
    page = show(shop.render, ShopData(dsn, "EUR"), **query)
    assert not page.exception
    return page


def _figures(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value.replace("\\", "").replace("\xa0", " ") for metric in page.metric}


def test_the_page_shows_the_numbers_of_the_rows(connection: psycopg.Connection[Any], events_dsn: str) -> None:
    """By hand: 15.50 of two purchases, five viewers, one who bought afterwards, 2 of 4 duplicates."""
    _fill(connection)
    page = _page(events_dsn)
    figures = _figures(page)
    assert figures["Revenue"] == "15.50 EUR"
    assert (figures["Purchases"], figures["Views"]) == ("2", "5")
    assert (figures["Duplicates"], figures["Refused"]) == ("50.0 %", "1")
    assert figures["Latency (95th percentile)"] == "19.5 s"
    assert figures["Batch time (95th percentile)"] == "4.00 s"
    told = "\n".join(charts(page))
    assert "5 active, 5 viewed a product, 1 bought one after their first view" in told
    assert "in all 6 inserted, 3 duplicates, 3 refused" in told
    assert "Toys 10.00, Books 5.50" in told
    assert figures["Bought after a view"] == "20.0 %"
    (rules,) = [table for table in page.table if "rule" in table.proto.alt]
    assert sorted(map(tuple, rules.value.to_numpy().tolist())) == [
        ("corrupt", "1"), (r"invalid\_price", "2"),
    ]  # fmt: skip


def test_each_tile_says_how_it_differs_from_the_span_before(
    connection: psycopg.Connection[Any], events_dsn: str
) -> None:
    """By hand: the hour before had four views and one purchase; the first line compares, too."""
    _fill(connection)
    assert {metric.delta for metric in _page(events_dsn).metric} == {""}
    quiet = _page(events_dsn, span="Last 15 minutes").markdown[0].value.replace("\\", "")
    assert quiet.startswith("Last 15 minutes: no purchase.")
    # Two hours of batches, and five minutes before the last five, with the half of their events.
    insert_batch(connection, 7300, 1, (1, 0), {})
    insert_batch(connection, 500, 2, (1, 0), {"corrupt": 2}, (5, 5))
    for minute, user in ((70, "anna"), (75, "ben"), (80, "ben"), (85, "carl")):
        insert_event(connection, minute * 60, user=user)
    insert_event(connection, 65 * 60, user="anna", price="31.00")
    page = _page(events_dsn)
    deltas = {metric.label: metric.delta.replace("\xa0", " ") for metric in page.metric}
    assert deltas["Revenue"] == "-50.0 %"
    assert (deltas["Purchases"], deltas["Views"], deltas["Visitors"]) == ("+100.0 %", "+25.0 %", "+66.7 %")
    assert (deltas["Events per second"], deltas["Refused"]) == ("+100.0 %", "-50.0 %")
    assert deltas["Last batch"] == ""
    first = page.markdown[0].value.replace("\\", "").replace("\xa0", " ")
    assert first.startswith("Last hour: 2 purchases for 15.50 EUR, 50 % less than in the span before.")


def test_charts_are_described_and_have_their_values_as_tables(
    connection: psycopg.Connection[Any], events_dsn: str
) -> None:
    """One first-level heading."""
    _fill(connection)
    page = _page(events_dsn)
    assert len(page.title) == 1
    assert len(charts(page)) == 5
    # The table of categories stands below its chart.
    assert len(page.expander) == 4
    assert all(len(alternative) > 20 for alternative in charts(page))


def test_the_span_can_be_chosen(connection: psycopg.Connection[Any], events_dsn: str) -> None:
    """Six hours hold what one does not; the choice is in the address."""
    _fill(connection)
    page = _page(events_dsn)
    page.selectbox(key="span").set_value("Last 6 hours").run()
    assert _figures(page)["Revenue"] == "114.50 EUR"
    assert _figures(_page(events_dsn, span="Last 6 hours"))["Purchases"] == "3"


def test_before_the_first_batch_there_is_a_placeholder(events_dsn: str) -> None:
    """Without tables, and with empty ones: no fault, and what to do."""
    for _ in range(2):
        page = _page(events_dsn)
        assert not page.error
        assert "There is no data yet" in texts(page)
        with psycopg.connect(events_dsn) as opened:
            ensure_tables(opened)


def test_a_role_that_may_only_select_suffices(connection: psycopg.Connection[Any], events_dsn: str) -> None:
    """It sees everything and can change nothing; without SELECT there is one sentence with the remedy."""
    _fill(connection)
    with fresh_role(events_dsn, _READ) as reader:
        assert _figures(_page(reader))["Revenue"] == "15.50 EUR"
        with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(reader) as opened:
            opened.execute("DELETE FROM user_events")
    with fresh_role(events_dsn) as stranger:
        assert "GRANT SELECT" in _fault(_page(stranger))


def test_even_an_owner_cannot_write_through_the_page(
    connection: psycopg.Connection[Any], events_dsn: str
) -> None:
    """The connection is read-only, whatever the role may do."""
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        reading(events_dsn) as opened,
    ):
        opened.execute("DELETE FROM user_events")


def _fault(page: AppTest) -> str:
    (error,) = page.error
    return str(error.value).replace("\\", "")


def test_a_wrong_address_is_told_without_its_password(
    connection: psycopg.Connection[Any], events_dsn: str
) -> None:
    """Refused, away, not an address: a sentence each."""
    base = events_dsn.replace("app@", "nobody_at_all:hunter2@")
    away = f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x"
    unreadable = "postgresql://a:hunter2@[x"
    for dsn, told in ((base, "refuses"), (away, "does not answer"), (unreadable, "not a usable")):
        fault = _fault(_page(dsn))
        assert told in fault
        assert "hunter2" not in fault


def test_the_last_state_stays_while_the_database_is_away(
    connection: psycopg.Connection[Any],
    events_dsn: str,
    toxiproxy: Toxiproxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cut off or swallowed in a black hole: the old figures with the reason, in seconds, then new ones."""
    _fill(connection)
    place = re.search(r"@([^/]+)/", events_dsn)
    assert place
    proxy = toxiproxy.proxy(place[1])
    clock = Clock(monkeypatch, remembered)
    data = ShopData(events_dsn.replace(place[1], proxy.address), "EUR")
    before = data.shop(HOUR)
    assert before.fault is None
    for fault in ("cut", "black_hole"):
        clock.seconds += 60
        getattr(proxy, fault)()
        kept = data.shop(HOUR)
        assert kept.value is before.value
        assert kept.as_of == before.as_of
        assert "does not answer" in (kept.fault or "")
        page = show(shop.render, data)
        assert _figures(page)["Revenue"] == "15.50 EUR"
        assert "last state that could be read" in _fault(page)
        proxy.heal()
    clock.seconds += 60
    assert data.shop(HOUR).fault is None
    proxy.close()


def test_hostile_names_are_shown_and_do_nothing(connection: psycopg.Connection[Any], events_dsn: str) -> None:
    """HTML and Markdown of a category stay text."""
    insert_event(connection, 60, category=HOSTILE, price="1.00")
    insert_batch(connection, 60, 1, (1, 0), {HOSTILE: 1})
    page = _page(events_dsn)
    for table in page.table:
        for cell in table.value.astype(str).to_numpy().ravel():
            assert not re.search(r"(?<!\\)[<\[]", cell), cell


def test_no_read_looks_at_the_whole_table(connection: psycopg.Connection[Any]) -> None:
    """The server's own plans: of events and batches of many days only those of the span."""
    connection.execute(
        "INSERT INTO user_events SELECT gen_random_uuid(), 'user', 'product', 'name', 'category', 'view',"
        " NULL, now() - n * interval '1 minute' FROM generate_series(1, 50000) AS n"
    )
    connection.execute(
        "INSERT INTO user_event_batches SELECT gen_random_uuid(), n, 1, 1, 0, '{}', '{}', t, t FROM"
        " (SELECT n, now() - n * interval '3 minutes' AS t FROM generate_series(1, 20000) AS n) AS batches"
    )
    connection.execute("VACUUM ANALYZE user_events, user_event_batches")
    ((now,),) = connection.execute("SELECT now()").fetchall()
    values = {"now": now, "since": now - HOUR, "until": now, "step": 60}
    for query in QUERIES:
        plan = connection.execute(f"EXPLAIN {query}", values).fetchall()
        assert "Seq Scan" not in str(plan), plan
        assert "Index" in str(plan), plan


def test_a_statement_that_takes_too_long_is_ended(
    connection: psycopg.Connection[Any], events_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page asks for seconds, not for minutes, and says what to do."""
    _fill(connection)
    monkeypatch.setattr("dashboard.data.events_database._STATEMENT_MILLISECONDS", 200)
    with connection.transaction():
        connection.execute("LOCK TABLE user_events IN ACCESS EXCLUSIVE MODE")
        assert "choose a shorter span" in _fault(_page(events_dsn))
