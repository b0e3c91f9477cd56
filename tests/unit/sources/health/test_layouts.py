"""Which documents are rows of a byte layout."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import bson
import pytest
from bson import ObjectId

from sources.health.layouts import Layouts
from sources.health.replies import decoded
from tests.support.byte_layouts import TODAY, USERS


def _twice(name: str, value: Any) -> bytes:
    """A document in which a field comes twice, as no driver writes it; Python takes the last one."""
    document = {"_id": ObjectId(), "userId": USERS[0], "date": TODAY, "source": "manual", "updatedAt": TODAY}
    first = bson.encode({**document, "metrics": {"steps": 5}})
    second = bson.encode({name: value})[4:-1]
    return (len(first) + len(second)).to_bytes(4, "little") + first[4:-1] + second + b"\0"


@pytest.mark.parametrize(
    ("name", "value"),
    [("metrics", {"steps": 9}), ("userId", USERS[1]), ("source", "import"), ("source", "b")],
)
def test_a_field_that_comes_twice_is_no_layout(name: str, value: Any) -> None:
    """Its last value counts, as in Python."""
    raw = [_twice(name, value) for _ in range(9)]
    rows, others = Layouts(decoded).sort(b"".join(raw))
    assert (rows, len(others)) == ([], 9)


def test_most_documents_are_rows() -> None:
    """Those of the benchmark's kind, with whole numbers as int32 or double, and days without a weight."""
    rng = random.Random(7)
    raw = b"".join(
        bson.encode(
            {
                "_id": ObjectId(),
                "userId": rng.choice(USERS),
                "date": TODAY - timedelta(days=number),
                "metrics": {
                    "steps": 100,
                    "distance": rng.choice((2, 2.5)),
                    "weight": rng.choice((70.5, None)),
                },
                "source": "googlefit",
                "updatedAt": TODAY,
            }
        )
        for number in range(1_000)
    )
    rows, others = Layouts(decoded).sort(raw)
    assert (len(rows), sum(map(len, rows)), len(others)) == (4, 1_000, 0)


def test_layouts_are_few_whatever_comes() -> None:
    """A writer that makes another layout of each document costs no more than that they are decoded."""
    layouts = Layouts(decoded)
    raw = [
        bson.encode(
            {"_id": ObjectId(), "userId": USERS[0], "date": TODAY, "updatedAt": TODAY, "source": source}
        )
        for source in (f"{number:09}" for number in range(200))
        for _ in range(4)
    ]
    rows, others = layouts.sort(b"".join(raw))
    assert sum(map(len, rows)) + len(others) == 800
    assert len(rows) <= 64
    assert sum(map(len, layouts.sort(b"".join(raw[-8:]))[0])) == 8
