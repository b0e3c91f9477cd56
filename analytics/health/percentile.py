"""Percentile: where the latest value ranks among those of the last 90 days."""

from __future__ import annotations


def percentile(ordered: str, latest: str) -> str:
    """`percentile`, 0 to 100: 100 * (values < latest) / (n - 1), and 50 when n = 1.

    `ordered` names the ascending array of the n values of the range, `latest` the value at D, one of them.
    """
    # In an ascending array the first position of a value is the number of lower ones.
    lower = f"(array_position({ordered}, {latest}) - 1)"
    rank = f"100.0D * {lower} / nullif(size({ordered}) - 1, 0)"
    return f"if(size({ordered}) = 1, 50.0D, {rank}) AS percentile"
