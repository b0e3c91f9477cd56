"""A record without its client: whatever the client is called, nothing tells it, and amounts stay."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from analytics.stock.nameless import Client, without
from analytics.stock.rules import judge
from analytics.stock.values import RefusedError, identifier
from contracts.stock import Client as ClientRecord
from contracts.stock import Sale
from tests.support.stock_events import START, client, row, sale

_NEW = "forgotten-0123456789abcdef"
_IDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
_EXTRA = st.dictionaries(st.sampled_from(["note", "address", "nested"]), st.text(max_size=20))


def _is_id(text: str) -> bool:
    try:
        return identifier(text, "x") == text
    except RefusedError:
        return False


@given(_IDS, _EXTRA, st.booleans(), st.integers(0, 10**9))
def test_an_invoice_keeps_its_amounts_and_only_those(
    whom: str, extra: dict[str, str], escaped: bool, cents: int
) -> None:
    """Judged anew it is the same invoice of another client."""
    assume(_is_id(whom))
    event = {**sale("I1", whom, f"{cents / 100:.2f}", P1=3), **extra}
    value = json.dumps(event, ensure_ascii=escaped).encode("utf-8", "backslashreplace")
    found = without(Client(whom, _NEW, {whom}), value, whom.encode())
    assert found is not None
    assert found.key == _NEW.encode()
    before, after = (judge({**row(event, 1), "value": one}, START) for one in (value, found.value))
    assert isinstance(before, Sale)
    assert isinstance(after, Sale)
    assert (after.client_id, after.amount, after.items, after.time) == (
        _NEW, before.amount, before.items, before.time,
    )  # fmt: skip
    assert json.loads(found.value or b"").keys() <= event.keys() - extra.keys()


@given(_IDS, st.text(max_size=20), st.text(max_size=20))
def test_a_clients_record_keeps_its_opening_balance_alone(whom: str, name: str, mail: str) -> None:
    """And its place in the order of records."""
    assume(_is_id(whom))
    event = client(whom, "12.34", name=name, email=mail, phone="1", updated_at="2026-03-01T10:00:00Z")
    found = without(Client(whom, _NEW, {whom}), json.dumps(event).encode(), None)
    assert found is not None
    record = judge({**row(event, 1), "value": found.value}, START)
    assert isinstance(record, ClientRecord)
    assert (record.client_id, record.opening, record.name, record.email) == (_NEW, 1234, None, None)


@given(_IDS, _IDS)
def test_records_of_others_stay(whom: str, other: str) -> None:
    """Also where their client's id, or a name in them, holds the one that goes."""
    assume(_is_id(whom) and _is_id(other) and whom != other)
    for event in (sale("I1", other), client(other, name=whom), sale("I1", f"{whom}x")):
        if _is_id(str(event["client_id"])):
            value = json.dumps(event).encode()
            assert without(Client(whom, _NEW, {whom}), value, None) is None


def _told(value: bytes | None, key: bytes | None, *texts: str) -> Any:
    return without(Client("C-1042", _NEW, {"C-1042", *texts}), value, key)


def test_what_names_the_client_elsewhere_goes() -> None:
    """No field says whose it is, or it cannot be read: then a text that tells the client is enough."""
    gone = [
        b'{"kunde": "C-1042"}', b'{"client": {"id": "C-1042"}}', b'{"client_id": "C-1042", "name": "Zo',
        b'{"client_id": null, "email": "zoe@example.org"}', '{"name": "Zoë K'.encode(),
        b'{"name": "Zo\\u00eb K',
    ]  # fmt: skip
    for value in gone:
        found = _told(value, None, "zoe@example.org", "Zoë K")
        assert found is not None, value
        assert found.value is None
    assert _told(b'{"quantity": 1042}', None) is None
    assert _told(b"not json", None) is None
    # Too short to mean this client alone.
    assert without(Client("7", _NEW, {"7"}), b"77 7", None) is None


def test_a_key_tells_too() -> None:
    """A tombstone has nothing else."""
    found = _told(None, b"C-1042")
    assert (found.value, found.key) == (None, _NEW.encode())
    assert _told(None, b"C-1043") is None
