"""What an accountant types or uploads, as a sale, a product or a client; all faults at once, in plain words.

The rules for each value are those of the stock pipeline, so that nothing entered here is refused there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Final, TypeVar

from analytics.stock_values import RefusedError, cents, day, identifier, moment, quantity, text
from contracts import Client, Product, Sale

T = TypeVar("T")
Entry = Sale | Product | Client

# Kafka takes a megabyte a record; an invoice of so many lines has a tenth of that.
MAX_ITEMS: Final = 500
_SHOWN_CHARACTERS: Final = 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
# What follows the name of the field, by what is left of the rule's name without the field's.
_FAULTS: Final = {
    "missing": "is missing",
    "negative": "must not be negative",
    "too_long": "is longer than 500 characters",
    "too_large": "is too large",
    "has_fractions_of_a_cent": "has more than two decimal places",
    "not_whole": "must be a whole number",
}


class EntryError(Exception):
    """What was entered cannot be taken; `faults` holds a sentence for each reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = list(faults)


class _Form:
    """Reads the fields of one entry by rules, and keeps what is wrong with them."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        self.faults: list[str] = []

    def read(self, rule: Callable[[str | None, str], T], name: str, default: T) -> T:
        """The value of a field, `default` when it breaks the rule."""
        # Half a surrogate pair can be stored nowhere.
        value = self._fields.get(name, "").encode("utf-8", "replace").decode()
        try:
            return rule(value, name)
        except RefusedError as refusal:
            self.faults.append(_sentence(str(refusal), rule, name, value))
            return default

    def end(self) -> None:
        """Raises EntryError when anything was wrong."""
        if self.faults:
            raise EntryError(self.faults)


def _milliseconds(value: str | None, name: str) -> datetime:
    time = moment(value, name)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


_EXPECTED: Final[Mapping[Callable[[str | None, str], object], str]] = {
    cents: "an amount such as 12.50",
    quantity: "a number such as 12",
    _milliseconds: "a time such as 2026-01-31 14:30",
    day: "a date such as 2026-01-31",
    identifier: "a name of printable characters that begins with neither { nor [",
}


def _sentence(refusal: str, rule: Callable[[str | None, str], object], name: str, value: str) -> str:
    kind = refusal.replace(name, "").strip("_")
    if kind != "invalid":
        return f"{name} {_FAULTS[kind]}."
    shown = "".join(char for char in value.strip()[:_SHOWN_CHARACTERS] if char.isprintable())
    return f'{name} "{shown}" is not {_EXPECTED[rule]}.'


def read_sale(fields: Mapping[str, str], items: Sequence[tuple[str, str]]) -> Sale:
    """A sale from texts: `invoice_id, client_id, timestamp, total_amount`; (product id, pieces) of each item.

    A time without an offset is UTC. Raises EntryError.
    """
    form = _Form(fields)
    invoice_id = form.read(identifier, "invoice_id", "")
    client_id = form.read(identifier, "client_id", "")
    time = form.read(_milliseconds, "timestamp", _EPOCH)
    amount = form.read(cents, "total_amount", 0)
    if not items:
        form.faults.append("The invoice has no items.")
    if len(items) > MAX_ITEMS:
        form.faults.append(f"The invoice has more than {MAX_ITEMS} items; divide it.")
    sold = []
    for number, item in enumerate(items[:MAX_ITEMS], start=1):
        found, faults = read_item(*item)
        sold.append(found)
        form.faults += [f"Item {number}: {fault}" for fault in faults]
    form.end()
    return Sale(invoice_id, client_id, time, amount, tuple(sold))


def read_item(product_id: str, pieces: str) -> tuple[tuple[str, int], list[str]]:
    """A line of an invoice as (product id, pieces), and what is wrong with it."""
    form = _Form({"product_id": product_id, "quantity": pieces})
    found = form.read(identifier, "product_id", ""), form.read(quantity, "quantity", 1)
    if found[1] == 0:
        form.faults.append("quantity must be at least 1.")
    return found, form.faults


def read_product(fields: Mapping[str, str]) -> Product:
    """A product from texts by the names of its event's fields. Raises EntryError."""
    form = _Form(fields)
    product = Product(
        product_id=form.read(identifier, "product_id", ""),
        name=form.read(identifier, "name", ""),
        category=form.read(text, "category", None),
        quantity=form.read(quantity, "quantity", 0),
        buy_price=form.read(cents, "buy_price", 0),
        sell_price=form.read(cents, "sell_price", 0),
        last_movement=form.read(day, "last_movement", None),
        expiry_date=form.read(day, "expiry_date", None),
        batch_no=form.read(text, "batch_no", None),
        order="",
    )
    form.end()
    return product


def read_client(fields: Mapping[str, str]) -> Client:
    """A client from texts by the names of its event's fields; no opening balance is 0. Raises EntryError."""
    form = _Form(
        {**fields, "total_revenue_generated": fields.get("total_revenue_generated", "").strip() or "0"}
    )
    client = Client(
        client_id=form.read(identifier, "client_id", ""),
        name=form.read(text, "name", None),
        email=form.read(text, "email", None),
        phone=form.read(text, "phone", None),
        opening=form.read(cents, "total_revenue_generated", 0),
        order="",
    )
    form.end()
    return client
