"""The bodies of `analytics:batch_update` notices, as the backend's contract has them.

The client replaces its whole entry for a metric and range by the item it is sent, so an item carries all that
a card shows. It has no `anomalyDetected` beside the one in `analytics`: the client would count it twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bson import ObjectId

from contracts.iso_times import time_with_z

EVENT_TYPE: Final = "analytics:batch_update"
MAX_ITEMS: Final = 50
# The backend refuses 100 kB (102 400 bytes) and answers 500 to it, so that a retry would be in vain.
MAX_BYTES: Final = 100_000
# More than what surrounds the items takes; a test measures it.
_ENVELOPE_BYTES: Final = 1_000
_MAX_ITEM_BYTES: Final = MAX_BYTES - _ENVELOPE_BYTES - 1
# The range that the client's cards show; its documents bring the card's sparkline along.
_CARD_RANGE: Final = "7day"


class PayloadError(ValueError):
    """A document holds what cannot be sent: no JSON value, or one item above the size limit."""


def batch_updates(
    user: ObjectId, documents: Sequence[Mapping[str, Any]], calculated_at: datetime, now: datetime
) -> list[bytes]:
    """JSON bodies that together tell of all `documents` (stored analytics of one `user`), in their order.

    A document that was created by the calculation of `calculated_at` is an `insert`, any other an `update`.
    Each body has at most 50 items and 100 000 bytes; `historicalData` that would not even fit into a body of
    its own is left out. Raises PayloadError.
    """
    chunks = list(_pack([_item(document, calculated_at) for document in documents]))
    return [
        _dumps(
            {
                "userId": str(user),
                "eventType": EVENT_TYPE,
                "data": {
                    "analytics": chunk,
                    "count": len(chunk),
                    "batchIndex": index,
                    "totalBatches": len(chunks),
                    "isBatch": True,
                    "totalCount": len(documents),
                    "userId": str(user),
                    # The client drops a second notice of the same id and second: each body has its own id,
                    # and one that is sent again because its answer was lost has the same.
                    "documentId": f"{user}-{round(calculated_at.timestamp() * 1000)}-{index}",
                    "timestamp": time_with_z(now),
                },
            }
        )
        for index, chunk in enumerate(chunks, start=1)
    ]


def _item(document: Mapping[str, Any], calculated_at: datetime) -> dict[str, Any]:
    item = {
        "metricType": document["metricType"],
        "timeRange": document["timeRange"],
        "period": document.get("period"),
        "analytics": document["analytics"],
        "rollingAverage": document["analytics"].get("rollingAverage"),
        "operationType": "insert" if document.get("createdAt") == calculated_at else "update",
        "calculatedAt": document["calculatedAt"],
    }
    if document["timeRange"] != _CARD_RANGE or "historicalData" not in document:
        return item
    whole = {**item, "historicalData": document["historicalData"]}
    return whole if len(_dumps(whole)) <= _MAX_ITEM_BYTES else item


def _pack(items: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Consecutive chunks, each as full as both limits allow."""
    chunk: list[dict[str, Any]] = []
    size = _ENVELOPE_BYTES
    for item in items:
        needed = len(_dumps(item)) + 1
        if needed > _MAX_ITEM_BYTES + 1:
            raise PayloadError(f"{item['metricType']} {item['timeRange']} alone is above {MAX_BYTES} bytes")
        if len(chunk) == MAX_ITEMS or size + needed > MAX_BYTES:
            yield chunk
            chunk, size = [], _ENVELOPE_BYTES
        chunk.append(item)
        size += needed
    if chunk:
        yield chunk


def _dumps(value: Any) -> bytes:
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_json_value
        )
        return text.encode("utf-8")
    except (ValueError, TypeError, RecursionError) as error:
        raise PayloadError(f"not a JSON value ({type(error).__name__})") from error


def _json_value(value: Any) -> str:
    if isinstance(value, datetime):
        return time_with_z(value)
    raise TypeError(type(value).__name__)
