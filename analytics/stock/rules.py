"""Which stock events count: the JSON of the three topics is read, then accepted or refused by a named rule.

Pure: Spark reads the JSON (`parse`), plain functions judge one record each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame

from analytics.kafka_json import is_sound, parsed
from analytics.stock.values import (
    RefusedError,
    cents,
    day,
    fraction,
    identifier,
    moment,
    quantity,
    text,
    title,
)
from analytics.texts import LONE_SURROGATE, has_lone_surrogate, is_float, trimmed
from contracts import CORRUPT
from contracts.stock import Client, Product, Sale

SALES, INVENTORY, CLIENTS = "sales", "inventory", "clients"
# All text: what is wrong with a value is told by a rule with a name, not by the parser.
_FIELDS = {
    SALES: "invoice_id: STRING, client_id: STRING, timestamp: STRING, total_amount: STRING, "
    "items: ARRAY<STRUCT<product_id: STRING, quantity: STRING>>",
    INVENTORY: "product_id: STRING, name: STRING, category: STRING, quantity: STRING, buy_price: STRING, "
    "sell_price: STRING, last_movement: STRING, expiry_date: STRING, batch_no: STRING, updated_at: STRING",
    CLIENTS: "client_id: STRING, name: STRING, email: STRING, phone: STRING, "
    "total_revenue_generated: STRING, updated_at: STRING",
}
_NAMES = re.compile(r"(\w+): STRING")
# A clock that is wrong by years would otherwise keep a product's price for years.
_CLOCK_SKEW = timedelta(days=1)
# Clocks differ by less, and no producer sets this time ahead on purpose.
_KAFKA_SKEW = timedelta(minutes=5)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

Record = Sale | Product | Client


def parse(records: DataFrame, topics: Mapping[str, str]) -> DataFrame:
    """Read the JSON of `records`: their `kind`, then the columns of `usable`, then a struct for each kind.

    `topics` names the topic of each kind; a record of another topic has the kind null. Only the struct of the
    record's kind is filled, and that only when its JSON can be read.
    """
    is_kind = {kind: f"topic = {_quoted(topic)}" for kind, topic in topics.items()}
    kinds = " ".join(f"WHEN {condition} THEN '{kind}'" for kind, condition in is_kind.items())
    places = ("topic", "partition", "offset", "timestamp", "timestamp_ms", "key", "value")
    # As texts: made one by one, the columns would take Spark's bridge longer than a small batch takes.
    read = [
        f"IF({is_kind[name]}, {parsed(fields, _NAMES.findall(fields))}, NULL) AS {name}"
        for name, fields in _FIELDS.items()
    ]
    sound = [f"IF({is_sound(name)}, {name}.record, NULL) AS {name}" for name in _FIELDS]
    return records.selectExpr(f"CASE {kinds} END AS kind", *places, *read).selectExpr("kind", *places, *sound)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def judge(row: Mapping[str, Any], now: datetime) -> Record | str:
    """Returns the record of a `row` of `parse`, or the name of the rule that it breaks.

    The row's `timestamp` is Kafka's, None where it is not known; a time after `now` is in the future.
    """
    kind = row["kind"]
    if kind is None:
        return "unknown_topic"
    fields = row[kind]
    if fields is None:
        return CORRUPT
    # Spark would make the same question mark of each.
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
    elif isinstance(record, Product):
        ids = {"product_id": [record.product_id]}
    else:
        ids = {"client_id": [record.client_id]}
    return [f"{name} as a float" for name, found in ids.items() if any(map(is_float, found))]


def _sale(fields: Mapping[str, Any], _row: Mapping[str, Any], _now: datetime) -> Sale:
    invoice_id = identifier(fields["invoice_id"], "invoice_id")
    client_id = identifier(fields["client_id"], "client_id")
    time = moment(fields["timestamp"], "timestamp")
    amount = cents(fields["total_amount"], "total_amount")
    if not fields["items"]:
        raise RefusedError("missing_items")
    return Sale(invoice_id, client_id, time, amount, tuple(_item(item) for item in fields["items"]))


def _item(item: Mapping[str, Any] | None) -> tuple[str, int]:
    if item is None:
        raise RefusedError("invalid_items")
    pieces = quantity(item["quantity"], "item_quantity")
    if pieces == 0:
        raise RefusedError("zero_item_quantity")
    return identifier(item["product_id"], "item_product_id"), pieces


def _product(fields: Mapping[str, Any], row: Mapping[str, Any], now: datetime) -> Product:
    return Product(
        product_id=identifier(fields["product_id"], "product_id"),
        name=title(fields["name"], "name"),
        category=text(fields["category"], "category"),
        quantity=quantity(fields["quantity"], "quantity"),
        buy_price=cents(fields["buy_price"], "buy_price"),
        sell_price=cents(fields["sell_price"], "sell_price"),
        last_movement=day(fields["last_movement"], "last_movement"),
        expiry_date=day(fields["expiry_date"], "expiry_date"),
        batch_no=text(fields["batch_no"], "batch_no"),
        order=_order(fields["updated_at"], row, now),
    )


def _client(fields: Mapping[str, Any], row: Mapping[str, Any], now: datetime) -> Client:
    opening = fields["total_revenue_generated"]
    return Client(
        client_id=identifier(fields["client_id"], "client_id"),
        name=text(fields["name"], "name"),
        email=text(fields["email"], "email"),
        phone=text(fields["phone"], "phone"),
        opening=cents(opening, "total_revenue_generated") if trimmed(opening or "") else 0,
        order=_order(fields["updated_at"], row, now),
    )


def _order(updated_at: str | None, row: Mapping[str, Any], now: datetime) -> str:
    """Sorts as text: when the record was made, else when Kafka got it; then where it lies in Kafka.

    A time is milliseconds, then, as far as they were sent, `.` and the digits of its smaller parts.
    """
    finer = ""
    if trimmed(updated_at or ""):
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
