"""What the accountant enters: faults in plain words, and nothing that the stock pipeline would refuse."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.entries import Entry, EntryError, read_client, read_product, read_sale
from accounting.messages import payload
from analytics.stock.rules import judge
from contracts.stock import Client, Product, Sale
from tests.support.stock_events import row

_SALE = {"invoice_id": "I1", "client_id": "C1", "timestamp": "2026-01-31 14:30", "total_amount": "12.50"}
_PRODUCT = {"product_id": "P1", "name": "Tea", "quantity": "5", "buy_price": "1.10", "sell_price": "2"}
_NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
_TEXT = st.text(max_size=30) | st.sampled_from(
    [
        "",
        "0",
        "12.50",
        "12,50",
        "31.01.2026",
        "1e3",
        "-1",
        "NaN",
        "٣",
        "2026-01-31",
        "31/01/2026",
        "2026-01-31T10:00:00+02:00",
        "{x",
        "a\ud800",
    ]
)


def _judged(entry: Entry) -> Any:
    return judge(row(json.loads(payload(entry, "2026-05-01T10:00:00.000Z")), 0), _NOW)


@given(
    fields=st.fixed_dictionaries(dict.fromkeys(_SALE, _TEXT)),
    items=st.lists(st.tuples(_TEXT, _TEXT), max_size=3),
)
def test_an_accepted_sale_is_the_pipelines_sale(fields: dict[str, str], items: list[tuple[str, str]]) -> None:
    """Whatever was typed: what the books take, the pipeline takes, with the same meaning."""
    try:
        sale = read_sale(fields, items)
    except EntryError:
        return
    assert _judged(sale) == sale


@pytest.mark.parametrize(
    ("read", "names"),
    [
        (read_product, (*_PRODUCT, "category", "last_movement", "expiry_date", "batch_no")),
        (read_client, ("client_id", "name", "email", "phone", "total_revenue_generated")),
    ],
)
@given(data=st.data())
def test_an_accepted_record_is_the_pipelines_record(
    read: Callable[[Mapping[str, str]], Product | Client], names: Sequence[str], data: st.DataObject
) -> None:
    """The same for products and clients, but for their place in Kafka."""
    try:
        record = read(data.draw(st.fixed_dictionaries(dict.fromkeys(names, _TEXT))))
    except EntryError:
        return
    assert replace(_judged(record), order="") == record


@pytest.mark.parametrize(
    ("typed", "cents"),
    [
        *(
            ("2,50", 250),
            ("2,5", 250),
            ("1.234,50", 123450),
            ("1234,5", 123450),
            ("12.345.678,90", 1234567890),
        ),
        *(("2.50", 250), ("1,250", None), ("1,234.50", None), ("12.34,50", None), (",5", None), ("1,", None)),
        *(("-2,50", None), ("2,505", None)),
    ],
)
def test_an_amount_may_have_a_decimal_comma_unless_it_could_divide_thousands(
    typed: str, cents: int | None
) -> None:
    """`1,250` is a thousand and more to some and one and a quarter to others, so it is refused."""
    fields = {**_SALE, "total_amount": typed}
    if cents is None:
        with pytest.raises(EntryError, match="total_amount"):
            read_sale(fields, [("P1", "1")])
    else:
        assert read_sale(fields, [("P1", "1")]).amount == cents


@pytest.mark.parametrize(
    ("typed", "day"),
    [
        ("31.01.2027", date(2027, 1, 31)),
        ("1.2.2027", date(2027, 2, 1)),
        ("31.02.2027", None),
        ("1.2.27", None),
    ],
)
def test_a_day_may_stand_first_with_dots(typed: str, day: date | None) -> None:
    """As it does in a workbook; so may that of a sale, with its time."""
    if day is None:
        with pytest.raises(EntryError, match="expiry_date"):
            read_product({**_PRODUCT, "expiry_date": typed})
        return
    assert read_product({**_PRODUCT, "expiry_date": typed}).expiry_date == day
    sold = read_sale({**_SALE, "timestamp": f"{typed} 14:30"}, [("P1", "1")]).time
    assert sold == datetime(day.year, day.month, day.day, 14, 30, tzinfo=timezone.utc)


@given(st.integers(0, 10**11))
def test_money_reaches_kafka_exactly(cents: int) -> None:
    """Every amount up to the greatest is the same number of cents in the event."""
    sale = Sale("I", "C", _NOW, cents, (("P", 1),))
    assert _judged(sale) == sale


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"invoice_id": " "}, "invoice_id is missing."),
        ({"total_amount": "1,250"}, 'total_amount "1,250" is not an amount such as 12.50.'),
        ({"total_amount": "1.005"}, "total_amount has more than two decimal places."),
        ({"total_amount": "-1"}, "total_amount must not be negative."),
        ({"total_amount": "1e11"}, "total_amount is too large."),
        ({"timestamp": "tomorrow"}, 'timestamp "tomorrow" is not a time such as 2026-01-31 14:30.'),
        ({"client_id": "x" * 501}, "client_id is longer than 500 characters."),
        ({"client_id": "{}"}, 'client_id "{}" is not a text of visible characters.'),
        ({"client_id": "C\u200b1"}, 'client_id "C<U+200B>1" is not a text of visible characters.'),
        ({"client_id": "NaN"}, "client_id is missing."),
        ({"invoice_id": "a\ud800"}, 'invoice_id "a<U+D800>" is not a text of visible characters.'),
        ({"invoice_id": "4.00638E+12"}, "invoice_id is a number as Excel shortens it, so digits are lost;"),
        ({"timestamp": "0026-01-31"}, "timestamp is before 1970; write the year with four digits."),
        ({"timestamp": "2162-01-31"}, "timestamp is more than 1 year ahead."),
    ],
)
def test_faults_are_told_in_plain_words(changes: dict[str, str], fault: str) -> None:
    """The field, what is wrong with it, and what would be right."""
    with pytest.raises(EntryError) as caught:
        read_sale({**_SALE, **changes}, [("P1", "1")])
    assert caught.value.faults[0].startswith(fault)


def test_all_faults_are_told_at_once() -> None:
    """With the number of the item where it is one of an item."""
    with pytest.raises(EntryError) as caught:
        read_sale({"total_amount": "x"}, [("P1", "1"), ("", "1.5"), ("P2", "0")])
    assert caught.value.faults == [
        "invoice_id is missing.",
        "client_id is missing.",
        "timestamp is missing.",
        'total_amount "x" is not an amount such as 12.50.',
        "Item 2: product_id is missing.",
        "Item 2: quantity must be a whole number.",
        "Item 3: quantity must be at least 1.",
    ]


def test_an_invoice_has_items_and_not_too_many() -> None:
    """None is a fault, and so are more than Kafka's record could hold."""
    for items, fault in (([], "no items"), ([("P", "1")] * 501, "more than 500 items")):
        with pytest.raises(EntryError, match=fault):
            read_sale(_SALE, items)
