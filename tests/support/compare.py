"""Comparing analytics documents with the reference's, and saying where they differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tests.support.reference import Expected

# What belongs to the run and not to the data.
RUN_FIELDS = frozenset({"_id", "calculatedAt", "expiresAt", "metadata", "createdAt", "updatedAt"})
# What follows from a threshold; judged only where doubles can tell (see Expected.borderline).
DECIDED = frozenset(
    {
        "analytics.trend",
        "analytics.anomalyDetected",
        "analytics.anomalyDetails",
        "analytics.comparisonToPrevious.isImprovement",
    }
)
RELATIVE = 1e-9
# Differences of nearly equal numbers keep only the absolute precision of those numbers.
CANCELLATION = 1e-12
MESSAGE_LIMIT = 500


def assert_same_analytics(actual_docs: Iterable[Mapping[str, Any]], expected: Expected) -> None:
    """Every expected document is there exactly once, with equal content, and no other one.

    Numbers agree to 1e-9 relative and have the promised type; dates are aware; the text of an anomaly
    is free. Raises AssertionError naming the first differences.
    """
    found: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    problems: list[str] = []
    for document in actual_docs:
        key = (document["userId"], document["metricType"], document["timeRange"])
        if key in found:
            problems.append(f"{key}: twice")
        found[key] = document
    problems += [f"{key}: missing" for key in expected.keys() - found.keys()]
    problems += [f"{key}: not expected" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        actual = {name: value for name, value in found[key].items() if name not in RUN_FIELDS}
        skipped = DECIDED if key in expected.borderline else frozenset()
        scale = max(1.0, abs(float(expected[key]["analytics"]["statistics"]["maxValue"])))
        problems += [f"{key}: {text}" for text in _differences(actual, expected[key], "", scale, skipped)]
    assert not problems, f"{len(problems)} differences:\n" + "\n".join(sorted(problems)[:20])


def _differences(
    actual: Any, expected: Any, path: str, scale: float, skipped: frozenset[str]
) -> Iterable[str]:
    if path in skipped:
        return
    if path.endswith(".message"):
        if not (isinstance(actual, str) and 0 < len(actual) <= MESSAGE_LIMIT):
            yield f"{path}: not a text of 1 to {MESSAGE_LIMIT} characters: {actual!r}"
    elif isinstance(expected, dict):
        yield from _differing_fields(actual, expected, path, scale, skipped)
    elif isinstance(expected, list):
        if not isinstance(actual, list) or len(actual) != len(expected):
            yield f"{path}: {actual!r} instead of {expected!r}"
            return
        for place, (one, other) in enumerate(zip(actual, expected, strict=True)):
            yield from _differences(one, other, f"{path}[{place}]", scale, skipped)
    elif not _same_value(actual, expected, path, scale):
        yield f"{path}: {actual!r} instead of {expected!r}"


def _differing_fields(
    actual: Any, expected: dict[str, Any], path: str, scale: float, skipped: frozenset[str]
) -> Iterable[str]:
    if not isinstance(actual, Mapping):
        yield f"{path}: {actual!r} instead of {expected!r}"
        return
    if actual.keys() != expected.keys():
        yield f"{path or 'document'}: fields {sorted(actual)} instead of {sorted(expected)}"
    for name in expected.keys() & actual.keys():
        inner = f"{path}.{name}" if path else name
        yield from _differences(actual[name], expected[name], inner, scale, skipped)


def _same_value(actual: Any, expected: Any, path: str, scale: float) -> bool:
    # Exact types: a bool is not a count, and numpy's numbers are not BSON's.
    if type(actual) is not type(expected):
        return False
    if isinstance(expected, float):
        return math.isfinite(actual) and math.isclose(
            actual, expected, rel_tol=RELATIVE, abs_tol=_absolute_tolerance(path, scale)
        )
    if isinstance(expected, datetime):
        return actual.tzinfo is not None and bool(actual == expected)
    return bool(actual == expected)


def _absolute_tolerance(path: str, scale: float) -> float:
    """How far two doubles may lie apart because near equal numbers were subtracted on the way."""
    if path.endswith((".absoluteChange", ".standardDeviation")):
        return CANCELLATION * scale
    if path.endswith(("Percentage", ".percentageChange")):
        return 100 * CANCELLATION
    return 0.0
