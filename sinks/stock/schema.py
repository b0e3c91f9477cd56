"""The indexes of the stock database. Ids are `_id`, so that MongoDB itself keeps them unique."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from mongo_patience import while_it_answers
from sinks.stock.sales import COLLECTION as SALES
from sinks.stock.totals import CLIENTS, INVENTORY, TOTALS

WINNERS, RISKS = "product_winners", "loss_risk_products"
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


# Corrections are few, and these are of them alone.
_OF_CORRECTIONS = ("correction", "credits", "voids")
# IndexOptionsConflict and IndexKeySpecsConflict: somebody has made it, in another way, and it serves as well.
_IS_THERE = (85, 86)


def ensure_indexes(database: Database[dict[str, Any]]) -> None:
    """Create the indexes that are missing, and with them the collections. pymongo's errors pass through."""
    for collection, keys in _INDEXES:
        _ensure(database[collection], keys)
    for name in _OF_CORRECTIONS:
        _ensure(database[SALES], [(name, ASCENDING)], sparse=True)
    ensure_times(database)


def ensure_times(database: Database[dict[str, Any]]) -> None:
    """Create the index of invoices by time, which one that was taken out has not. pymongo's errors pass."""
    _ensure(database[SALES], [("timestamp", ASCENDING)], sparse=True)


def _ensure(collection: Collection[dict[str, Any]], keys: Sequence[tuple[str, int]], **options: Any) -> None:
    build = partial(collection.create_index, keys, **options)
    try:
        while_it_answers(collection.database, build, f"an index of {collection.name}")
    except OperationFailure as error:
        if error.code not in _IS_THERE:
            raise
