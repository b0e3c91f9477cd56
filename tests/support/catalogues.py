"""Another catalogue of metrics for a test, as a team's own file makes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.health_metric_file import parse_metrics, shipped
from contracts.health_metrics import METRICS

# A ninth metric, of which less is better, with streaks of its own.
PULSE = """[restingHeartRate]
label = Resting heart rate
unit = bpm
range = 30 to 220
better = less
streak = < 60
"""


@contextmanager
def catalogue(content: str) -> Iterator[None]:
    """Use the shipped catalogue with `content` inside the block."""
    METRICS.use(parse_metrics("own.ini", content))
    try:
        yield
    finally:
        METRICS.use(shipped())
