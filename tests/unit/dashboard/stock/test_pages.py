"""The stock pages: full, empty, with the database away, with hostile text; what the accountant does."""

from __future__ import annotations

import json
import secrets
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from structlog.testing import capture_logs

from accounting.books import Books
from accounting.database import BooksDatabase
from accounting.desk import Desk
from accounting.entries import read_client, read_product
from accounting.outbox import WAITING, Outbox
from accounting.sample import sample_workbook
from contracts.stock import Sale
from dashboard import frame, listing
from dashboard.data.stock_data import StockData
from dashboard.door import Door
from dashboard.entrance import Entrance
from dashboard.stock import accountant, administrator, listings, user
from dashboard.stock.accountant import AccountantData
from dashboard.stock.pages import open_accountant, pages
from settings import load
from sources.mongo_client import connect
from tests.support.clock import Clock
from tests.support.shown import HOSTILE, Switch, charts, figures, show, texts
from tests.support.stock_database import shop_events, write_events
from tests.support.stock_events import client, credit, product, sale, void

_PASSWORD = "correct horse"  # noqa: S105


class _Shop:
    """A stock database that can be switched off, and an hour passing."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.database = connect(f"mongomock://{secrets.token_hex(8)}")["stock"]
        if events:
            write_events(self.database, events)
        self.switch = Switch(self.database)
        source: Any = _Collections(self.switch)
        self.data = StockData(source, "EUR", Decimal(10000))


class _Collections:
    """A database by the names of its collections."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def __getitem__(self, name: str) -> Any:
        return getattr(self._switch, name)


_Collections.__module__ = "mongomock"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk whose outbox nobody empties, with a product and a client."""
    database = BooksDatabase(tmp_path / "books.db")
    database.prepare()
    made = Desk(Books(database), Outbox(database))
    tea = {"product_id": "P1", "name": "Tea", "quantity": "5", "buy_price": "1.10", "sell_price": "2.90"}
    made.books.save([read_product(tea), read_client({"client_id": "C1", "name": "Shop"})])
    made.outbox.settle([1, 2], {}, None)
    return made


def _inside(desk: Desk) -> AppTest:
    page = show(accountant.render, AccountantData(desk, entrance=Entrance({"accountant": Door(_PASSWORD)})))
    page.text_input(key="accountant_password").input(_PASSWORD)
    page.button[0].click().run()
    assert not page.exception
    return page


def _sent(desk: Desk) -> list[Any]:
    return [json.loads(message.payload) for message in desk.outbox.waiting(100)]


def test_the_administrator_sees_rankings_clients_and_status() -> None:
    """As the pipeline published them, money exact to the cent, charts with a description and a table."""
    shop = _Shop(shop_events())
    page = show(administrator.render, shop.data)
    assert not page.exception
    assert not page.error
    assert len(page.title) == 1
    assert len(charts(page)) == len(page.table) == 3
    assert len(page.expander) == 0
    assert all(len(alternative) > 20 for alternative in charts(page))
    assert all(table.proto.alt for table in page.table)
    shown = figures(page)
    assert (shown["Products"], shown["Sales"], shown["Clients"]) == ("14", "40", "6")
    assert shown["Last batch"] in ("just now", "1\xa0s ago", "2\xa0s ago", "3\xa0s ago")
    winners, risks, clients = (table.value for table in page.table)
    assert len(winners) == 10
    assert winners["Profit\\, EUR"][0].replace("\\", "") == "218.40"
    assert winners["Revenue\\, EUR"][0].replace("\\", "") == "1,240.20"
    assert {"✗\xa0expired", "!\xa0expiring"} < {why.replace("\\", "") for why in risks["Why"]}
    assert set(clients["Tier"]) == {"Gold", "Silver"}


@pytest.mark.parametrize("counted", [2, 5_000], ids=["many", "few"])
def test_corrections_are_taken_back_and_shown(counted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A void and a credit note are no sales; the tile says how many there are, and the ranking follows.

    Few sales are counted; many are the server's estimate without the corrections.
    """
    monkeypatch.setattr("dashboard.data.stock_data._COUNTED", counted)
    shop = _Shop([product("P1"), product("P2"), sale("I1", P1=3), sale("I2", P2=4), sale("I3", P2=1)])
    write_events(shop.database, [void("V1", "I1"), credit("N1", "I2", P2=1), credit("N2", "I1")], batch=1)
    page = show(administrator.render, shop.data)
    assert figures(page)["Sales"] == "3"
    tile = next(metric for metric in page.metric if metric.label == "Sales")
    assert "taken back from all figures: 2. Credit notes: 2;" in tile.help
    assert list(page.table[0].value["Product"]) == ["P2"]
    assert list(page.table[0].value["Units sold"]) == ["4"]


def test_a_loss_is_shown_with_its_sign() -> None:
    """A product sold below its purchase price has a negative profit."""
    shop = _Shop([product("P1", buy="5.00", sell="3.10"), sale("I1", P1=3)])
    winners = show(administrator.render, shop.data).table[0].value
    assert winners["Profit\\, EUR"][0].replace("\\", "") == "−5.70"


def test_a_new_sale_is_shown_and_without_one_the_last_state_stays(clock: Clock) -> None:
    """Reruns change nothing; the next reading after a batch has it."""
    shop = _Shop(shop_events())
    page = show(administrator.render, shop.data)
    before = [table.value.to_dict() for table in page.table]
    clock.seconds += 3600
    assert [table.value.to_dict() for table in page.run().table] == before
    write_events(shop.database, [sale("new", client="C1", amount="20000.00", P14=500)], batch=1)
    clock.seconds += 3600
    page.run()
    assert page.table[0].value["Product"][0] == "P14"
    assert "C1" in list(page.table[2].value["Client"])
    assert figures(page)["Sales"] == "41"


@pytest.mark.parametrize("render", [administrator.render, user.render])
def test_with_the_database_away_the_last_state_stays(render: Any, clock: Clock) -> None:
    """With its age and the reason, no part of the address; before the first reading only the reason."""
    shop = _Shop(shop_events())
    page = show(render, shop.data)
    tables = len(page.table)
    shop.switch.off = True
    clock.seconds += 3600
    page.run()
    assert len(page.table) == tables > 0
    [error] = page.error
    assert "does not answer" in error.value
    assert "last state" in error.value
    assert "hunter2" not in texts(page)
    shop.switch.off = False
    clock.seconds += 3600
    assert not page.run().error
    never = _Shop([])
    never.switch.off = True
    assert "Nothing was read yet" in show(render, never.data).error[0].value


@pytest.mark.parametrize("render", [administrator.render, user.render])
def test_empty_pages_say_what_to_do(render: Any) -> None:
    """An empty database is no fault."""
    page = show(render, _Shop([]).data)
    assert not page.exception
    assert not page.error
    assert any("ipeline" in info.value for info in page.info)


def test_an_empty_shop_says_once_that_there_is_no_data_and_asserts_nothing() -> None:
    """No zeros, no section, no sentence on what is at risk."""
    page = show(administrator.render, _Shop([]).data)
    assert texts(page).count("There is no data yet") == 1
    for drawn in (page.metric, page.header, page.table, charts(page)):
        assert len(drawn) == 0
    assert "past its date" not in texts(page)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (
            [product("P1", buy="1.00", sell="3.00", name="نبات"), sale("I1", P1=3)],
            "نبات earns most, 6.00\xa0EUR; no product is at risk.",
        ),
        (
            [product("P1", buy="5.00", name=HOSTILE, quantity=2, expiry_date="2020-01-01")],
            "No product with a known price was sold yet; 1 product may bring a loss, 10.00\xa0EUR at cost.",
        ),
        ([client("C1")], "No product with a known price was sold yet; no product is at risk."),
    ],
    ids=["one sold", "one at risk", "a client alone"],
)
def test_the_first_line_says_what_earns_and_what_is_at_risk(events: list[dict[str, Any]], told: str) -> None:
    """With the currency, whatever the names are."""
    page = show(administrator.render, _Shop(events).data)
    assert not page.exception
    assert page.markdown[0].value.replace("\\", "") == told
    assert not any("are moved lately" in text.value for text in page.markdown)


def test_lists_can_be_sorted_by_each_column() -> None:
    """Figures from the greatest, texts from A whatever their case, days from the first; nothing last."""
    page = show(administrator.render, _Shop(shop_events()).data)

    def column(place: int, name: str) -> list[str]:
        found = page.table[place].value
        return [cell.replace("\\", "") for cell in found[name]]

    by_profit = column(0, "Product")
    page.selectbox(key="winners_sort").select("Units sold").run()
    units = [int(text) for text in column(0, "Units sold")]
    assert units == sorted(units, reverse=True)
    page.selectbox(key="winners_sort").select("Name").run()
    names = column(0, "Name")
    assert names == sorted(names, key=str.casefold)
    assert column(0, "Product") != by_profit
    page.selectbox(key="winners_sort").select("Rank").run()
    assert column(0, "Product") == by_profit
    page.selectbox(key="risks_sort").select("Expires").run()
    days = [datetime.strptime(text, "%d\xa0%b\xa0%Y") for text in column(1, "Expires")]  # noqa: DTZ007
    assert days == sorted(days)
    assert not page.exception


def test_lists_are_downloaded_whole_and_exact() -> None:
    """What can be sorted can be had as CSV, with the amounts as they are."""
    shop = _Shop(shop_events())
    page = show(administrator.render, shop.data)
    assert len(page.get("download_button")) == 3
    standing = shop.data.standing().value
    assert standing
    one = listings.winners("EUR")
    values = listing.values(one, standing.winners)
    assert values.to_dict("list")["Profit, EUR"] == [winner.profit for winner in standing.winners]


def test_thresholds_are_told_by_their_value(clock: Clock) -> None:
    """Not by the name of a setting, which a shopkeeper does not know."""
    for events, told in (
        (shop_events(), "Those with a revenue above 10,000\xa0EUR."),
        ([client("C1")], "No client's revenue is above 10,000\xa0EUR."),
    ):
        page = show(administrator.render, _Shop(events).data)
        shown = texts(page).replace("\\", "")
        assert told in shown
        assert "REVENUE_" not in shown


def test_figures_stand_below_one_another() -> None:
    """Their columns are aligned right, heading and all; those of texts are not."""
    page = show(administrator.render, _Shop(shop_events()).data)
    styles = page.table[0].proto.arrow_data.styler.styles
    assert all(f".col{place} {{ text-align: right" in styles for place in (2, 3, 4)), styles
    assert ".col0" not in styles


def test_a_click_reads_again(clock: Clock) -> None:
    """Also where the page does not refresh itself."""
    shop = _Shop(shop_events())
    page = show(administrator.render, shop.data)
    write_events(shop.database, [sale("new", P14=1)], batch=1)
    clock.seconds += 3
    page.button(key="administrator_refresh").click().run()
    assert figures(page)["Sales"] == "41"


def test_products_can_be_searched_and_purchase_prices_are_not_shown() -> None:
    """Each word in id, name or category, in any case; what is typed is no expression."""
    shop = _Shop(shop_events())
    page = show(user.render, shop.data)
    assert "14 found" in texts(page)
    page.text_input(key="product_search").input("TEA black").run()
    assert [name.replace("\\", "") for name in page.table[0].value["Name"]] == ["Black tea 1", "Black tea 8"]
    assert list(page.table[0].value) == [
        *("Product", "Name", "Category", "Price\\, EUR", "In stock", "Expires")
    ]
    assert page.table[0].value["Price\\, EUR"][0].replace("\\", "") == "3.90"
    for nothing in (".*", "(", HOSTILE):
        page.text_input(key="product_search").input(nothing).run()
        assert not page.exception
        assert "No product has" in page.info[0].value


def test_hostile_names_are_shown_and_do_nothing() -> None:
    """Names of products and clients stay text, in tables, charts and descriptions."""
    shop = _Shop(
        [
            product("P1", name=HOSTILE, category=HOSTILE, expiry_date="2020-01-01"),
            client("C1", opening="50000", name=HOSTILE),
            sale("I1"),
        ]
    )
    for render in (administrator.render, user.render):
        page = show(render, shop.data)
        assert not page.exception
        cells = [cell for table in page.table for column in table.value for cell in table.value[column]]
        assert any(cell.startswith("\\<img src\\=x") for cell in cells)
        assert not any(cell.startswith("<img") for cell in cells)


def test_the_accountants_page_is_off_without_a_password() -> None:
    """It says how to switch it on; no file is made."""
    page = show(accountant.render, open_accountant(load(env_file=None, accountant_password="")))
    assert "ACCOUNTANT_PASSWORD" in page.info[0].value
    assert len(page.text_input) == 0


def test_books_that_cannot_be_used_are_told_on_their_page(tmp_path: Path) -> None:
    """The other pages do without."""
    settings = load(env_file=None, accountant_password=_PASSWORD, sqlite_db_path=tmp_path)
    page = show(accountant.render, open_accountant(settings))
    assert "SQLITE" in page.error[0].value
    assert not page.exception


def test_only_the_password_opens_the_accountants_page(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong one shows nothing and is not logged; leaving closes it again."""
    page = show(accountant.render, AccountantData(desk, entrance=Entrance({"accountant": Door(_PASSWORD)})))
    page.text_input(key="accountant_password").input("wrong horse")
    page.button[0].click().run()
    assert page.error[0].value == "The password is wrong."
    assert len(page.tabs) == 0
    page = _inside(desk)
    assert len(page.tabs) == 6
    assert "accountant_password" not in page.session_state
    page.button(key="accountant_leave").click().run()
    assert len(page.tabs) == 0
    assert "horse" not in caplog.text


def test_the_accountants_first_line_says_whether_all_was_sent(desk: Desk) -> None:
    """For who is in; outside nobody learns how much was entered."""
    outside = show(
        accountant.render, AccountantData(desk, entrance=Entrance({"accountant": Door(_PASSWORD)}))
    )
    assert outside.markdown[0].value == "Sales, products and clients are entered here."
    assert _inside(desk).markdown[0].value == "**All that was entered has been sent to the pipeline.**"
    desk.books.save([read_client({"client_id": "C2", "name": "One"})])
    assert _inside(desk).markdown[0].value.startswith("**1 message waits for Kafka.** All that was entered")
    desk.outbox.settle([], {}, "Kafka is away")
    assert "1 message waits for Kafka, which does not take them now" in _inside(desk).markdown[0].value
    desk.books.save([read_client({"client_id": "C3", "name": "Two"})])
    desk.outbox.settle([], {3: "too large"}, None)
    told = _inside(desk).markdown[0].value
    assert told.startswith("**1 message was refused by Kafka; 1 message waits for Kafka.**")


def test_each_amount_of_the_accountant_has_its_currency(desk: Desk) -> None:
    """In labels, sums and lists; another installation has another one."""
    desk.books.save([Sale("I1", "C1", datetime.now(timezone.utc), 290, (("P1", 1),))])
    data = AccountantData(desk, entrance=Entrance({"accountant": Door(_PASSWORD)}), currency="CHF")
    page = show(accountant.render, data)
    page.text_input(key="accountant_password").input(_PASSWORD)
    page.button[0].click().run()
    labels = [field.label for field in page.text_input]
    assert [label for label in labels if any(word in label for word in ("price", "amount", "balance"))] == [
        label for label in labels if "CHF" in label
    ]
    assert sum("CHF" in label for label in labels) == 4
    assert "2.90\xa0CHF in all" in texts(page)
    assert any("CHF" in str(name) for table in page.table for name in table.value.columns)
    page.selectbox(key="invoices_chosen").select("I1").run()
    assert any("2.90\xa0CHF" in field.label for field in page.text_input)


def _fill_sale(page: AppTest) -> None:
    page.selectbox(key="sale_0_client_id").select("C1")
    page.selectbox(key="sale_0_product_1").select("P1")
    page.text_input(key="sale_0_quantity_1").input("2")
    page.button(key="sale_0_more").click().run()
    page.selectbox(key="sale_0_product_2").select("P1")
    page.text_input(key="sale_0_quantity_2").input("3").run()


def test_a_sale_with_several_items_is_saved_once(desk: Desk) -> None:
    """With a number of its own and the sum of the selling prices; reruns and the next form add nothing."""
    page = _inside(desk)
    _fill_sale(page)
    assert "Sum at selling prices: **14.50\xa0EUR**" in texts(page)
    number = page.text_input(key="sale_0_invoice_id").value
    page.button(key="sale_0_save").click().run()
    assert not page.exception
    assert "is saved" in page.success[0].value
    page.run().run()
    [event] = _sent(desk)
    assert event["invoice_id"] == number
    assert event["total_amount"] == 14.5
    assert event["items"] == [{"product_id": "P1", "quantity": 2}, {"product_id": "P1", "quantity": 3}]
    following = page.text_input(key="sale_1_invoice_id").value
    assert following != number
    assert page.text_input(key="sale_1_quantity_1").value == ""
    assert figures(page)["Waiting"] == "1"


def test_faults_of_a_sale_are_told_and_what_was_typed_stays(desk: Desk) -> None:
    """All at once, by the names on the form; a number that is taken is one of them."""
    page = _inside(desk)
    page.text_input(key="sale_0_quantity_1").input(HOSTILE)
    page.button(key="sale_0_save").click().run()
    [error] = page.error
    for part in (
        "Client is missing",
        "Total amount is missing",
        "Item 1: Product is missing",
        "Item 1: Quantity",
    ):
        assert part in error.value.replace("\\", ""), error.value
    assert "<img" not in error.value.replace("\\<", "")
    assert page.text_input(key="sale_0_quantity_1").value == HOSTILE
    marks = [text.value.replace("\\", "") for text in page.markdown if text.value.startswith(":red[✗")]
    assert marks[0] == marks[1] == ":red[✗ is missing.]"
    assert [mark.partition(" is not a ")[2] for mark in marks] == ["", "", "number such as 12.]", ""]
    assert _sent(desk) == []
    _fill_sale(page)
    page.text_input(key="sale_0_invoice_id").input("I1")
    page.button(key="sale_0_save").click().run()
    page.selectbox(key="sale_1_client_id").select("C1")
    page.selectbox(key="sale_1_product_1").select("P1")
    page.text_input(key="sale_1_quantity_1").input("9")
    page.text_input(key="sale_1_invoice_id").input("I1")
    page.button(key="sale_1_save").click().run()
    assert "there already, with other content" in page.error[0].value.replace("\\", "")
    assert len(_sent(desk)) == 1


def _with_invoices(desk: Desk) -> None:
    moment = datetime.now(timezone.utc)
    items = (("P1", 3), ("P2", 1))
    desk.books.save([Sale("I1", "C1", moment, 5000, items), Sale(HOSTILE, "نبات", moment, 100, (("P1", 1),))])
    desk.books.save([Sale("OLD", "C1", datetime(2026, 1, 2, tzinfo=timezone.utc), 700, items)])
    desk.outbox.settle(range(1, 9), {}, None)


def _invoices(page: AppTest) -> Any:
    return next(t.value for t in page.table if t.proto.alt.startswith("Invoices and credit notes"))


def test_todays_invoices_are_listed_and_found(desk: Desk) -> None:
    """With their sum; those of other days by their day or a word, and names of any kind stay text."""
    page = _inside(desk)
    assert any("No invoice of this day" in info.value for info in page.info)
    _with_invoices(desk)
    page.run()
    assert len(_invoices(page)) == 2
    assert "2 invoices, 51.00\xa0EUR in all." in texts(page)
    assert not any(cell.startswith("<img") for cell in _invoices(page)["Number"])
    page.date_input(key="invoices_day").set_value(None).run()
    page.text_input(key="invoices_words").input("old c1").run()
    assert list(_invoices(page)["Number"]) == ["OLD"]
    page.text_input(key="invoices_words").input(".*").run()
    assert any("No invoice has all of this" in info.value for info in page.info)
    assert not page.exception


def test_an_invoice_is_voided_once_and_for_good(desk: Desk) -> None:
    """Only after it was confirmed; then the list says so and nothing of it can be corrected."""
    _with_invoices(desk)
    page = _inside(desk)
    page.selectbox(key="invoices_chosen").select("I1").run()
    assert page.button(key="void_0_save").disabled
    page.checkbox(key="void_0_sure_I1").set_value(True).run()
    page.button(key="void_0_save").click().run()
    page.run()
    assert not page.exception
    [event] = _sent(desk)
    assert (event["voids"], event["invoice_id"][:2]) == ("I1", "V-")
    state = dict(zip(_invoices(page)["Number"], _invoices(page)["State"], strict=True))["I1"]
    assert state.replace("\\", "") == f"✗ voided by {event['invoice_id']}"
    assert "2 invoices, 1.00\xa0EUR in all." in texts(page)
    assert not [button for button in page.button if button.key in ("void_1_save", "credit_0_save")]


def test_goods_that_come_back_are_credited_up_to_what_is_left(desk: Desk) -> None:
    """All faults at once, by the names on the form; what is left falls, and the list says so."""
    _with_invoices(desk)
    page = _inside(desk)
    page.selectbox(key="invoices_chosen").select("I1").run()
    page.text_input(key="credit_0_quantity_0_I1").input("4")
    page.button(key="credit_0_save").click().run()
    [error] = page.error
    told = error.value.replace("\\", "")
    assert "Pieces of P1 is more than the 3 that are left" in told
    assert "Amount is missing" in told
    page.text_input(key="credit_0_quantity_0_I1").input("2")
    page.text_input(key="credit_0_total_amount_I1").input("20")
    page.button(key="credit_0_save").click().run()
    page.run()
    assert not page.exception
    [event] = _sent(desk)
    assert (event["credits"], event["client_id"], event["total_amount"]) == ("I1", "C1", 20.0)
    assert event["items"] == [{"product_id": "P1", "quantity": 2}]
    assert "2 invoices and 1 credit note, 31.00\xa0EUR in all." in texts(page)
    states = {cell.replace("\\", "") for cell in _invoices(page)["State"]}
    assert {"↩ 20.00\xa0EUR credited", "↩ credit note of I1"} < states
    left = next(t.value for t in page.table if t.proto.alt == "Items of I1")
    assert list(left["Left"]) == ["1", "1"]


def test_a_product_and_a_client_are_saved_and_changed(desk: Desk) -> None:
    """One that is there can be fetched into the form; saving it unchanged sends nothing."""
    page = _inside(desk)
    page.selectbox(key="product_0_known").select("P1").run()
    assert page.text_input(key="product_0_sell_price").value == "2.90"
    page.text_input(key="product_0_sell_price").input("3.40")
    page.date_input(key="product_0_expiry_date").set_value(date(2026, 9, 1))
    _submit(page, "Save the product")
    assert "Product P1 is saved" in page.success[0].value
    for field, value in {"client_id": "C2", "name": "Café", "total_revenue_generated": "10.5"}.items():
        page.text_input(key=f"client_0_{field}").input(value)
    _submit(page, "Save the client")
    product_event, client_event = _sent(desk)
    assert (product_event["sell_price"], product_event["expiry_date"]) == (3.4, "2026-09-01")
    assert (client_event["name"], client_event["total_revenue_generated"]) == ("Café", 10.5)
    page.selectbox(key="client_1_known").select("C2").run()
    _submit(page, "Save the client")
    assert any("nothing was added" in message.value for message in page.success)
    assert len(_sent(desk)) == 2


def test_a_sale_has_its_day_and_time_in_utc_and_amounts_with_a_comma(desk: Desk) -> None:
    """They are chosen, not typed; a total may have a decimal comma."""
    page = _inside(desk)
    _fill_sale(page)
    assert [(one.label, one.value) for one in page.date_input if one.key == "sale_0_day"] == [
        ("Day (UTC)", datetime.now(timezone.utc).date())
    ]
    page.date_input(key="sale_0_day").set_value(date(2026, 2, 28))
    page.time_input(key="sale_0_clock").set_value(time(23, 59))
    page.text_input(key="sale_0_total_amount").input("1.234,50")
    page.button(key="sale_0_save").click().run()
    assert not page.exception
    [event] = _sent(desk)
    assert (event["timestamp"], event["total_amount"]) == ("2026-02-28T23:59:00.000Z", 1234.5)


def test_what_people_do_is_logged_without_what_the_books_hold(desk: Desk, clock: Clock) -> None:
    """The door, what was saved and what was not, a refresh; a page that shows the same is told once."""
    with capture_logs() as logged:
        page = _inside(desk)
        page.text_input(key="client_0_client_id").input("C7")
        page.text_input(key="client_0_email").input("secret@example.com")
        _submit(page, "Save the client")
        _submit(page, "Save the product")
        page = show(administrator.render, _Shop(shop_events()).data)
        page.button(key="administrator_refresh").click().run()
        show(administrator.render, _Shop([]).data)
    told = [entry["event"] for entry in logged if "Interface:" in entry["event"]]
    assert told == [
        "🔐 Accountant Interface: Opened",
        "📝 Accountant Interface: Client C7: accepted",
        "❌ Accountant Interface: Product was not saved, 5 faults",
        "📊 Admin Interface: System status - Products: 14, Loss Risk: 10, Clients: 6",
        "🔄 User Interface: Manual refresh requested",
        "📉 Admin Interface: No data found - showing placeholder",
    ]
    assert "secret" not in str(logged)


def _submit(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


def test_a_workbook_is_stored_with_a_report(desk: Desk) -> None:
    """Counts by sheet, rows with their reasons, both downloads; a damaged file is told, nothing is stored."""
    page = _inside(desk)
    page.file_uploader[0].set_value(("sample.xlsx", sample_workbook(datetime.now(timezone.utc)), ""))
    page.run()
    page.button(key="upload_0_store").click().run()
    assert not page.exception
    assert any("11 rows accepted, 0 already there, 0 refused" in message.value for message in page.success)
    assert desk.outbox.state().counts[WAITING] == 7
    page.file_uploader[0].set_value(("damaged.xlsx", b"PK nonsense", ""))
    page.run()
    page.button(key="upload_1_store").click().run()
    assert any("no Excel workbook" in message.value for message in page.error)
    assert desk.outbox.state().counts[WAITING] == 7


def test_history_is_sent_again_on_request(desk: Desk) -> None:
    """All that was entered, or the days chosen; refused messages can wait again."""
    page = _inside(desk)
    assert page.button(key="outbox_resend").label == "Send 2 messages again"
    page.button(key="outbox_resend").click().run()
    assert [event.get("product_id") for event in _sent(desk)] == ["P1", None]
    desk.outbox.settle([3], {4: "too large"}, None)
    page.run()
    assert figures(page) == {"Waiting": "0", "Sent": "3", "Refused": "1"}
    outbox = next(t.value for t in page.table if t.proto.alt.startswith("Messages in the outbox"))
    assert set(outbox["Kind"]) == {"product", "client"}
    page.button(key="outbox_retry").click().run()
    assert desk.outbox.state().counts[WAITING] == 1
    page.date_input(key="resend_last").set_value(datetime(2020, 1, 1, tzinfo=timezone.utc).date()).run()
    assert page.button(key="outbox_resend").disabled


def test_people_are_told_why_nothing_goes(desk: Desk) -> None:
    """While something waits, with the time since when."""
    page = _inside(desk)
    desk.books.save([read_client({"client_id": "C9"})])
    desk.outbox.settle([], {}, "Kafka is away.")
    page.run()
    [warning] = page.warning
    assert warning.value.startswith("Since 20")
    assert "Kafka is away" in warning.value


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, "The page"),
        ({"operator_password": _PASSWORD}, "ADMINISTRATOR_PASSWORD"),
        ({"dashboard_roles": "a@x.org=administrator"}, "ADMINISTRATOR_PASSWORD"),
        ({"administrator_password": _PASSWORD}, "for who has the role administrator"),
    ],
    ids=["nothing", "another's", "roles", "its own"],
)
def test_the_administrators_page_is_open_to_all_only_where_nothing_is_configured(
    given: dict[str, str], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an installation has it; the accountant's books that cannot be used open it to nobody."""
    monkeypatch.setattr(administrator, "render", lambda _: frame.heading("Administrator", "The page"))
    room = pages(load(env_file=None, mongo_uri="mongomock://shop", **given))
    (page,) = (one for one in room.pages if one.address == "administrator")
    drawn = show(page.render, page.data)
    assert not drawn.exception
    assert seen in texts(drawn)
    assert ("The page" in texts(drawn)) is (given == {})


def test_books_that_cannot_be_used_do_not_open_the_administrators_page(tmp_path: Path) -> None:
    """The entrance is the same."""
    given = {"accountant_password": _PASSWORD, "sqlite_db_path": tmp_path}
    room = pages(load(env_file=None, mongo_uri="mongomock://shop", **given))
    (page,) = (one for one in room.pages if one.address == "administrator")
    assert "This page is off" in texts(show(page.render, page.data))
