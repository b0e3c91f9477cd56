"""Spark's classes as one mapped file: a JVM that tests start then needs a third less of the processor.

Java's class data sharing (JEP 350). The file depends on this Java, Spark and folder, is made on first use,
and may be deleted; a JVM to which it does not fit ignores it. It fits only where no folder with files is on
the class path, so the tests name deploy/spark's log settings in another way than session.py does.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pyspark
from bson import ObjectId
from filelock import FileLock
from pyspark import SparkContext

from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import open_pipeline
from settings import load
from simulation.health.population import worked_example
from surroundings.java_found import java

# Each run is short: the second compiler would only take the cores away from the first batch.
_SHORT_RUN = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# The launcher's small JVM has another class path, and would say so each time.
_QUIET = "-Xlog:cds=off -Xlog:cds+dynamic=off"
_STREAM_SECONDS = 4.0
_ROOT = Path(__file__).parents[2]
_LOG_SETTINGS = f"-Dlog4j2.configurationFile={(_ROOT / 'deploy' / 'spark' / 'log4j2.properties').as_uri()}"


@cache
def java_environment(log_settings: str = _LOG_SETTINGS) -> dict[str, str]:
    """The environment that makes Java fast for short runs, with the archive where one could be made.

    With empty `log_settings` Spark logs as it does by itself.
    """
    file, conf = archive(), _folder() / "no-conf"
    conf.mkdir(exist_ok=True)
    options = [_SHORT_RUN, log_settings]
    if file.exists():
        options.append(f"{_QUIET} -XX:SharedArchiveFile={file}")
    return {"JAVA_TOOL_OPTIONS": " ".join(filter(None, options)), "SPARK_CONF_DIR": str(conf)}


@cache
def archive() -> Path:
    """The file, made if there is none; where it cannot be made it does not exist."""
    place = Path(pyspark.__file__).resolve()
    key = hashlib.sha256(f"{java().version} {pyspark.__version__} {place} no-conf".encode()).hexdigest()
    file = _folder() / f"{key[:16]}.jsa"
    with FileLock(_folder() / "lock"):
        if not file.exists():
            _make(file)
    return file


def _folder() -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "spark-health-analytics" / "classes"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make(file: Path) -> None:
    unfinished, conf = file.with_suffix(".unfinished"), _folder() / "no-conf"
    conf.mkdir(exist_ok=True)
    options = f"{_SHORT_RUN} -XX:ArchiveClassesAtExit={unfinished}"
    environment = {
        **os.environ,
        "JAVA_TOOL_OPTIONS": options,
        "SPARK_CONF_DIR": str(conf),
        "PYTHONPATH": str(_ROOT),
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.class_archive"],
        env=environment,
        capture_output=True,
        check=False,
    )
    if run.returncode == 0 and unfinished.exists():
        unfinished.replace(file)


def _load_classes() -> None:
    """A short stream on the embedded store, whose JVM writes the archive when it ends."""
    with tempfile.TemporaryDirectory() as folder:
        names = ("checkpoint_location", "dlq_directory", "log_directory", "metrics_directory")
        places = {name: Path(folder) / name for name in names}
        settings = load(env_file=None, mongo_uri="mongomock://", batch_interval_seconds=1, **places)
        with open_pipeline(settings, True) as job:
            job.source.insert_many(worked_example(ObjectId(), datetime.now(timezone.utc).date()))
            stop = StopFlag()
            threading.Timer(_STREAM_SECONDS, stop.set).start()
            job.stream(stop)
        gateway: Any = SparkContext._gateway
        gateway.proc.stdin.close()
        gateway.proc.wait()


if __name__ == "__main__":
    _load_classes()
