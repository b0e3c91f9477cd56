"""The shape of what `health.compute` returns, and the constants that several formulas share.

Source of every formula: the contract page of the health pipeline (health-analytics.md).
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from contracts.health import RANGE_NAMES

# Length in calendar days of each `timeRange`: the range is the N days (D-N, D].
RANGES: Final[dict[str, int]] = dict(zip(RANGE_NAMES, (7, 30, 90), strict=True))
LONGEST_RANGE_DAYS: Final = max(RANGES.values())

# Thresholds must be exceeded by more than this share: 2.0 -> 2.1 is 5.000000000000004 % in floating point.
RELATIVE_TOLERANCE: Final = 1e-9

# One row per (user, metric, range) that has at least one value. Days are counted from 1970-01-01.
RESULT_SCHEMA: Final = pa.schema(
    [
        pa.field("user", pa.int32()),  # index into the caller's list of users
        pa.field("metric", pa.string()),  # a key of METRICS
        pa.field("range", pa.string()),  # a key of RANGES
        pa.field("last_day", pa.int32()),  # D, the latest day with a value
        pa.field("mean", pa.float64()),
        pa.field("trend_percentage", pa.float64()),  # within trend.CHANGE_LIMITS
        pa.field("trend", pa.string()),  # up | down | stable
        pa.field("absolute_change", pa.float64()),
        pa.field("is_improvement", pa.bool_()),  # null for weight or without a previous range
        pa.field("anomaly_day", pa.int32()),  # this and the next four: null without an anomaly
        pa.field("anomaly_value", pa.float64()),
        pa.field("anomaly_expected", pa.float64()),
        pa.field("anomaly_deviation", pa.float64()),
        pa.field("anomaly_severity", pa.string()),  # low | medium | high
        pa.field("streak_days", pa.int32()),  # not clamped, like the next
        pa.field("longest_streak", pa.int32()),
        pa.field("streak_start", pa.int32()),  # null without a current run
        pa.field("percentile", pa.float64()),
        pa.field("standard_deviation", pa.float64()),
        pa.field("minimum", pa.float64()),
        pa.field("maximum", pa.float64()),
        pa.field("median", pa.float64()),
        pa.field("count", pa.int32()),
        pa.field("history_days", pa.list_(pa.int32())),  # the range's days with a value, in any order
        pa.field("history_values", pa.list_(pa.float64())),  # aligned with history_days
    ]
)
