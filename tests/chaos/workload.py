"""What the crash loops and the soak need to know of a pipeline."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pipelines.catalog import PIPELINES
from tests.chaos.plan import Means
from tests.chaos.servers import Surroundings
from tests.support.job import Job

_MOST_WAIT_MS = 2_000
_SETTINGS = {
    "RETRY_BASE_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "1",
    "MONGO_TIMEOUT_SECONDS": str(_MOST_WAIT_MS / 1000),
    "SPARK_MASTER": "local[2]",
}


class Workload(ABC):
    """A pipeline's data, its live writers, and the judgement of what the job makes of them.

    The checks raise AssertionError that says what is lost or wrong, and what a server raises that is away.
    """

    name: ClassVar[str]
    # The job's settings beside those of every pipeline, and how its command goes on.
    settings: ClassVar[Mapping[str, str]] = {}
    arguments: ClassVar[Sequence[str]] = ()
    # Settings that cut the work into small batches, so that faults strike between them.
    cuts: ClassVar[Mapping[str, str]] = {}
    # Commands that may run beside the job, with their arguments, of which the first is the script.
    beside: ClassVar[Mapping[str, Sequence[str]]] = {}
    streams: ClassVar[bool] = True
    # Then batches are cut in another way, and records that share a letter are others.
    checkpoint_was_lost = False

    def __init__(self, around: Surroundings, addresses: Mapping[str, str]) -> None:
        """`addresses` are the settings by which the job finds its servers."""
        self.around, self.data = around, around.data
        folders = {name.upper(): str(path) for name, path in around.folders.items()}
        given = {**_SETTINGS, **self.settings, **self.cuts, **folders, **addresses}
        self.job = Job(around.folder, given, own_java=True)

    @property
    def means(self) -> Means:
        """What can be done to it."""
        parts = {name: server.parts for name, server in self.around.servers.items()}
        return Means(parts, list(self.beside), self.streams, self.around.disk is not None)

    @property
    def steps(self) -> Sequence[str]:
        """Where FAULT can strike."""
        return PIPELINES[self.name].steps

    @property
    @abstractmethod
    def counts(self) -> Counter[str]:
        """Live writes by kind."""

    @abstractmethod
    def prepare(self) -> None:
        """Write the past."""

    @abstractmethod
    def started(self) -> bool:
        """Whether the job has processed something."""

    @abstractmethod
    def write(self, pause_seconds: tuple[float, float] = (0.05, 0.35)) -> threading.Thread:
        """Start the live writers; the thread ends soon after `stop_writing`."""

    @abstractmethod
    def stop_writing(self) -> None:
        """Let the running write be the last."""

    @abstractmethod
    def mark(self) -> None:
        """Note where the writes end: what `caught_up` waits for."""

    @abstractmethod
    def caught_up(self) -> bool:
        """Whether the job says that it has processed the mark, and with it everything before."""

    @abstractmethod
    def watch(self) -> bool:
        """Judge what the running job claims; whether there was a new claim that could be judged."""

    @abstractmethod
    def check_crash_state(self) -> bool:
        """Judge what a dead job has left; False when the writers do not let go in time."""

    @abstractmethod
    def check_result(self) -> None:
        """Judge the sink at the very moment when the job has caught up."""

    @abstractmethod
    def check_dead_letters(self) -> None:
        """Judge the dead-letter queue; it may need a retry of the letters to be right."""

    @abstractmethod
    def check_end(self) -> None:
        """Judge everything after the job has stopped in order."""

    @abstractmethod
    def close(self) -> None:
        """Give up, also in the middle of a write."""
