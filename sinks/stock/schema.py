"""The indexes of the stock database. Ids are `_id`, so that MongoDB itself keeps them unique."""

from __future__ import annotations

from functools import partial
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

from mongo_patience import while_it_answers
from sinks.stock.sales import COLLECTION as SALES
from sinks.stock.totals import CLIENTS, INVENTORY, TOTALS

WINNERS, RISKS = "product_winners", "loss_risk_products"
BEST_FIRST = [("profit_cents", DESCENDING), ("_id", ASCENDING)]
# Of a day, and of what is old enough to be taken out.
BY_TIME = [("timestamp", ASCENDING)]
_INDEXES = [
    (SALES, [("batch", ASCENDING)]),
    (SALES, BY_TIME),
    (INVENTORY, [("expiry_date", ASCENDING)]),
    (INVENTORY, [("last_movement", ASCENDING)]),
    (TOTALS, BEST_FIRST),
    (CLIENTS, [("eligible_promo", ASCENDING), ("revenue_cents", DESCENDING)]),
    (WINNERS, [("generation", ASCENDING)]),
    (RISKS, [("generation", ASCENDING), ("rank", ASCENDING)]),
]


# Corrections are few, and these are of them alone.
_OF_CORRECTIONS = ("correction", "credits", "voids")


def ensure_indexes(database: Database[dict[str, Any]]) -> None:
    """Create the indexes that are missing, and with them the collections. pymongo's errors pass through."""
    for collection, keys in _INDEXES:
        build = partial(database[collection].create_index, keys)
        while_it_answers(database, build, f"an index of {collection}")
    for name in _OF_CORRECTIONS:
        build = partial(database[SALES].create_index, [(name, ASCENDING)], sparse=True)
        while_it_answers(database, build, f"an index of {SALES}")
