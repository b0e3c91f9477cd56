"""Orders of products and clients that an earlier version took from a clock that was ahead."""

from __future__ import annotations

from typing import Any

import pymongo
from pymongo.database import Database

from sinks.stock.totals import CLIENTS, INVENTORY

_SECONDS = 3_600.0


def forget_orders(database: Database[dict[str, Any]], newest_possible: str) -> int:
    """Let any record win over those with an `order` above `newest_possible`; returns how many those are.

    Costs one pass over the products and clients, in the server. pymongo's errors pass.
    """
    with pymongo.timeout(_SECONDS):
        answers = [
            database[name].update_many({"order": {"$gt": newest_possible}}, {"$set": {"order": ""}})
            for name in (INVENTORY, CLIENTS)
        ]
    return sum(answer.modified_count for answer in answers)
