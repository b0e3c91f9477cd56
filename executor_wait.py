"""Says when a cluster gives Spark no executors, and ends the batch after a time limit.

Spark itself waits for ever, and says so at a level that hides among others.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext
from pyspark.errors import PySparkException

from contracts import ServiceError

_TELL_SECONDS = 60.0
_LOOK_SECONDS = 5.0
_JOIN_SECONDS = 5.0
# The settings by which the user asks the cluster for executors.
_ASKED = (
    "spark.executor.instances",
    "spark.dynamicAllocation.maxExecutors",
    "spark.cores.max",
    "spark.executor.cores",
    "spark.executor.memory",
)
_GIVEN_UP = re.compile(r"No executor has taken a task for .* EXECUTORS_WAIT_SECONDS says how long to wait\.")

# Like monitoring.logs.get_logger, which modules beside the packages do not know.
logger = structlog.get_logger(__name__)


@contextmanager
def watched(context: SparkContext, wait_seconds: float) -> Iterator[None]:
    """Inside the block no job waits longer than `wait_seconds` for a first or next task to run.

    After a minute a line is logged; at the end the waiting jobs are cancelled, and `explained` knows the
    errors that Spark raises for them. A local master has its executor in the driver.
    """
    if str(context.master).startswith("local"):
        yield
        return
    ended = threading.Event()
    watch = _Watch(context, wait_seconds)
    thread = threading.Thread(target=watch.run, args=(ended,), name="executors", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_JOIN_SECONDS)


@contextmanager
def explained() -> Iterator[None]:
    """Raise ServiceError with a sentence for a person in place of Spark's error for a job ended here."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        found = _GIVEN_UP.search(str(error))
        if found is None:
            raise
        raise ServiceError(found[0]) from None


class _Watch:
    def __init__(
        self, context: SparkContext, wait_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._context, self._wait_seconds, self._monotonic = context, wait_seconds, monotonic
        self._tracker = context.statusTracker()
        self._seen: object = None
        self._since = monotonic()
        self._told = False

    def run(self, ended: threading.Event) -> None:
        # Spark's Java process may end at any moment; whoever runs a job in it says so.
        with suppress(Py4JError, OSError):
            while not ended.wait(min(_LOOK_SECONDS, self._wait_seconds / 4)):
                self.look()

    def look(self) -> None:
        """Note whether anything happened since the last look; warn of a long wait, end a too long one."""
        now, seen = self._monotonic(), self._standing_still()
        if seen is None or seen != self._seen:
            self._seen, self._since, self._told = seen, now, False
            return
        waited = now - self._since
        if waited >= self._wait_seconds:
            self._give_up()
            self._seen = None
        elif waited >= min(_TELL_SECONDS, self._wait_seconds / 2) and not self._told:
            logger.warning(
                f"⏳ Spark has waited {waited:.0f} seconds for executors ({self._asked()}); after "
                f"{self._wait_seconds:g} the batch fails and is tried again"
            )
            self._told = True

    def _standing_still(self) -> object:
        """The waiting stages and what they have done; None while a task runs or there is nothing to do."""
        stages = [self._tracker.getStageInfo(number) for number in self._tracker.getActiveStageIds()]
        known = [stage for stage in stages if stage is not None]
        if not known or any(stage.numActiveTasks for stage in known):
            return None
        return [(stage.stageId, stage.numCompletedTasks, stage.numFailedTasks) for stage in known]

    def _give_up(self) -> None:
        reason = (
            f"No executor has taken a task for {self._wait_seconds:g} seconds ({self._asked()}), so the "
            "batch was ended; nothing is lost and it comes again. Look at the cluster: its workers may be "
            "away, or have less free memory or cores than one executor is to have, or its executors may not "
            "reach the driver. EXECUTORS_WAIT_SECONDS says how long to wait."
        )
        for job in self._tracker.getActiveJobsIds():
            self._context._jsc.sc().cancelJob(job, reason)

    def _asked(self) -> str:
        conf = self._context.getConf()
        asked = [f"{name}={conf.get(name)}" for name in _ASKED if conf.contains(name)]
        # The driver is one of them.
        there = len(self._context._jsc.sc().statusTracker().getExecutorInfos()) - 1
        return f"master {self._context.master}, asked for {', '.join(asked) or 'all it has'}, {there} there"
