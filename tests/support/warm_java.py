"""Javas that short runs use one after the other, as spark-submit gives one to a run.

The start of a Java takes more of a core than what most runs do in it. What a run leaves behind there is
cleared away; a Java that does not get clear is ended. A run whose environment changes what Java reads, and
one that is to see Java start or die, has one of its own.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import Any
from unittest.mock import patch

from pyspark import SparkConf
from pyspark.java_gateway import launch_gateway

from pipelines.engine.kafka_connector import connector_conf
from session import LOCAL
from settings import load
from tests.support.class_archive import java_environment
from tests.support.kafka_servers import JARS
from tests.support.waiting import TIMEOUT_SECONDS

# What Java and Spark's start scripts read of an environment, by the beginnings of the names.
_READ = (
    *("JAVA", "_JAVA", "JDK", "SPARK_", "PYSPARK_", "HADOOP", "CLASSPATH", "LD_", "LC_", "LANG", "TZ"),
    *("TMPDIR", "HOME", "USER", "LOGNAME", "PATH"),
)
# Compiled code and what Python's proxies held on to add up.
_RUNS = 50


class WarmJava:
    """One Java that waits for runs."""

    def __init__(self) -> None:
        connector = connector_conf(load(env_file=None, kafka_connector_path=JARS))
        conf = SparkConf(loadDefaults=False).setAll([("spark.master", LOCAL), *connector.items()])
        with patch.dict(os.environ, java_environment()), TemporaryFile() as words:
            os.environ.pop("PYTHONPATH", None)
            launch: Any = launch_gateway
            self._gateway: Any = launch(conf, {"stdout": words, "stderr": subprocess.STDOUT})
        self._runs = 0

    @property
    def environment(self) -> dict[str, str]:
        """How spark-submit tells a run of its Java."""
        told = self._gateway.gateway_parameters
        return {"PYSPARK_GATEWAY_PORT": str(told.port), "PYSPARK_GATEWAY_SECRET": told.auth_token}

    def is_clear(self) -> bool:
        """Whether the next run finds it as new, after this has cleared away what the last one left."""
        self._runs += 1
        if self._runs == _RUNS or self._gateway.proc.poll() is not None:
            return False
        clear = threading.Event()
        threading.Thread(target=self._clear, args=[clear], daemon=True).start()
        return clear.wait(TIMEOUT_SECONDS)

    def _clear(self, clear: threading.Event) -> None:
        """Stop what a run that was killed did not, and wait for its streams."""
        spark = self._gateway.jvm.org.apache.spark
        context = getattr(getattr(spark, "SparkContext$"), "MODULE$").getActive()
        if context.isDefined():
            context.get().stop()
        spark.sql.SparkSession.clearDefaultSession()
        while any(thread.getName().startswith("stream execution") for thread in self._threads()):
            time.sleep(0.1)
        clear.set()

    def _threads(self) -> list[Any]:
        return list(self._gateway.jvm.java.lang.Thread.getAllStackTraces().keySet())

    def end(self) -> None:
        """Let it die."""
        self._gateway.proc.kill()
        self._gateway.proc.wait()


_waiting: list[WarmJava] = []


def is_usual(environment: Mapping[str, str]) -> bool:
    """Whether Java would read the same of `environment` as of this process' own."""
    usual = {**os.environ, **java_environment()}
    names = {name for name in (*environment, *usual) if name.startswith(_READ)} - {"PYTHONPATH"}
    return all(environment.get(name) == usual.get(name) for name in names)


def lend() -> WarmJava:
    """One that nobody uses; a new one where all are in use."""
    return _waiting.pop() if _waiting else WarmJava()


def take_back(java: WarmJava) -> None:
    """Keep it for the next run, which may begin at once."""
    if java.is_clear():
        _waiting.append(java)
    else:
        java.end()
