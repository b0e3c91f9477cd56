"""Rankings read as a whole: the generation that the pointer names, all of it or again.

For readers in other languages: read `publications` by the collection's name, then the rows of its
`generation`; if there are not `count` of them, that generation has just been removed: begin again.
"""

from __future__ import annotations

from typing import Any

from pymongo.database import Database

from contracts import UnavailableError

_POINTERS = "publications"
_TRIES = 100


def read_published(database: Database[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The rows that collection `name` now shows, without `_id` and `generation`; empty before the first.

    Raises UnavailableError when every try met a change; pymongo's errors pass through.
    """
    for _ in range(_TRIES):
        pointer = database[_POINTERS].find_one({"_id": name}, {"generation": 1, "count": 1})
        if pointer is None:
            return []
        fields = {"_id": 0, "generation": 0}
        rows = list(database[name].find({"generation": pointer["generation"]}, fields))
        if len(rows) == pointer["count"]:
            return sorted(rows, key=lambda row: (row.get("rank", 0), row["product_id"]))
    raise UnavailableError(f"{name} changed during each of {_TRIES} reads; read it again.")
