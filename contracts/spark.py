"""What a session of Spark is started with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SparkStart:
    """The application's name, its master, and how long a job may wait for executors.

    An empty `master` means spark-submit's, or this machine.
    """

    app_name: str
    master: str
    executors_wait_seconds: float
