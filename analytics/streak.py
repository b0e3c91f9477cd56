"""Streaks: runs of consecutive calendar days with more than 1000 steps."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

STEPS_THRESHOLD: Final = 1000

_BY_DAY: Final = "PARTITION BY user ORDER BY day"
_WHOLE: Final = f"({_BY_DAY} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
_SO_FAR: Final = f"({_BY_DAY} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
_QUALIFIES: Final = f"steps > {STEPS_THRESHOLD}"


def previous_qualifying_day() -> Column:
    """The row before this one of the same user, as its day, where it qualifies; else null."""
    return F.expr(f"lag(if({_QUALIFIES}, day, null)) OVER ({_BY_DAY})").alias("previous_day")


def with_runs(days: DataFrame) -> DataFrame:
    """Add `run_start:int` and `longest_run:int` to one row per (user, day) with `previous_day`.

    `run_start` is the first day of the run that the row belongs to, null where the row does not qualify;
    `longest_run` the length in days of the user's longest run in the whole input, null without any.
    A day without a row ends a run, just as one without enough steps does.
    """
    # A run begins where the day before is missing or does not qualify; days only grow, so the greatest
    # beginning so far is the beginning of the run that a qualifying row belongs to.
    begins = f"{_QUALIFIES} AND NOT previous_day <=> day - 1"
    run_start = f"if({_QUALIFIES}, max(if({begins}, day, null)) OVER {_SO_FAR}, null)"
    longest = f"max(day - run_start + 1) OVER {_WHOLE}"
    return days.selectExpr("*", f"{run_start} AS run_start").selectExpr("*", f"{longest} AS longest_run")


def streak_columns() -> list[Column]:
    """`streak_days`, `longest_streak`, `streak_start` of rows with `last_day`, `run_start` (of the run that
    ends at `last_day`, or null) and `longest_run`; 0, 0 and null where those two are null."""
    return [
        F.expr("coalesce(last_day - run_start + 1, 0)").alias("streak_days"),
        F.expr("coalesce(longest_run, 0)").alias("longest_streak"),
        F.expr("run_start").alias("streak_start"),
    ]
