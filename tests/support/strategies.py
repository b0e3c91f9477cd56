"""Messy health histories: seeded random ones for volume, Hypothesis strategies for shrinking."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from bson import Decimal128, Int64, ObjectId
from hypothesis import strategies as st

Document = dict[str, Any]

# Level, spread and decimals of an ordinary person's values.
_HABITS: dict[str, tuple[float, float, int]] = {
    "steps": (8_000, 2_500, 0),
    "distance": (6, 2, 2),
    "calories": (2_200, 300, 1),
    "activeMinutes": (45, 20, 0),
    "weight": (78, 0.8, 1),
    "sleepHours": (7.2, 1.1, 2),
    "heartPoints": (30, 15, 0),
    "hydration": (2, 0.6, 3),
}
_GREATEST = {"steps": 100_000, "distance": 500, "calories": 10_000, "activeMinutes": 1_440, "weight": 300}
_GREATEST |= {"sleepHours": 24, "heartPoints": 500, "hydration": 10}
_BAD_VALUES: tuple[Any, ...] = (
    "8000", math.nan, math.inf, -math.inf, -1, 10**9, 2**62, Int64(2**60), True, False, {"value": 3}, [5],
    Decimal128("NaN"), Decimal128("-Infinity"), Decimal128("1E+400"), b"7", datetime(2025, 1, 1),  # noqa: DTZ001
)  # fmt: skip
_STYLES = ("ordinary", "constant", "zeros", "spiky", "trending", "absent", "edges", "sparse")


def new_id(rng: random.Random) -> ObjectId:
    """An ObjectId that depends on the seed alone."""
    return ObjectId(rng.randbytes(12))


def random_documents(
    rng: random.Random, users: Sequence[ObjectId], days: int, end: date = date(2025, 6, 30)
) -> list[Document]:
    """Histories of `days` calendar days up to `end` (and a little beyond), in random order.

    They have gaps, nulls, late edits, several documents a day, other zones' midnights, bad values and
    bad documents, wearables, all sources, Decimal128 and long values, and constant or spiky metrics.
    """
    documents: list[Document] = []
    for user in users:
        documents += _history(rng, user, days, end)
    documents += [_garbage(rng, end) for _ in range(3)]
    rng.shuffle(documents)
    return documents


def _history(rng: random.Random, user: ObjectId, days: int, end: date) -> list[Document]:
    styles = {name: rng.choice(_STYLES) for name in _HABITS}
    presence = rng.choice((1.0, 0.95, 0.6, 0.1))
    mess = rng.choice((0.0, 0.02, 0.2))
    last = end + timedelta(days=rng.choice((0, 0, 0, 1, 2, -3, -40)))
    documents = []
    for age in range(rng.choice((days, days, days // 2, 6, 1))):
        if rng.random() >= presence:
            continue
        day = last - timedelta(days=age)
        documents.append(_document(rng, user, day, styles, age, mess))
        if rng.random() < mess:
            documents.append(_rival(rng, documents[-1], _document(rng, user, day, styles, age, mess)))
    return documents


def _document(
    rng: random.Random, user: ObjectId, day: date, styles: dict[str, str], age: int, mess: float
) -> Document:
    metrics = {name: _value(rng, name, style, age) for name, style in styles.items()}
    document: Document = {
        "_id": new_id(rng),
        "userId": user,
        "date": datetime.combine(day, time(), timezone.utc),
        "metrics": metrics,
        "source": rng.choice(("googlefit", "googlefit", "manual")),
        "updatedAt": datetime(2025, 7, 1, tzinfo=timezone.utc) + timedelta(milliseconds=rng.randrange(10**6)),
    }
    for name in list(metrics):
        if metrics[name] is None and rng.random() < 0.5:
            del metrics[name]
    if rng.random() < mess:
        _spoil(rng, document)
    return document


def _value(rng: random.Random, name: str, style: str, age: int) -> Any:
    level, spread, decimals = _HABITS[name]
    if style == "absent" or (style == "sparse" and rng.random() < 0.9) or rng.random() < 0.03:
        return None
    if style == "constant":
        number = level + 0.1
    elif style == "zeros":
        number = 0.0 if name != "weight" else 30.0
    elif style == "edges":
        number = rng.choice((0.0, 30.0, 1_000.0, 1_001.0, float(_GREATEST[name])))
    else:
        number = rng.gauss(level, spread) - (level * age / 400 if style == "trending" else 0)
        if style == "spiky" and rng.random() < 0.05:
            number = level + spread * rng.choice((-4, -3, -2, 2, 2.5, 3, 3.5, 4, 6, 10))
        number = round(max(number, 30.0 if name == "weight" else 0.0), decimals)
    kind = rng.random()
    if kind < 0.02:
        return Decimal128(str(number))
    if number == int(number):
        return Int64(int(number)) if kind < 0.1 else int(number) if kind < 0.8 else number
    return number


def _spoil(rng: random.Random, document: Document) -> None:
    """One thing about the document that is unusual, or wrong."""
    metrics = document["metrics"]
    kind = rng.randrange(12)
    if kind == 0:
        metrics[rng.choice(list(_HABITS))] = rng.choice(_BAD_VALUES)
    elif kind == 1:
        document["source"] = rng.choice(("import", "fitbit", None, 7, ["googlefit"]))
    elif kind == 2:
        metrics[rng.choice(("heartRate", "oxygenSaturation", "bloodOxygen"))] = rng.choice((0, 61, None))
    elif kind == 3:
        document[rng.choice(("heartRate", "oxygenSaturation", "bloodOxygen"))] = rng.choice((98, False, None))
    elif kind == 4:
        document["date"] = rng.choice(("2025-06-01", None, 1_750_000_000_000))
    elif kind == 5:
        document["updatedAt"] = rng.choice(("2025-07-01T00:00:00Z", None))
    elif kind == 6:
        document["metrics"] = rng.choice(("none", [], None, 5))
    elif kind == 7:
        document["_id"] = rng.choice((f"id{rng.random()}", rng.random(), rng.randrange(10**6)))
    elif kind == 8:
        del document[rng.choice(("userId", "source", "metrics", "date", "updatedAt"))]
    else:
        # Midnight of another zone, or some time of the day.
        document["date"] += timedelta(
            minutes=rng.choice((-840, -720, -330, -60, 300, 720, rng.randrange(1440)))
        )


def _rival(rng: random.Random, first: Document, second: Document) -> Document:
    """A second document of the same user and day, half the time written in the same millisecond."""
    if isinstance(second.get("date"), datetime):
        second["date"] += timedelta(hours=rng.choice((0, 3)))
    if rng.random() < 0.5:
        second["updatedAt"] = first.get("updatedAt")
    if rng.random() < 0.3:
        second["_id"] = rng.choice((f"id{rng.random()}", rng.randrange(10**6)))
    return second


def _garbage(rng: random.Random, end: date) -> Document:
    moment = datetime.combine(end, time(), timezone.utc)
    return {
        "_id": new_id(rng),
        "userId": rng.choice((None, "6650f00dfeedfacecafebeef", 7, {"$oid": "x"})),
        "date": moment,
        "updatedAt": moment,
        "source": "manual",
        "metrics": {"steps": 1},
    }


# --- Hypothesis ------------------------------------------------------------------------------------

_edges = st.sampled_from((0, 0.1, 30, 100, 1_000, 1_000.5, 1_001, 2.0, 2.1, 100_000))
# What a share of it, or a sum, could not be told in: the least doubles, the greatest, and a zero with a sign.
_extremes = st.sampled_from((5e-324, 1e-323, 2.5e-308, 1e-305, 1e-300, -0.0, 1.7e308, -1.7e308, -5e-324))
_bad = st.sampled_from(_BAD_VALUES)
values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.integers(0, 12_000),
    st.integers(0, 3),
    _edges,
    _extremes,
    st.integers(0, 9_999).map(lambda n: n / 100),
    _bad,
)
_gaps = st.one_of(st.just(1), st.integers(1, 3), st.integers(1, 100))


@st.composite
def histories(draw: st.DrawFn, end: date = date(2025, 6, 30), users: int = 8) -> list[Document]:
    """Raw documents of a few users with free gaps and values in three metrics, ids and times in order."""
    documents: list[Document] = []
    for number in range(draw(st.integers(1, users))):
        day = end
        for gap, steps, weight, hydration in draw(
            st.lists(st.tuples(_gaps, values, values, values), min_size=1, max_size=40)
        ):
            serial = len(documents)
            documents.append(
                {
                    "_id": ObjectId(serial.to_bytes(12, "big")),
                    "userId": ObjectId(number.to_bytes(12, "big")),
                    "date": datetime.combine(day, time(), timezone.utc),
                    "updatedAt": datetime(2025, 7, 1, tzinfo=timezone.utc) + timedelta(seconds=serial),
                    "source": "googlefit",
                    "metrics": {"steps": steps, "weight": weight, "hydration": hydration},
                }
            )
            day -= timedelta(days=gap)
    return documents
