"""Which indexes count as ours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sinks.health.indexes import TTL_KEY, TTL_NAME, UNIQUE_KEY, UNIQUE_NAME, missing_indexes

_COLLATION = {"collation": {"locale": "en", "strength": 2}}
_PARTIAL = {"partialFilterExpression": {"metricType": "weight"}}


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"unique": True}, []),
        ({"unique": True, "sparse": False, "partialFilterExpression": {}}, []),
        ({}, [UNIQUE_NAME]),
        ({"unique": True, "sparse": True}, [UNIQUE_NAME]),
        ({"unique": True, **_PARTIAL}, [UNIQUE_NAME]),
        ({"unique": True, **_COLLATION}, [UNIQUE_NAME]),
    ],
)
def test_the_unique_index_holds_for_all_results_and_takes_no_two_texts_for_one(
    options: dict[str, Any], missing: list[str]
) -> None:
    """Under any name."""
    assert (
        _missing({"u": {"key": UNIQUE_KEY, **options}, "t": {"key": TTL_KEY, "expireAfterSeconds": 0}})
        == missing
    )


@pytest.mark.parametrize("options", [{}, {"expireAfterSeconds": 0, **_PARTIAL}])
def test_all_results_expire(options: dict[str, Any]) -> None:
    """An index that leaves some out would keep them for ever."""
    assert _missing({"u": {"key": UNIQUE_KEY, "unique": True}, "t": {"key": TTL_KEY, **options}}) == [
        TTL_NAME
    ]


def _missing(present: dict[str, Any]) -> list[str]:
    return missing_indexes(cast(Any, SimpleNamespace(index_information=lambda: present)))
