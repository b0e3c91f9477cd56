"""`python -m commands.class_archive`: makes the file of Spark's classes by a short stream."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from datetime import datetime, timezone
from pathlib import Path

from bson import ObjectId

from contracts import ConfigurationError
from monitoring import logs
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import open_pipeline
from session import QUIET_CONF
from settings import load
from simulation.health.population import worked_example
from surroundings.class_archive import archive, empty_conf, with_options, writing
from surroundings.java_start import end_java

_STREAM_SECONDS = 4.0
_WRITE_SECONDS = 120.0
# Without Spark's there are only the few classes of its launcher.
_LEAST_BYTES = 20_000_000


def main() -> int:
    """0 when the file is there; else 1, and one line says why."""
    try:
        file = archive()
        if not file.exists():
            _make(file)
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _make(file: Path) -> None:
    empty_conf().mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    os.environ |= with_options({"SPARK_CONF_DIR": str(QUIET_CONF)}, QUIET_CONF, writing(unfinished))
    _load_classes()
    end_java(_WRITE_SECONDS)
    if not unfinished.exists() or unfinished.stat().st_size < _LEAST_BYTES:
        raise ConfigurationError("Java wrote no archive of Spark's classes; every start works without it")
    unfinished.replace(file)


def _load_classes() -> None:
    """A short stream on the embedded store, which needs most of what any run needs."""
    logs.configure("ERROR", [])
    with tempfile.TemporaryDirectory() as folder:
        names = ("checkpoint_location", "dlq_directory", "log_directory", "metrics_directory")
        places = {name: Path(folder) / name for name in names}
        settings = load(
            env_file=None, mongo_uri="mongomock://", batch_interval_seconds=1, health_port=0, **places
        )
        with open_pipeline(settings, True) as job:
            job.source.insert_many(worked_example(ObjectId(), datetime.now(timezone.utc).date()))
            stop = StopFlag()
            threading.Timer(_STREAM_SECONDS, stop.set).start()
            job.stream(stop)


if __name__ == "__main__":
    sys.exit(main())
