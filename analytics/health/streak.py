"""Streaks: runs of consecutive calendar days whose value counts by the rule of its metric."""

from __future__ import annotations

from collections.abc import Mapping

from analytics.health.days import SO_FAR, earlier
from contracts.health_metrics import METRICS


def qualifies(codes: Mapping[str, str]) -> str:
    """SQL text, true for a row (`metric`, one of `codes`, and `value`) whose day counts for a streak."""
    rules = ((code, METRICS[name].streak) for name, code in codes.items())
    found = [f"(metric = {code} AND {rule.sql})" for code, rule in rules if rule is not None]
    return f"({' OR '.join(found)})" if found else "false"


def previous_day(qualifies: str) -> str:
    """`previous_day`: the day of the series' value before this one where that one qualifies, else null.

    `qualifies` is SQL text, true for a row whose day counts.
    """
    return f"{earlier(f'if({qualifies}, day, null)')} AS previous_day"


def run_start(qualifies: str) -> str:
    """`run_start` of rows (`day`, `previous_day`): the first day of the run of consecutive qualifying days
    that the row belongs to, null where it does not qualify.

    A day without a row ends a run, just as one that does not count does.
    """
    # A run begins where the day before is missing or does not qualify; days only grow, so the greatest
    # beginning so far is the beginning of the run that a qualifying row belongs to.
    begins = f"{qualifies} AND NOT previous_day <=> day - 1"
    return f"if({qualifies}, max(if({begins}, day, null)) OVER {SO_FAR}, null) AS run_start"


def run_aggregates() -> list[str]:
    """Aggregates of `age`, `day`, `run_start`: `run_start` of the run that ends at D, and `longest_run`."""
    return [
        "max(if(age = 0, run_start, null)) AS run_start",
        "max(day - run_start + 1) AS longest_run",
    ]


def streak_columns() -> list[str]:
    """`streak_days`, `longest_streak`, `streak_start` of rows with `last_day`, `run_start` (of the run that
    ends at `last_day`, or null) and `longest_run`; 0, 0 and null where those two are null."""
    return [
        "coalesce(last_day - run_start + 1, 0) AS streak_days",
        "coalesce(longest_run, 0) AS longest_streak",
        "run_start AS streak_start",
    ]
