"""Which stock events count: a record of the three topics is accepted, or refused by a named rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from analytics.kafka_json import read_object
from analytics.stock.values import (
    RefusedError,
    cents,
    day,
    fraction,
    identifier,
    is_given,
    moment,
    quantity,
    text,
    title,
)
from analytics.texts import LONE_SURROGATE, has_lone_surrogate, is_float
from contracts import CORRUPT
from contracts.stock import Client, Product, Sale, Void

SALES, INVENTORY, CLIENTS = "sales", "inventory", "clients"
# A clock that is wrong by years would otherwise keep a product's price for years.
_CLOCK_SKEW = timedelta(days=1)
# Clocks differ by less, and no producer sets this time ahead on purpose.
_KAFKA_SKEW = timedelta(minutes=5)
# A document of MongoDB may have 16 MB, and takes about one and a half times as many bytes as the JSON.
_MAX_RECORD_BYTES = 8_000_000
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

Record = Sale | Void | Product | Client


def judge(row: Mapping[str, Any], now: datetime) -> Record | str:
    """Returns the record in `row`, or the name of the rule that it breaks.

    `row` has the columns of `usable` and its `kind`, None where its topic is none of ours. Its `timestamp` is
    Kafka's, None where it is not known; a time after `now` is in the future.
    """
    kind = row["kind"]
    if kind is None:
        return "unknown_topic"
    if len(row["value"] or b"") > _MAX_RECORD_BYTES:
        return "record_too_long"
    fields = read_object(row["value"])
    if fields is None:
        return CORRUPT
    # It is no character, and MongoDB could not store it.
    if has_lone_surrogate(row["value"]):
        return LONE_SURROGATE
    try:
        return _JUDGES[kind](fields, row, now)
    except RefusedError as refusal:
        return str(refusal)


def notes(record: Record) -> list[str]:
    """Returns a line for each id of `record` that went through floating point, for a person to know."""
    if isinstance(record, Sale):
        ids = {"invoice_id": [record.invoice_id], "client_id": [record.client_id]}
        ids["item_product_id"] = [product_id for product_id, _ in record.items]
        ids["credits"] = [record.credits or ""]
    elif isinstance(record, Void):
        ids = {"invoice_id": [record.invoice_id], "voids": [record.voids]}
    elif isinstance(record, Product):
        ids = {"product_id": [record.product_id]}
    else:
        ids = {"client_id": [record.client_id]}
    return [f"{name} as a float" for name, found in ids.items() if any(map(is_float, found))]


def _sale(fields: Mapping[str, Any], _row: Mapping[str, Any], _now: datetime) -> Sale | Void:
    if is_given(fields.get("voids")):
        return _void(fields)
    items = fields.get("items")
    items = [] if items is None else items
    if not isinstance(items, list) or not all(isinstance(item, dict | None) for item in items):
        raise RefusedError(CORRUPT)
    invoice_id = identifier(fields.get("invoice_id"), "invoice_id")
    client_id = identifier(fields.get("client_id"), "client_id")
    time = moment(fields.get("timestamp"), "timestamp")
    amount = cents(fields.get("total_amount"), "total_amount")
    if not items:
        raise RefusedError("missing_items")
    sold = tuple(_item(item) for item in items)
    return Sale(invoice_id, client_id, time, amount, sold, _reference(fields, "credits", invoice_id))


def _void(fields: Mapping[str, Any]) -> Void:
    invoice_id = identifier(fields.get("invoice_id"), "invoice_id")
    if is_given(fields.get("credits")):
        raise RefusedError("voids_and_credits")
    voids = _reference(fields, "voids", invoice_id)
    return Void(invoice_id, voids or "", moment(fields.get("timestamp"), "timestamp"))


def _reference(fields: Mapping[str, Any], name: str, invoice_id: str) -> str | None:
    """The number of the invoice that a record corrects, None where it corrects none."""
    if not is_given(fields.get(name)):
        return None
    found = identifier(fields.get(name), name)
    if found == invoice_id:
        raise RefusedError(f"{name}_itself")
    return found


def _item(item: Mapping[str, Any] | None) -> tuple[str, int]:
    if item is None:
        raise RefusedError("invalid_items")
    pieces = quantity(item.get("quantity"), "item_quantity")
    if pieces == 0:
        raise RefusedError("zero_item_quantity")
    return identifier(item.get("product_id"), "item_product_id"), pieces


def _product(fields: Mapping[str, Any], row: Mapping[str, Any], now: datetime) -> Product:
    return Product(
        product_id=identifier(fields.get("product_id"), "product_id"),
        name=title(fields.get("name"), "name"),
        category=text(fields.get("category"), "category"),
        quantity=quantity(fields.get("quantity"), "quantity"),
        buy_price=cents(fields.get("buy_price"), "buy_price"),
        sell_price=cents(fields.get("sell_price"), "sell_price"),
        last_movement=day(fields.get("last_movement"), "last_movement"),
        expiry_date=day(fields.get("expiry_date"), "expiry_date"),
        batch_no=text(fields.get("batch_no"), "batch_no"),
        order=_order(fields.get("updated_at"), row, now),
    )


def _client(fields: Mapping[str, Any], row: Mapping[str, Any], now: datetime) -> Client:
    opening = fields.get("total_revenue_generated")
    return Client(
        client_id=identifier(fields.get("client_id"), "client_id"),
        name=text(fields.get("name"), "name"),
        email=text(fields.get("email"), "email"),
        phone=text(fields.get("phone"), "phone"),
        opening=cents(opening, "total_revenue_generated") if is_given(opening) else 0,
        order=_order(fields.get("updated_at"), row, now),
    )


def _order(updated_at: Any, row: Mapping[str, Any], now: datetime) -> str:
    """Sorts as text: when the record was made, else when Kafka got it; then where it lies in Kafka.

    A time is milliseconds, then, as far as they were sent, `.` and the digits of its smaller parts.
    """
    finer = ""
    if is_given(updated_at):
        time = moment(updated_at, "updated_at")
        if time < EPOCH:
            raise RefusedError("invalid_updated_at")
        if time > now + _CLOCK_SKEW:
            raise RefusedError("future_updated_at")
        finer = fraction(updated_at)[3:].rstrip("0")
    elif _is_ahead(row, now):
        raise RefusedError("future_kafka_timestamp")
    else:
        time = known_time(row, now) or EPOCH
    return f"{_milliseconds(time):015d}{finer and '.' + finer} {row['partition']:010d} {row['offset']:020d}"


def known_time(row: Mapping[str, Any], now: datetime) -> datetime | None:
    """Kafka's time of the record in `row`; None where it cannot be true, and so orders nothing."""
    time: datetime | None = row["timestamp"]
    return None if time is None or time <= EPOCH or _is_ahead(row, now) else time


def _is_ahead(row: Mapping[str, Any], now: datetime) -> bool:
    """Whether Kafka's time lies after `now`, as do microseconds that were meant as milliseconds."""
    time, raw = row["timestamp"], row.get("timestamp_ms")
    if raw is None and time is not None:
        raw = _milliseconds(time)
    return raw is not None and raw > _milliseconds(now + _KAFKA_SKEW)


def newest_possible(now: datetime) -> str:
    """The upper bound of every `order` whose time may be used at `now`."""
    return f"{_milliseconds(now + _CLOCK_SKEW) + 1:015d}"


def _milliseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(milliseconds=1)


_JUDGES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], datetime], Record]] = {
    SALES: _sale,
    INVENTORY: _product,
    CLIENTS: _client,
}
