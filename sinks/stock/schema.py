"""The indexes of the stock database. Ids are `_id`, so that MongoDB itself keeps them unique."""

from __future__ import annotations

from typing import Any

import pymongo
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

from sinks.stock.sales import COLLECTION as SALES
from sinks.stock.totals import CLIENTS, INVENTORY, TOTALS

WINNERS, RISKS = "product_winners", "loss_risk_products"
_BUILD_SECONDS = 3_600.0
BEST_FIRST = [("profit_cents", DESCENDING), ("_id", ASCENDING)]
_INDEXES = [
    (SALES, [("batch", ASCENDING)]),
    (INVENTORY, [("expiry_date", ASCENDING)]),
    (INVENTORY, [("last_movement", ASCENDING)]),
    (TOTALS, BEST_FIRST),
    (CLIENTS, [("eligible_promo", ASCENDING), ("revenue_cents", DESCENDING)]),
    (WINNERS, [("generation", ASCENDING)]),
    (RISKS, [("generation", ASCENDING), ("rank", ASCENDING)]),
]


def ensure_indexes(database: Database[dict[str, Any]]) -> None:
    """Create the indexes that are missing, and with them the collections. pymongo's errors pass through."""
    # An index over a large collection takes its time.
    with pymongo.timeout(_BUILD_SECONDS):
        for collection, keys in _INDEXES:
            database[collection].create_index(keys)
