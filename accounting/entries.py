"""Reads an accountant's texts as a sale, a product or a client; tells all faults at once, in plain words.

The rules for each value are those of the stock pipeline, so that nothing entered here is refused there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Final, TypeVar

from analytics.stock.values import RefusedError, cents, day, identifier, moment, quantity, text, title
from analytics.texts import shown, trimmed
from contracts.stock import Client, Product, Sale, Void

T = TypeVar("T")
Entry = Sale | Void | Product | Client

# Kafka takes a megabyte a record; an invoice with this number of lines has a tenth of that.
MAX_ITEMS: Final = 500
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
# A sale or movement further ahead, or an expiry date further ahead, is a mistake.
_YEARS_AHEAD: Final = 1
_YEARS_KEPT: Final = 30
# As people write them where a comma divides; 1,250 could be both, and is refused.
_COMMA: Final = re.compile(r"([0-9]+|[0-9]{1,3}(?:[.][0-9]{3})+),([0-9]{1,2})")
_DAY_FIRST: Final = re.compile(r"([0-9]{1,2})[.]([0-9]{1,2})[.]([0-9]{4})")
# Excel shows a long number so, and programs save it: 4006381333931 as 4.00638E+12.
_SCIENTIFIC: Final = re.compile(r"[0-9](?:[.,][0-9]+)?[eE][+][0-9]{2,3}")
# The words behind the field's name, by the part of the rule's name that is not the field's.
_FAULTS: Final = {
    "missing": "is missing",
    "negative": "must not be negative",
    "too_long": "is longer than 500 characters",
    "too_large": "is too large",
    "has_fractions_of_a_cent": "has more than two decimal places",
    "not_whole": "must be a whole number",
    "lost_its_digits": "is a number as Excel shortens it, so digits are lost; enter it as a text",
    "too_early": "is before 1970; write the year with four digits",
    "too_far": f"is more than {_YEARS_AHEAD} year ahead",
    "too_far_for_an_expiry": f"is more than {_YEARS_KEPT} years ahead",
}


class EntryError(Exception):
    """An entry cannot be taken; `faults` holds a sentence for each reason."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = list(faults)


class _Form:
    """Reads the fields of one entry by rules, and keeps what is wrong with them."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        self.faults: list[str] = []

    def read(self, rule: Callable[[str | None, str], T], name: str, default: T) -> T:
        """Read the field `name` by `rule`; when it breaks that, note the fault and return `default`."""
        value = self._fields.get(name, "")
        try:
            return rule(value, name)
        except RefusedError as refusal:
            self.faults.append(_sentence(str(refusal), rule, name, value))
            return default

    def end(self) -> None:
        """Raises EntryError when anything was wrong."""
        if self.faults:
            raise EntryError(self.faults)


def _id(value: str | None, name: str) -> str:
    found = identifier(value, name)
    if _SCIENTIFIC.fullmatch(found):
        raise RefusedError(f"{name}_lost_its_digits")
    return found


def _amount(value: str | None, name: str) -> int:
    """An amount in cents; also one with a decimal comma: `2,50`, `1.234,50`."""
    matched = _COMMA.fullmatch(trimmed(value or ""))
    return cents(f"{matched[1].replace('.', '')}.{matched[2]}" if matched else value, name)


def _iso(value: str | None) -> str:
    """A text whose date stands with the year first, as it is also written: `31.01.2027`."""
    return _DAY_FIRST.sub(
        lambda date: f"{date[3]}-{date[2]:0>2}-{date[1]:0>2}", trimmed(value or ""), count=1
    )


def _sold(value: str | None, name: str) -> datetime:
    time = moment(_iso(value), name)
    _check_year(time.date(), name, _YEARS_AHEAD, "too_far")
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _moved(value: str | None, name: str) -> date | None:
    return _check_year(day(_iso(value), name), name, _YEARS_AHEAD, "too_far")


def _expires(value: str | None, name: str) -> date | None:
    return _check_year(day(_iso(value), name), name, _YEARS_KEPT, "too_far_for_an_expiry")


def _check_year(found: date | None, name: str, years: int, fault: str) -> date | None:
    """The date itself. Raises RefusedError when a digit of its year must be wrong."""
    if found and found < _EPOCH.date():
        raise RefusedError(f"{name}_too_early")
    if found and found > datetime.now(timezone.utc).date() + timedelta(days=366 * years):
        raise RefusedError(f"{name}_{fault}")
    return found


_EXPECTED: Final[Mapping[Callable[[str | None, str], object], str]] = {
    _amount: "an amount such as 12.50",
    quantity: "a number such as 12",
    _sold: "a time such as 2026-01-31 14:30",
    _moved: "a date such as 2026-01-31",
    _expires: "a date such as 2026-01-31",
    _id: "a text of visible characters",
    title: "a text without control characters",
    text: "a text without control characters",
}


def _sentence(refusal: str, rule: Callable[[str | None, str], object], name: str, value: str) -> str:
    kind = refusal.replace(name, "").strip("_")
    if kind != "invalid":
        return f"{name} {_FAULTS[kind]}."
    return f'{name} "{shown(trimmed(value))}" is not {_EXPECTED[rule]}.'


def read_sale(fields: Mapping[str, str], items: Sequence[tuple[str, str]]) -> Sale:
    """A sale from texts: `invoice_id, client_id, timestamp, total_amount`; (product id, pieces) of each item.

    A time without an offset is UTC. Raises EntryError.
    """
    form = _Form(fields)
    invoice_id = form.read(_id, "invoice_id", "")
    client_id = form.read(_id, "client_id", "")
    time = form.read(_sold, "timestamp", _EPOCH)
    amount = form.read(_amount, "total_amount", 0)
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


def read_credit(fields: Mapping[str, str], credited: Sale, pieces: Mapping[int, str]) -> Sale:
    """A credit note of `credited` from texts: `invoice_id, timestamp, total_amount`.

    `credited` has what is left of the invoice; `pieces` are those that come back, by the place of the item in
    it, none where the text is empty. Raises EntryError.
    """
    form = _Form({**fields, **{f"quantity_{place}": text for place, text in pieces.items()}})
    back = []
    for place, text_given in pieces.items():
        product_id, sold = credited.items[place]
        count = form.read(quantity, f"quantity_{place}", 0) if trimmed(text_given) else 0
        if count > sold:
            form.faults.append(f"quantity_{place} is more than the {sold} that are left.")
        if count:
            back.append((product_id, count))
    if not back and not form.faults:
        form.faults.append("No piece comes back: to take an invoice back whole, void it.")
    found = (
        form.read(_id, "invoice_id", ""),
        form.read(_sold, "timestamp", _EPOCH),
        form.read(_amount, "total_amount", 0),
    )
    form.end()
    return Sale(found[0], credited.client_id, found[1], found[2], tuple(back), credited.invoice_id)


def read_void(fields: Mapping[str, str], voids: str) -> Void:
    """A void of the invoice `voids` from texts: `invoice_id, timestamp`. Raises EntryError."""
    form = _Form(fields)
    void = Void(form.read(_id, "invoice_id", ""), voids, form.read(_sold, "timestamp", _EPOCH))
    form.end()
    return void


def read_item(product_id: str, pieces: str) -> tuple[tuple[str, int], list[str]]:
    """Read a line of an invoice as (product id, pieces); returns with it the rules that it breaks."""
    form = _Form({"product_id": product_id, "quantity": pieces})
    found = form.read(_id, "product_id", ""), form.read(quantity, "quantity", 1)
    if found[1] == 0:
        form.faults.append("quantity must be at least 1.")
    return found, form.faults


def read_product(fields: Mapping[str, str]) -> Product:
    """A product from texts by the names of its message's fields. Raises EntryError."""
    form = _Form(fields)
    product = Product(
        product_id=form.read(_id, "product_id", ""),
        name=form.read(title, "name", ""),
        category=form.read(text, "category", None),
        quantity=form.read(quantity, "quantity", 0),
        buy_price=form.read(_amount, "buy_price", 0),
        sell_price=form.read(_amount, "sell_price", 0),
        last_movement=form.read(_moved, "last_movement", None),
        expiry_date=form.read(_expires, "expiry_date", None),
        batch_no=form.read(text, "batch_no", None),
        order="",
    )
    form.end()
    return product


def read_client(fields: Mapping[str, str]) -> Client:
    """A client from texts by the fields of its message; no opening balance is 0. Raises EntryError."""
    form = _Form(
        {**fields, "total_revenue_generated": trimmed(fields.get("total_revenue_generated", "")) or "0"}
    )
    client = Client(
        client_id=form.read(_id, "client_id", ""),
        name=form.read(text, "name", None),
        email=form.read(text, "email", None),
        phone=form.read(text, "phone", None),
        opening=form.read(_amount, "total_revenue_generated", 0),
        order="",
    )
    form.end()
    return client
