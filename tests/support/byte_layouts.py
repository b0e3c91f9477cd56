"""Health documents of a few writers, each with byte layouts of its own, and odd ones between them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import bson
from bson import DatetimeMS, Decimal128, Int64, ObjectId
from hypothesis import strategies as st

from contracts.health_metrics import METRICS

Document = dict[str, Any]

TODAY = datetime(2025, 6, 30, tzinfo=timezone.utc)
USERS = [ObjectId(bytes([number]) * 12) for number in (3, 1, 2)]
# Often the same user, day and time, so that documents lose their day to each other.
_OWNERS = st.sampled_from([USERS[0], USERS[0], USERS[1], ObjectId(bytes([9]) * 12)])
_HOURS = st.sampled_from([0, 0, 0, -24, -24, -3, 22, 24, 48])
_DATES = _HOURS.map(lambda hours: TODAY + timedelta(hours=hours))
_FAR = st.sampled_from([-(2**60), -62_135_596_800_000, 253_402_300_799_999, 2**60]).map(DatetimeMS)
_CHANGES = st.sampled_from([0, 0, 1, 2]).map(lambda minutes: TODAY + timedelta(minutes=minutes))
# Of each type, values that count and values that do not.
_NUMBERS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.sampled_from([0, 7, 30, 500, -1, 2**31 - 1]),
    "long": st.sampled_from([0, 30, 2**53 + 1, 2**62, -(2**63)]).map(Int64),
    "double": st.one_of(
        st.sampled_from([0.0, -0.0, -0.0, 30.5, 1e-310, float("nan"), float("inf"), -1e308]), st.floats()
    ),
    "null": st.none(),
    "odd": st.sampled_from(["8", True, [1], {"a": 1}, Decimal128("7.5"), Decimal128("NaN"), TODAY, b"7"]),
}
_NAMES = st.sampled_from([*METRICS, *METRICS, *METRICS, "heartRate"])
_PLAIN_TYPES = st.sampled_from(["int", "long", "double", "null"])
_TOP = ("_id", "userId", "date", "metrics", "source", "updatedAt")
_WRITERS = st.fixed_dictionaries(
    {
        "order": st.permutations(_TOP),
        "metrics": st.dictionaries(_NAMES, _PLAIN_TYPES, min_size=1, max_size=4),
        "source": st.sampled_from(["googlefit", "manual", "manual", "import", None]),
        "more": st.sampled_from([{}, {}, {}, {}, {"heartRate": None}, {"heartRate": "int"}, {"other": 1}]),
    }
)
# What makes a document of a writer another one.
_SPOILS = st.sampled_from([*[""] * 20, "date", "updatedAt", "_id", "metric", "missing", "metrics"])


@st.composite
def replies(draw: st.DrawFn) -> list[bytes]:
    """Documents as BSON, with ids of their own; several have the same layout, user, day and updatedAt."""
    writers = draw(st.lists(_WRITERS, min_size=1, max_size=2))
    number = draw(st.sampled_from([0, 1, 9, 20, 30]))
    serials = draw(st.permutations(range(number)))
    return [bson.encode(_document(draw, draw(st.sampled_from(writers)), serial)) for serial in serials]


def _document(draw: st.DrawFn, writer: dict[str, Any], serial: int) -> Document:
    metrics = {name: draw(_NUMBERS[kind]) for name, kind in writer["metrics"].items()}
    fields: Document = {
        "_id": ObjectId(serial.to_bytes(12, "big")),
        "userId": draw(_OWNERS),
        "date": draw(_DATES),
        "metrics": metrics,
        "source": writer["source"],
        "updatedAt": draw(_CHANGES),
    }
    spoil = draw(_SPOILS)
    if spoil in ("date", "updatedAt"):
        fields[spoil] = draw(st.one_of(_FAR, st.none(), st.just("2025-06-30")))
    elif spoil == "_id":
        fields["_id"] = draw(st.sampled_from([f"x{serial}", serial, {"x": serial}, Int64(2**40 + serial)]))
    elif spoil == "metric" and metrics:
        metrics[draw(st.sampled_from(list(metrics)))] = draw(_NUMBERS["odd"])
    elif spoil == "metrics":
        fields["metrics"] = draw(st.sampled_from([None, 5, [metrics], "none"]))
    elif spoil == "missing":
        del fields[draw(st.sampled_from(_TOP[1:]))]
    more = {name: draw(_NUMBERS[kind]) if kind in _NUMBERS else kind for name, kind in writer["more"].items()}
    return {**{name: fields[name] for name in writer["order"] if name in fields}, **more}
