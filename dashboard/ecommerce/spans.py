"""A span of time and its steps in words, and as a table."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from dashboard import frame
from dashboard.text import figure, utc


def span_text(steps: pd.DataFrame) -> str:
    """From the first to the last `time` of `steps`."""
    return f"from {utc(steps['time'].min())} to {utc(steps['time'].max())}"


def readable(steps: pd.DataFrame, names: Mapping[str, str], digits: int) -> frame.Table:
    """Make a table of the columns of `steps` in `names`, the newest first."""
    newest_first = steps.iloc[::-1]
    columns: dict[str, list[str]] = {"From": [utc(moment) for moment in newest_first["time"]]}
    for column, shown in names.items():
        columns[shown[:1].upper() + shown[1:]] = [
            figure(value, digits=digits) for value in newest_first[column]
        ]
    return columns
