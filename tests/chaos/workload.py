"""What the crash loops need to know of a pipeline."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Protocol


class Workload(Protocol):
    """A pipeline's data, its live writers, and the judgement of what the job makes of them.

    The checks raise AssertionError that says what is lost or wrong.
    """

    # Where FAULT can strike.
    steps: tuple[str, ...]
    # The job's settings beside those that every acceptance test has.
    settings: Mapping[str, str]

    @property
    def counts(self) -> Counter[str]:
        """Live writes by kind."""

    def prepare(self) -> None:
        """Write the past."""

    def started(self) -> bool:
        """Whether the job has processed something."""

    def write(self) -> threading.Thread:
        """Start the live writers; the thread ends soon after `stop_writing`."""

    def stop_writing(self) -> None:
        """Let the running write be the last."""

    def mark(self) -> None:
        """Write one thing more: what `caught_up` waits for."""

    def caught_up(self) -> bool:
        """Whether the job says that it has processed the mark, and with it everything before."""

    def watch(self) -> bool:
        """Judge what the running job claims; whether there was a new claim that could be judged."""

    def check_crash_state(self) -> bool:
        """Judge what a dead job has left; False when the writers do not let go in time."""

    def check_result(self) -> None:
        """Judge the sink at the very moment when the job has caught up."""

    def check_dead_letters(self) -> None:
        """Judge the dead-letter queue; it may need a retry of the letters to be right."""

    def check_end(self) -> None:
        """Judge everything after the job has stopped in order, then remove the data."""

    def close(self) -> None:
        """Give up, also in the middle of a write."""
