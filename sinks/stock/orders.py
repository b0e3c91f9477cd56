"""Orders of products and clients that an earlier version took from a clock that was ahead."""

from __future__ import annotations

from functools import partial
from typing import Any

from pymongo.database import Database

from mongo_patience import while_it_answers
from sinks.stock.totals import CLIENTS, INVENTORY


def forget_orders(database: Database[dict[str, Any]], newest_possible: str) -> int:
    """Let any record win over those with an `order` above `newest_possible`; returns how many those are.

    Costs one pass over the products and clients, in the server. pymongo's errors pass.
    """
    ahead, anew = {"order": {"$gt": newest_possible}}, {"$set": {"order": ""}}
    return sum(
        while_it_answers(
            database, partial(database[name].update_many, ahead, anew), f"orders in {name}"
        ).modified_count
        for name in (INVENTORY, CLIENTS)
    )
