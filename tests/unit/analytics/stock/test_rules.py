"""Which stock events are accepted, and by which named rule the others are refused."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.stock.rules import judge, newest_possible
from analytics.stock.values import RefusedError, cents, moment, quantity
from contracts import CORRUPT
from contracts.stock import Client, Product, Sale
from tests.support.stock_events import START, client, product, row, sale

_NOW = START + timedelta(days=1)


def _judged(event: dict[str, Any]) -> Any:
    return judge(row(event, 7), _NOW)


def test_a_sale_is_read_with_all_its_items() -> None:
    """Every item counts, money is whole cents, the time is UTC."""
    event = {**sale("I1", "C9", "1999.90", P1=2, P2=3), "timestamp": "2026-03-01T12:00:00+02:00"}
    assert _judged(event) == Sale(
        "I1",
        "C9",
        datetime(2026, 3, 1, 10, tzinfo=timezone.utc),
        199_990,
        (("P1", 2), ("P2", 3)),
    )


def test_a_product_is_read_with_dates_and_prices() -> None:
    """Dates are days of UTC; what is optional may be missing."""
    event = product("P1", "1.5", "3", last_movement="2026-02-01", expiry_date="2026-03-08T23:30:00-02:00")
    found = _judged({**event, "category": None, "batch_no": " "})
    assert found == Product(
        "P1", "Product P1", None, 5, 150, 300, date(2026, 2, 1), date(2026, 3, 9), None, found.order
    )


def test_a_client_may_be_new() -> None:
    """Without an opening balance it is 0."""
    found = _judged(client("C1", None, email=" a@b.example ", phone=None))  # type: ignore[arg-type]
    assert found == Client("C1", "Client C1", "a@b.example", None, 0, found.order)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"invoice_id": " "}, "missing_invoice_id"),
        ({"invoice_id": "x" * 501}, "invoice_id_too_long"),
        ({"invoice_id": '{"a": 1}'}, "invalid_invoice_id"),
        ({"invoice_id": {"a": 1}}, "invalid_invoice_id"),
        ({"client_id": True}, "invalid_client_id"),
        ({"total_amount": True}, "invalid_total_amount"),
        ({"timestamp": ["2026-01-01"]}, "invalid_timestamp"),
        ({"items": {}}, CORRUPT),
        ({"items": "P1"}, CORRUPT),
        ({"items": ["P1"], "invoice_id": None}, CORRUPT),
        ({"items": [None]}, "invalid_items"),
        ({"invoice_id": "a\x00b"}, "invalid_invoice_id"),
        ({"client_id": None}, "missing_client_id"),
        ({"timestamp": None}, "missing_timestamp"),
        ({"timestamp": "yesterday"}, "invalid_timestamp"),
        ({"timestamp": "2026-02-30"}, "invalid_timestamp"),
        ({"total_amount": None}, "missing_total_amount"),
        ({"total_amount": "NaN"}, "invalid_total_amount"),
        ({"total_amount": '"Infinity"'}, "invalid_total_amount"),
        ({"total_amount": "true"}, "invalid_total_amount"),
        ({"total_amount": "-0.01"}, "negative_total_amount"),
        ({"total_amount": "0.005"}, "total_amount_has_fractions_of_a_cent"),
        ({"total_amount": "1e12"}, "total_amount_too_large"),
        ({"items": None}, "missing_items"),
        ({"items": []}, "missing_items"),
        ({"items": [{"product_id": "P1", "quantity": 0}]}, "zero_item_quantity"),
        ({"items": [{"product_id": "P1", "quantity": "1.5"}]}, "item_quantity_not_whole"),
        ({"items": [{"product_id": "P1", "quantity": -1}]}, "negative_item_quantity"),
        ({"items": [{"product_id": None, "quantity": 1}]}, "missing_item_product_id"),
        ({"items": [{"product_id": "P1", "quantity": 1}, {"product_id": "P2"}]}, "missing_item_quantity"),
    ],
)
def test_what_is_wrong_with_a_sale_has_a_name(changes: dict[str, Any], reason: str) -> None:
    """The first rule that is broken is told; a sale is refused whole."""
    assert _judged({**sale("I1"), **changes}) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"product_id": ""}, "missing_product_id"),
        ({"name": None}, "missing_name"),
        ({"quantity": "many"}, "invalid_quantity"),
        ({"category": ["tea"]}, "invalid_category"),
        ({"name": {}}, "invalid_name"),
        ({"last_movement": False}, "invalid_last_movement"),
        ({"updated_at": []}, "invalid_updated_at"),
        ({"quantity": "2e9"}, "quantity_too_large"),
        ({"buy_price": "1,50"}, "invalid_buy_price"),
        ({"sell_price": "-1"}, "negative_sell_price"),
        ({"expiry_date": "soon"}, "invalid_expiry_date"),
        ({"last_movement": "2026-13-01"}, "invalid_last_movement"),
        ({"updated_at": "1969-01-01"}, "invalid_updated_at"),
        ({"updated_at": "2026-03-03T00:00:01Z"}, "future_updated_at"),
    ],
)
def test_what_is_wrong_with_a_product_has_a_name(changes: dict[str, Any], reason: str) -> None:
    """A price from the future is refused: it would be the newest for years."""
    assert _judged({**product("P1"), **changes}) == reason


def test_what_no_document_could_hold_is_refused() -> None:
    """Otherwise MongoDB would refuse the whole batch, again and again."""
    items = [{"product_id": "P", "quantity": 1}] * 250_000
    assert _judged({**sale("I"), "items": items}) == "record_too_long"
    assert isinstance(_judged({**sale("I"), "items": items[:200_000]}), Sale)


def test_what_is_no_json_of_this_shape_is_corrupt() -> None:
    """One object in UTF-8, and nothing behind it; and a topic that is none of ours has no kind."""
    good = row(sale("I1"), 1)
    whole = good["value"]
    deep = b'{"a":' * 100_000
    for value in (
        None, b"", b"{", b"[]", b"null", b"7", whole + b"}", whole + b',"end":1}', b"\xef\xbb\xbf" + whole,
        whole.decode().encode("utf-16"), whole.replace(b"I1", b"\xff"), whole.replace(b'"10.00"', b"NaN"),
        whole.replace(b'"', b"'"), deep,
    ):  # fmt: skip
        assert judge({**good, "value": value}, _NOW) == CORRUPT, value and value[:30]
    assert judge({**good, "kind": None}, _NOW) == "unknown_topic"


def test_the_newest_update_is_by_its_time_then_by_kafkas_then_by_place() -> None:
    """`order` sorts as text, also between records with and without `updated_at`."""
    first = judge(row(product("P1"), 7), _NOW)
    second = judge(row(product("P1"), 10), _NOW)
    earlier = judge(row(product("P1", updated_at="2026-03-01T00:00:06.999Z"), 11), _NOW)
    later = judge(row(product("P1", updated_at="2026-03-01T00:00:07.001Z"), 2), _NOW)
    other = judge(row(product("P1"), 7, partition=1), _NOW)
    found = sorted([second, other, later, earlier, first], key=lambda one: one.order)  # type: ignore[union-attr]
    assert found == [earlier, first, other, later, second]


_STAMPS = st.tuples(st.integers(0, 86_399), st.text("0123456789", max_size=20), st.integers(-12, 14))


def _sent(seconds: int, digits: str, zone: int) -> tuple[str, Fraction]:
    """A time as it is sent, with its zone's offset, and the moment that it is."""
    base = datetime(2026, 2, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    local = base.astimezone(timezone(timedelta(hours=zone)))
    text = f"{local:%Y-%m-%dT%H:%M:%S}{'.' + digits if digits else ''}{local:%z}"
    return text, Fraction(int(base.timestamp())) + Fraction(int(digits or "0"), 10 ** len(digits))


@given(_STAMPS, st.one_of(_STAMPS, st.sampled_from("01")), st.integers(0, 3), st.integers(0, 3))
def test_updates_are_ordered_as_finely_as_they_were_sent(
    one: tuple[int, str, int], other: tuple[int, str, int] | str, offset: int, other_offset: int
) -> None:
    """In any zone, to any digit; equal times by place. An order of an earlier version has milliseconds."""
    # A digit more, or a moment of its own.
    pair = [one, (one[0], one[1] + other, one[2]) if isinstance(other, str) else other]
    sent = [_sent(*stamp) for stamp in pair]
    places = [offset, other_offset]
    orders = [
        judge(row(product("P1", updated_at=text), place), _NOW).order  # type: ignore[union-attr]
        for (text, _), place in zip(sent, places, strict=True)
    ]
    keys = [(moment_sent, place) for (_, moment_sent), place in zip(sent, places, strict=True)]
    assert (orders[0] < orders[1]) == (keys[0] < keys[1])
    assert (orders[0] == orders[1]) == (keys[0] == keys[1])
    before = f"{int(keys[0][0] * 1000):015d} {0:010d} {places[0]:020d}"
    assert before <= orders[0]
    assert (before < orders[1]) == ((Fraction(int(keys[0][0] * 1000), 1000), places[0]) < keys[1])


_AHEAD_MS = int(_NOW.timestamp() * 1000) + 301_000


@pytest.mark.parametrize("raw", [_AHEAD_MS, 4_102_444_800_000, 10**15 * 17 // 10, 17 * 10**17, 2**63 - 1])
def test_a_time_of_kafka_that_is_yet_to_come_orders_nothing(raw: int) -> None:
    """Nor do microseconds that Kafka takes for milliseconds; with an `updated_at` it is not needed."""
    known = datetime.fromtimestamp(raw / 1000, timezone.utc) if raw < 253_402_300_800_000 else None
    odd = {"timestamp": known, "timestamp_ms": raw}
    assert judge({**row(product("P1"), 7), **odd}, _NOW) == "future_kafka_timestamp"
    assert judge({**row(client("C1"), 7), **odd}, _NOW) == "future_kafka_timestamp"
    assert isinstance(judge({**row(sale("I1"), 7), **odd}, _NOW), Sale)
    dated = judge({**row(product("P1", updated_at="2026-03-01"), 7), **odd}, _NOW)
    assert isinstance(dated, Product)
    assert dated.order < newest_possible(_NOW)


@pytest.mark.parametrize("raw", [None, -1, 0, -(2**63)])
def test_without_a_time_of_kafka_a_record_is_older_than_all_that_have_one(raw: int | None) -> None:
    """It counts until one with a time comes; among themselves the later place wins."""
    odd = {"timestamp": None, "timestamp_ms": raw}
    first, second = (judge({**row(product("P1"), n), **odd}, _NOW) for n in (1, 2))
    dated = judge(row(product("P1"), 0), _NOW)
    assert first.order < second.order < dated.order  # type: ignore[union-attr]


@given(st.integers(0, 10**11))
def test_cents_are_exact(amount: int) -> None:
    """Whatever notation: as people write it, with an exponent, or as a float prints it."""
    whole, part = divmod(amount, 100)
    assert cents(f"{whole}.{part:02d}", "x") == amount
    assert cents(f"{amount}E-2", "x") == amount
    assert cents(repr(amount / 100), "x") == amount


@given(st.integers(0, 10**9), st.integers(1, 50))
def test_the_noise_of_binary_floats_is_no_fraction_of_a_cent(price: int, count: int) -> None:
    """19.99 × 3 is 59.97 also where a producer's arithmetic says 59.970000000000006."""
    if price * count <= 10**9:
        assert cents(repr(price / 100 * count), "x") == price * count


@given(st.text(max_size=30), st.sampled_from([cents, quantity, moment]))
def test_no_text_breaks_the_rules(text: str, parse: Any) -> None:
    """Any text is a value or refused by a name; nothing else is raised."""
    with suppress(RefusedError):
        assert parse(text, "x") is not None
