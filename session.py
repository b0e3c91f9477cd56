"""The SparkSession, built in one place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pyspark
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from contracts import ConfigurationError, ServiceError
from contracts.spark import SparkStart
from executor_wait import explained, watched

# Spark 4.1 moved it. Without it each offset and commit goes through a cluster-safe rename protocol that costs
# 70 ms a batch; the ticker's checkpoint is disposable, so the plain file system manager is enough.
_STREAMING = "org.apache.spark.sql.execution.streaming"
_CHECKPOINT_MANAGER = "FileSystemBasedCheckpointFileManager"
_JAVA_ENDS_SECONDS = 2.0
_QUIET_CONF = Path(__file__).resolve().parent / "deploy" / "spark"


def build_session(start: SparkStart, streaming: bool, extra: Mapping[str, str] | None = None) -> SparkSession:
    """Start Spark, or join the one that spark-submit prepared; `extra` are a pipeline's own Spark settings.

    Raises ConfigurationError when no usable Java is found.
    """
    require_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if not {"SPARK_HOME", "SPARK_CONF_DIR"} & os.environ.keys():
        # Spark's own default is to warn of much that is as it should be.
        os.environ["SPARK_CONF_DIR"] = str(_QUIET_CONF)
    builder = SparkSession.builder.appName(start.app_name)
    master = start.master
    if not master and "PYSPARK_GATEWAY_PORT" not in os.environ:
        master = "local[*]"
    if master:
        builder = builder.master(master)
    if master.startswith("local"):
        # Otherwise results over 1 MB are fetched at another interface than the one that is bound.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    for key, value in {**conf_for(streaming), **(extra or {})}.items():
        if not (key == "spark.ui.enabled" and _submitted_with(key)):
            builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


@contextmanager
def spark_session(
    start: SparkStart, streaming: bool, extra: Mapping[str, str] | None = None
) -> Iterator[SparkSession]:
    """Spark inside the block; `extra` are a pipeline's own Spark settings.

    Raises ConfigurationError when no usable Java is found, and ServiceError in place of py4j's errors when
    Java ended inside the block or a cluster gave no executors.
    """
    session = build_session(start, streaming, extra)
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
        if not _java_ended():
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
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
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
        "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / "spark-warehouse"),
    }
    if streaming:
        package = _STREAMING if spark_line() < (4, 1) else f"{_STREAMING}.checkpointing"
        conf["spark.sql.streaming.checkpointFileManagerClass"] = f"{package}.{_CHECKPOINT_MANAGER}"
        conf["spark.sql.streaming.minBatchesToRetain"] = "10"
    return conf


def spark_line() -> tuple[int, int]:
    """The first two numbers of the version of Spark that is installed, or that spark-submit brought."""
    major, minor = re.findall(r"\d+", pyspark.__version__)[:2]
    return int(major), int(minor)


def java_command() -> str | None:
    """The Java that Spark takes; None when there is none."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else shutil.which("java")


def require_java() -> str:
    """The version line of a usable Java (17 to 23).

    Raises ConfigurationError with the remedy when there is none.
    """
    command = java_command()
    remedy = "install Java 17 (Debian/Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
    if not command:
        raise ConfigurationError(f"Java was not found: {remedy}.")
    try:
        run = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        raise ConfigurationError(f"JAVA_HOME or PATH names a Java that cannot run: {remedy}.") from None
    output = run.stderr + run.stdout
    # JAVA_TOOL_OPTIONS puts a line of its own before the version.
    match = re.search(r'^.*version "(\d+).*$', output, re.MULTILINE)
    line = match.group(0) if match else output.partition("\n")[0]
    # Since 24 a call that Hadoop needs is gone.
    if not match or not 17 <= int(match.group(1)) < 24:
        raise ConfigurationError(f"Spark 4 needs Java 17 or 21, found {line or 'none'}: {remedy}.")
    return line
