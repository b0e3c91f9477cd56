"""What a session of Spark is started with, and what is odd around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class SparkStart:
    """The application's name, its master, and how long a job may wait for executors.

    An empty `master` means spark-submit's, or this machine.
    """

    app_name: str
    master: str
    executors_wait_seconds: float


class Odd(NamedTuple):
    """Spark runs, but not as this setting was meant."""

    found: str
    remedy: str
