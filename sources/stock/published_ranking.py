"""Rankings read as a whole: the generation that the pointer names, all of it or again.

For readers in other languages: read `publications` by the collection's name, then the rows of its
`generation`; if there are not `count` of them, that generation has just been removed: begin again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database

from contracts import UnavailableError

_POINTERS = "publications"
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Published:
    """The first rows of a ranking, without `_id` and `generation`, and what its pointer says of all."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    published_at: Any = None
    sums: Mapping[str, Any] = field(default_factory=dict)


def read_published(database: Database[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The rows that collection `name` now shows; empty before the first. Raises as `read_ranking` does."""
    return read_ranking(database, name).rows


def read_ranking(database: Database[dict[str, Any]], name: str, first: int | None = None) -> Published:
    """What collection `name` now shows: all of it, or the rows of the `first` ranks, by index.

    Raises UnavailableError when every try met a change; pymongo's errors pass through.
    """
    for _ in range(_TRIES):
        pointer = database[_POINTERS].find_one({"_id": name})
        if pointer is None:
            return Published()
        count, condition = pointer["count"], {"generation": pointer["generation"]}
        # Risks had neither ranks nor sums before they had both.
        if first is not None and "sums" in pointer:
            count, condition = min(first, count), {**condition, "rank": {"$lte": first}}
        rows = list(database[name].find(condition, {"_id": 0, "generation": 0}))
        if len(rows) == count:
            rows.sort(key=lambda row: (row.get("rank", 0), row["product_id"]))
            return Published(rows, pointer["count"], pointer.get("publishedAt"), pointer.get("sums", {}))
    raise UnavailableError(f"{name} changed during each of {_TRIES} reads; read it again.")
