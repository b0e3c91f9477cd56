"""What a pipeline needs before it reads Kafka: the connector's jars, and a broker that answers.

The jars are fetched once and kept, so that a later start needs no network.
`spark.jars.packages` would resolve them at each start, and tells of a failure in a stack trace of Java's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Protocol

import pyspark

from contracts import ConfigurationError, UnavailableError
from monitoring.logs import get_logger
from retry import RetryPolicy
from session import spark_line
from settings import Settings
from surroundings.java_found import java, java_command
from told import install

_GROUP, ARTIFACT = "org.apache.spark", "spark-sql-kafka-0-10_2.13"
# By the first two numbers of Spark's version: the newest whose parts are all on Maven Central.
VERSIONS = {(4, 0): "4.0.0", (4, 1): "4.1.1", (4, 2): "4.2.0"}
_FETCH_SECONDS = 600
_ASK_SECONDS = 2.0

logger = get_logger(__name__)


def connector_conf(settings: Settings) -> dict[str, str]:
    """The Spark settings that bring the connector; fetches its jars when KAFKA_CONNECTOR_PATH has none.

    Under spark-submit there are none: Java runs already, with the connector that `--packages` named. Raises
    ConfigurationError with the remedy when the jars cannot be had.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return {}
    folder = connector_folder(settings)
    if not list(folder.glob("*.jar")):
        java()
        logger.info(f"📦 Fetching Spark's Kafka connector {folder.name} into {folder} (once)")
        _fetch(folder)
    return {"spark.jars": ",".join(sorted(str(jar) for jar in folder.glob("*.jar")))}


def connector_version() -> str:
    """The version of the connector for the Spark that is installed.

    Raises ConfigurationError with the remedy when none is known.
    """
    found = VERSIONS.get(spark_line())
    if found is None:
        lines = ", ".join(f"{major}.{minor}" for major, minor in VERSIONS)
        raise ConfigurationError(
            f"No Kafka connector is known for pyspark {pyspark.__version__}, only for {lines}. "
            f"The tested ones are installed by {install('kafka')}."
        )
    return found


def connector_folder(settings: Settings) -> Path:
    """Where the connector's jars lie, or will lie after the first start.

    Raises ConfigurationError like `connector_version`.
    """
    return settings.kafka_connector_path.expanduser().absolute() / connector_version()


class Pingable(Protocol):
    """What can be asked whether it answers."""

    def ping(self) -> None:
        """Raise UnavailableError when it does not."""
        ...


def wait_for_broker(broker: Pingable, settings: Settings) -> None:
    """Wait until a broker answers. Raises ConfigurationError that names its address when none does."""
    where = settings.kafka_bootstrap_servers

    def tell(_error: BaseException) -> None:
        logger.warning(f"⏳ Kafka at {where} does not answer yet; asking again")

    # An answer that does not come takes its time too.
    ends = time.monotonic() + settings.kafka_wait_seconds
    policy = RetryPolicy(sys.maxsize, _ASK_SECONDS, _ASK_SECONDS, tell)
    try:
        policy.call(
            broker.ping, lambda error: isinstance(error, UnavailableError) and time.monotonic() < ends
        )
    except UnavailableError:
        raise ConfigurationError(
            f"No Kafka broker answered at {where} within {settings.kafka_wait_seconds:g} seconds. Start it, "
            "or correct KAFKA_BOOTSTRAP_SERVERS."
        ) from None


def _fetch(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as scratch:
            _resolve(Path(scratch), folder.name)
            found = Path(scratch) / "jars"
            _drop_what_spark_has(found)
            # Another start may have been faster.
            if not folder.exists():
                found.rename(folder)
    except OSError as error:
        raise ConfigurationError(
            f"The jars of Spark's Kafka connector cannot be kept in {folder} ({error.strerror}). Make it "
            "writable or set KAFKA_CONNECTOR_PATH to another folder."
        ) from None


def _resolve(scratch: Path, version: str) -> None:
    """Let Ivy, which comes with Spark, fetch the connector and what it needs into `scratch`/jars."""
    package = (_GROUP, ARTIFACT, version)
    jars = _spark_jars()
    ivy = ":".join(str(jar) for name in ("ivy-*.jar", "commons-cli-*.jar") for jar in jars.glob(name))
    command = [str(java_command()), "-cp", ivy, "org.apache.ivy.Main", "-error"]
    command += ["-cache", str(scratch / "ivy"), "-dependency", *package, "-confs", "default"]
    command += ["-retrieve", f"{scratch}/jars/[artifact]-[revision].[ext]"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)
        failed = run.returncode != 0
    except subprocess.TimeoutExpired:
        failed = True
    if failed or not (scratch / "jars").is_dir():
        raise ConfigurationError(
            f"Spark's Kafka connector {':'.join(package)} cannot be fetched from Maven Central. Let this "
            "machine reach it, once, or copy the jars from one that has them into KAFKA_CONNECTOR_PATH/"
            f"{version}."
        )


def _drop_what_spark_has(folder: Path) -> None:
    known = {_artifact(jar) for jar in _spark_jars().glob("*.jar")}
    for jar in folder.glob("*.jar"):
        if _artifact(jar) in known:
            jar.unlink()


def _artifact(jar: Path) -> str:
    return re.sub(r"-[0-9][^-]*(-[0-9A-Za-z.]+)?\.jar$", "", jar.name)


def _spark_jars() -> Path:
    return Path(pyspark.__file__).parent / "jars"
