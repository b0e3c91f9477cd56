"""The SparkSession, built in one place."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyspark
import structlog
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from contracts import ServiceError
from contracts.spark import SparkStart
from executor_wait import explained, watched
from surroundings.before_start import require
from surroundings.java_start import java_started

# Spark 4.1 moved it. Without it each offset and commit goes through a cluster-safe rename protocol that costs
# 70 ms a batch; the ticker's checkpoint is disposable, so the plain file system manager is enough.
_STREAMING = "org.apache.spark.sql.execution.streaming"
_CHECKPOINT_MANAGER = "FileSystemBasedCheckpointFileManager"
_JAVA_ENDS_SECONDS = 2.0
# Spark notes its last jobs with their plans also where nobody looks: by itself a thousand of them.
_WITHOUT_UI = {
    "spark.ui.enabled": "false",
    "spark.ui.retainedJobs": "20",
    "spark.ui.retainedStages": "20",
    "spark.ui.retainedTasks": "1000",
    "spark.sql.ui.retainedExecutions": "20",
}
LOCAL = "local[*]"
QUIET_CONF = Path(__file__).resolve().parent / "deploy" / "spark"
_OURS = {
    "SPARK_LOCAL_IP": "127.0.0.1",
    "PYSPARK_PYTHON": sys.executable,
    "PYSPARK_DRIVER_PYTHON": sys.executable,
    "SPARK_CONF_DIR": str(QUIET_CONF),
}

# The sessions of the blocks that are open, and whoever changes them.
_inside: list[SparkSession] = []
_turn = threading.Lock()

# Like monitoring.logs.get_logger, which modules beside the packages do not know.
logger = structlog.get_logger(__name__)


def build_session(start: SparkStart, streaming: bool, extra: Mapping[str, str] | None = None) -> SparkSession:
    """Start Spark, or join the one that spark-submit prepared; `extra` are a pipeline's own Spark settings.

    Raises ConfigurationError, in one sentence, when something around the service keeps Spark from starting.
    """
    master = start.master
    if not master and "PYSPARK_GATEWAY_PORT" not in os.environ:
        master = LOCAL
    for odd in require(master):
        logger.warning(f"{odd.found}. {odd.remedy}")
    # What is set and empty counts as unset.
    os.environ["PYSPARK_PYTHON"] = os.environ.get("PYSPARK_PYTHON") or sys.executable
    # It finds Spark's folder, which any other interpreter need not.
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    if not {"SPARK_HOME", "SPARK_CONF_DIR"} & os.environ.keys():
        # Spark's own default is to warn of much that is as it should be.
        os.environ["SPARK_CONF_DIR"] = _OURS["SPARK_CONF_DIR"]
    if master.startswith("local"):
        # Otherwise results over 1 MB are fetched at another interface than the one that is bound.
        os.environ["SPARK_LOCAL_IP"] = os.environ.get("SPARK_LOCAL_IP") or _OURS["SPARK_LOCAL_IP"]
    conf: dict[str, Any] = {"spark.app.name": start.app_name, **conf_for(streaming), **(extra or {})}
    if master:
        conf["spark.master"] = master
    if _submitted_with("spark.ui.enabled"):
        conf = {key: value for key, value in conf.items() if key not in _WITHOUT_UI}
    with java_started(conf, _OURS):
        session = SparkSession.builder.config(map=conf).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


@contextmanager
def spark_session(
    start: SparkStart, streaming: bool, extra: Mapping[str, str] | None = None
) -> Iterator[SparkSession]:
    """Spark inside the block; `extra` are a pipeline's own Spark settings, which count for the first block.

    Raises ConfigurationError like `build_session`, and ServiceError in place of py4j's errors when Java ended
    inside the block or a cluster gave no executors.
    """
    session = _join(start, streaming, extra)
    try:
        with explained(), watched(session.sparkContext, start.executors_wait_seconds):
            yield session
    except Exception as error:
        if _java_ended(error):
            raise ServiceError(
                "Spark's Java process ended during the run: it was killed, perhaps for lack of memory. "
                "Nothing is lost; start again, with a smaller MAX_USERS_PER_PIECE if it keeps happening."
            ) from error
        raise
    finally:
        _leave(session)


def _join(start: SparkStart, streaming: bool, extra: Mapping[str, str] | None) -> SparkSession:
    """Start Spark; where a block of this process has it already, a session of its own in the same Java.

    So each of the dashboard's demos has its own SQL settings and listeners.
    """
    with _turn:
        session = build_session(start, streaming, extra)
        if _inside:
            session = session.newSession()
        _inside.append(session)
        return session


def _leave(session: SparkSession) -> None:
    """Stop Spark behind the last block."""
    with _turn:
        _inside.remove(session)
        if not _inside and not _java_ended():
            session.stop()


def _java_ended(error: BaseException | None = None) -> bool:
    """Whether the Java process that pyspark started has ended; `error` may be a sign that it is just ending.

    Under spark-submit Python is the child and ends with it.
    """
    java = getattr(SparkContext._gateway, "proc", None)
    if java is None:
        return False
    # The connection breaks some moments before the process is gone.
    if isinstance(error, Py4JError | OSError):
        with suppress(subprocess.TimeoutExpired):
            java.wait(_JAVA_ENDS_SECONDS)
    return java.poll() is not None


def _submitted_with(key: str) -> bool:
    """Whether spark-submit was told `key`, by --conf or spark-defaults.conf."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return False
    # Without a context Python's SparkConf does not see what the waiting JVM was told.
    SparkContext._ensure_initialized()
    return SparkConf().contains(key)


def conf_for(streaming: bool) -> dict[str, str]:
    """Spark settings of every run; `streaming` adds those of a stream."""
    conf = {
        **_WITHOUT_UI,
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
        # Small batches: planning adaptively costs more than it saves (measured 10 x).
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        # 17 users have more series than the default of 128; sorting them instead costs a sixth of a batch.
        "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "100000",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Spark 4.2 refuses a checkpoint that lost its query's id; our sinks know each record and need no id.
        # Not of streams alone: `--once` reads checkpoints too.
        "spark.sql.streaming.checkpoint.verifyMetadataExists.enabled": "false",
        # The planning of a batch calls Kafka, and nothing interrupts that.
        "spark.sql.streaming.stopTimeout": "5s",
        "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / "spark-warehouse"),
    }
    if streaming:
        package = _STREAMING if spark_line() < (4, 1) else f"{_STREAMING}.checkpointing"
        conf["spark.sql.streaming.checkpointFileManagerClass"] = f"{package}.{_CHECKPOINT_MANAGER}"
        conf["spark.sql.streaming.minBatchesToRetain"] = "10"
        # What a file source noted is in its next compact note too. By then the disk has that one, which is
        # not so for half a minute; Spark's ten minutes leave a thousand files of a quick stream.
        conf["spark.sql.streaming.fileSource.log.cleanupDelay"] = "1m"
    return conf


def spark_line() -> tuple[int, int]:
    """The first two numbers of the version of Spark that is installed, or that spark-submit brought."""
    major, minor = re.findall(r"\d+", pyspark.__version__)[:2]
    return int(major), int(minor)
