"""Reads health documents as bytes, a reply at a time; only the fields of the contract travel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from weakref import WeakSet

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from contracts.health import WEARABLE_FIELDS
from contracts.health_metrics import METRICS, OfMetrics
from contracts.plain_documents import Rows
from sources.health.layouts import Layouts
from sources.mongo_client import PROJECTION, TOLERANT, for_reading, is_mongomock

# Here comes `metrics` that is no nested document: nothing can be chosen of it, and it is judged as it is.
_WHOLE: Final = "metricsWhole"
_IS_NESTED: Final = {"$eq": [{"$type": "$metrics"}, "object"]}
_TAKE_CONDITIONS: WeakSet[MongoClient[dict[str, Any]]] = WeakSet()
_STANDARD_UUID: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)


@OfMetrics
def fields() -> Mapping[str, Any]:
    """The projection: what else lies in `metrics`, such as a day's samples, may be far more."""
    return {
        **{name: 1 for name in PROJECTION if name != "metrics"},
        **{f"metrics.{name}": 1 for name in (*METRICS, *WEARABLE_FIELDS)},
        _WHOLE: {"$cond": [_IS_NESTED, "$$REMOVE", "$metrics"]},
    }


def read_replies(
    collection: Collection[dict[str, Any]],
    condition: Mapping[str, Any],
    fields: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[bytes]:
    """Documents one behind the other, in replies of at most 16 MB; `options` are those of `find`.

    They have the `fields`, or those of the contract. pymongo's errors pass through.
    """
    if is_mongomock(collection):
        # It has no bytes, and knows no conditions in a projection.
        with collection.find(condition, fields or PROJECTION, **options) as found:
            yield b"".join(bson.encode(each, codec_options=_STANDARD_UUID) for each in found)
    else:
        source = for_reading(collection)
        with source.find_raw_batches(condition, fields or _fields_of(source), **options) as replies:
            yield from replies


def _fields_of(source: Collection[dict[str, Any]]) -> Mapping[str, Any]:
    """`fields`, or all of `metrics` where the server takes no conditions: MongoDB before 4.4, DocumentDB."""
    client = source.database.client
    if client not in _TAKE_CONDITIONS:
        try:
            source.find_one({"_id": {"$in": []}}, fields())
        except OperationFailure:
            return PROJECTION
        _TAKE_CONDITIONS.add(client)
    return fields()


def read_documents(
    collection: Collection[dict[str, Any]], condition: Mapping[str, Any], **options: Any
) -> Iterator[dict[str, Any]]:
    """The documents of `read_replies`, decoded one by one: decoded, one may take twenty times its bytes."""
    for reply in read_replies(collection, condition, **options):
        yield from map(decoded, cut(reply))


def read_rows(
    collection: Collection[dict[str, Any]], condition: Mapping[str, Any], layouts: Layouts, **options: Any
) -> Iterator[Rows | dict[str, Any]]:
    """The same: plain documents as rows of their layout, the others decoded."""
    for reply in read_replies(collection, condition, **options):
        rows, others = layouts.sort(reply)
        yield from rows
        yield from map(decoded, others)


def decoded(raw: bytes) -> dict[str, Any]:
    """The document whose bytes these are, as the contract has it."""
    document = bson.decode(raw, TOLERANT)
    if _WHOLE in document:
        document["metrics"] = document.pop(_WHOLE)
    return document


def cut(reply: bytes) -> list[bytes]:
    """The single documents of `reply`."""
    found, start = [], 0
    while start < len(reply):
        end = start + int.from_bytes(reply[start : start + 4], "little")
        found.append(reply[start:end])
        start = end
    return found
