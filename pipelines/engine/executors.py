"""The project's code for Spark's executors, which need the pinned packages installed and nothing else."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from mongo_patience import answers_so_far

_ROOT = Path(__file__).resolve().parents[2]
# What runs without a browser; the single modules beside the packages come too.
PACKAGES = (
    "accounting",
    "analytics",
    "checkpoint",
    "commands",
    "contracts",
    "monitoring",
    "pipelines",
    "simulation",
    "sinks",
    "sources",
    "surroundings",
)
_KINDS = ("*.py", "*.ini")
# The same source gives the same archive, byte for byte.
_TIME = (1980, 1, 1, 0, 0, 0)


def work_sign(spark: SparkSession) -> Callable[[], object]:
    """Returns what changes while Spark's tasks are done, or MongoDB is at work on a long command of ours."""
    tracker = spark.sparkContext.statusTracker()

    def sign() -> object:
        stages = ((stage, tracker.getStageInfo(stage)) for stage in tracker.getActiveStageIds())
        done = [(stage, found.numCompletedTasks) for stage, found in stages if found is not None]
        return done, answers_so_far()

    return sign


def write_archive(target: Path) -> None:
    """Write the project's modules, and the files that they read, as a zip for `spark-submit --py-files`."""
    kept = (file for name in PACKAGES for kind in _KINDS for file in (_ROOT / name).rglob(kind))
    files = [*_ROOT.glob("*.py"), *kept]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            entry = zipfile.ZipInfo(file.relative_to(_ROOT).as_posix(), _TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def send_code(spark: SparkSession) -> None:
    """Let the executors of `spark` import the project's modules by their names.

    A local master's workers import from the checkout; sending files would call Hadoop's shell there, which
    Windows lacks. A cluster's get the archive, unless this process was itself started from one by --py-files.
    """
    context = spark.sparkContext
    if str(context.master).startswith("local"):
        context.environment["PYTHONPATH"] = str(_ROOT)
    elif _ROOT.is_dir():
        # Spark serves the file from where it lies while it runs, and removes this folder at its end.
        archive = Path(str(context._temp_dir)) / "spark-health-analytics.zip"
        write_archive(archive)
        context.addPyFile(str(archive))
