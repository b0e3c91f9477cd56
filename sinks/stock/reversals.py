"""What takes back voided invoices: for each one a document with the opposite of what it says, at most once.

An invoice or credit note is voided when a void names it, or the invoice that it credits. Its reversal has an
id that follows from its own, so the server keeps a second one out; it is stored with whichever came later,
the void or what it voids, and is counted like an invoice. So the sums are the same in any order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from bson import Decimal128
from pymongo.collection import Collection

REVERSAL: Final = "reversal"
# No invoice's id: it has no blanks at its ends.
_PREFIX: Final = " reversal of "
_CONTENT: Final = ("client_id", "timestamp", "total_amount", "items", "amount_cents", "credits")


def find_reversals(
    sales: Collection[dict[str, Any]], stored: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Make the reversals that are lacking since the documents `stored` are in `sales`.

    Of a document `_id`, `credits`, `voids` and `reverses` are looked at. pymongo's errors pass through.
    """
    voids = {one["voids"] for one in stored if "voids" in one}
    # Where nothing was ever voided, as mostly, this is all that a batch pays.
    if not voids and sales.find_one({"voids": {"$gt": ""}}, {"_id": 1}) is None:
        return []
    others = [one for one in stored if "voids" not in one and "reverses" not in one]
    named = {name for one in others for name in _names(one)}
    voided = {one["voids"] for one in sales.find({"voids": {"$in": sorted(named)}}, {"voids": 1})}
    concerned = {one["_id"] for one in others if not voided.isdisjoint(_names(one))}
    if not (voids or concerned):
        return []
    condition = {"$or": [{"_id": {"$in": sorted(voids | concerned)}}, {"credits": {"$in": sorted(voids)}}]}
    members = {one["_id"]: one for one in sales.find(condition, dict.fromkeys(_CONTENT, 1)) if "items" in one}
    ids = {f"{_PREFIX}{name}": name for name in members}
    known = {one["_id"] for one in sales.find({"_id": {"$in": sorted(ids)}}, {"_id": 1})}
    return [_opposite(key, members[name]) for key, name in sorted(ids.items()) if key not in known]


def _names(document: Mapping[str, Any]) -> Iterable[str]:
    """The numbers of which a void concerns `document`: its own, and that of the invoice that it credits."""
    return {document["_id"], document.get("credits", document["_id"])}


def _opposite(key: str, member: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "_id": key,
        "correction": REVERSAL,
        "reverses": member["_id"],
        "client_id": member["client_id"],
        "timestamp": member["timestamp"],
        "total_amount": Decimal128(-Decimal(member["total_amount"].to_decimal())),
        "items": [{**item, "quantity": -item["quantity"]} for item in member["items"]],
        "amount_cents": -member["amount_cents"],
    }
