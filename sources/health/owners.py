"""Documents whose `userId` is no ObjectId: no results can be computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.collection import Collection

from sources.health.census import EXAMPLE_LENGTH, EXAMPLES, read_bounded
from sources.mongo_client import for_reading, is_mongomock

# For each kind.
_SECONDS = 0.7
# BSON's types that a user id may have by mistake, and what people call them.
_OWNER_TYPES: Mapping[str | tuple[str, ...], str] = {
    "string": "text",
    "binData": "a UUID or other binary",
    "int": "an integer",
    "long": "an integer",
    "double": "a number",
    "decimal": "a number",
    "object": "a nested document",
    "array": "a list",
    "bool": "true or false",
    "date": "a date",
    "null": "missing or null",
    (
        *("minKey", "undefined", "regex", "dbPointer", "javascript", "symbol"),
        *("javascriptWithScope", "timestamp", "maxKey"),
    ): "of another type",
}


@dataclass(frozen=True, slots=True)
class OddOwners:
    """Documents whose `userId` is of the type `what`, not an ObjectId; `complete` as in Unseen."""

    what: str
    count: int
    complete: bool
    examples: tuple[str, ...]


def odd_owners(collection: Collection[dict[str, Any]], limit: int = 10_000) -> list[OddOwners]:
    """The kinds of wrong userIds that there are, each by a range of an index that begins with userId.

    At most `limit` of each, for which the server gets less than a second; pymongo's errors pass.
    """
    # It knows no lists of types, and holds what a demo has written.
    if is_mongomock(collection):
        return []
    source = for_reading(collection)
    found: dict[str, tuple[list[Any], bool]] = {}
    for kind, what in _OWNER_TYPES.items():
        # The other comparison with a type would also match lists that hold one.
        of_list: dict[str, Any] = {} if kind == "array" else {"$not": {"$type": "array"}}
        condition: dict[str, Any] = {"$eq": None} if kind == "null" else {"$type": kind}
        query = source.find({"userId": {**condition, **of_list}}, {"userId": 1}, limit=limit + 1)
        documents, complete = read_bounded(query, limit, _SECONDS)
        before, whole = found.get(what, ([], True))
        found[what] = [*before, *documents], whole and complete
    return [
        OddOwners(what, len(documents), complete, tuple(_shown_owner(each) for each in documents[:EXAMPLES]))
        for what, (documents, complete) in found.items()
        if documents or not complete
    ]


def _shown_owner(document: Mapping[str, Any]) -> str:
    return repr(document.get("userId"))[:EXAMPLE_LENGTH]
