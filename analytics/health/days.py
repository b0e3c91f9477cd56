"""Calendar-day frames over a series: one user's values of one metric, in the order of their days.

Rows are (user, metric, day, value), at most one a day, with `day` counted from 1970-01-01: a RANGE over `day`
is one of calendar days, however many days have no row.
"""

from __future__ import annotations

from typing import Final

_SERIES: Final = "PARTITION BY user, metric ORDER BY day"

WHOLE: Final = f"({_SERIES} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
SO_FAR: Final = f"({_SERIES} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"


def earlier(what: str, rows: int = 1) -> str:
    """SQL text: `what` of the row that is `rows` values before this one; null without one."""
    return f"lag({what}, {rows}) OVER ({_SERIES})"


def days_before(days: int) -> str:
    """The frame of the `days` calendar days before the row's day, which is not part of it."""
    return f"({_SERIES} RANGE BETWEEN {days} PRECEDING AND 1 PRECEDING)"
