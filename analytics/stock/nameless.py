"""Takes a client out of a record of the stock topics: amounts stay, and a pseudonym stands for the client."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from analytics.kafka_json import read_object
from analytics.stock.values import RefusedError, identifier
from analytics.texts import trimmed

# What the books need of a record; names, addresses and whatever else a producer added are not among it.
_KEPT = (
    *("invoice_id", "client_id", "timestamp", "total_amount", "items", "credits", "voids"),
    *("total_revenue_generated", "updated_at"),
)
_KEPT_OF_ITEM = ("product_id", "quantity")
# Shorter texts stand in records of others too.
_LEAST_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Client:
    """A client to forget: the id, the `pseudonym` that takes its place, and `texts` that tell who it is.

    The texts are the id, names, addresses and numbers that are stored of the client.
    """

    client_id: str
    pseudonym: str
    texts: Collection[str]

    @property
    def telling(self) -> list[str]:
        """The texts that are long enough to mean this client where no field says so."""
        return [text for text in self.texts if len(text) >= _LEAST_LENGTH]


@dataclass(frozen=True, slots=True)
class Nameless:
    """A record without the client: its `value` and Kafka's `key`; a value that could not be kept is None."""

    value: bytes | None
    key: bytes | None


def without(client: Client, value: bytes | None, key: bytes | None) -> Nameless | None:
    """Returns the record without `client`; None if it is about somebody else, and may stay.

    A record with the client's id keeps what the books need. One that names no client, or is no JSON, but
    holds a text that tells the client, keeps nothing.
    """
    is_key = key is not None and trimmed(key.decode("utf-8", "replace")) == client.client_id
    fields = read_object(value)
    whose = None if fields is None else _client_of(fields)
    if whose == client.client_id:
        return Nameless(_rewritten(value or b"", client.pseudonym), _key(client, key))
    if whose is None and (is_key or _tells(client, fields, value)):
        return Nameless(None, _key(client, key))
    return Nameless(value, _key(client, key)) if is_key else None


def _client_of(fields: dict[str, Any]) -> str | None:
    try:
        return identifier(fields.get("client_id"), "client_id")
    except RefusedError:
        return None


def _rewritten(value: bytes, pseudonym: str) -> bytes | None:
    try:
        # Numbers as they were: of those of at most 15 digits a float gives back the digits.
        fields = json.loads(value)
        kept = {name: fields[name] for name in _KEPT if name in fields}
        if isinstance(kept.get("items"), list):
            kept["items"] = [_item(item) for item in kept["items"]]
        text = json.dumps({**kept, "client_id": pseudonym}, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace")
    except (ValueError, RecursionError):
        return None


def _item(item: Any) -> Any:
    if not isinstance(item, dict):
        return None
    return {name: item[name] for name in _KEPT_OF_ITEM if name in item}


def _key(client: Client, key: bytes | None) -> bytes | None:
    """A key that holds the client's id or another text that tells it becomes the pseudonym."""
    text = "" if key is None else key.decode("utf-8", "replace")
    if trimmed(text) == client.client_id or any(told in text for told in client.telling):
        return client.pseudonym.encode()
    return key


def _tells(client: Client, fields: dict[str, Any] | None, value: bytes | None) -> bool:
    if fields is not None:
        return any(_is_told(client, text) for text in _leaves(fields))
    text = (value or b"").decode("utf-8", "replace")
    return any(form in text for told in client.telling for form in _forms(told))


def _is_told(client: Client, text: str) -> bool:
    return trimmed(text) == client.client_id or any(told in text for told in client.telling)


def _leaves(value: Any) -> Iterator[str]:
    """All texts in `value`; numbers are texts here, see `read_object`."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each)
            yield name
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, str):
        yield value


def _forms(text: str) -> set[str]:
    """How `text` stands in JSON that is cut or broken."""
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
