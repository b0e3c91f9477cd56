"""Checks of this machine: interpreter, packages, surroundings, folders, time zone. None needs a server."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from pyspark import SparkContext

from checkpoint.stream_folder import damage, query_folders
from commands.checks.result import CheckResult, failed, ok, skipped, warning
from contracts import ConfigurationError, UnfitError
from contracts.spark import Odd, SparkStart
from pipelines.engine.pipeline import Pipeline
from session import build_session
from settings import Settings
from surroundings.java_start import end_java
from surroundings.windows import remedy
from told import install

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
# The first that fits, and the first that no longer does.
_PYSPARK = (4, 0), (4, 3)
_PANDAS = (2, 2), (3, 0)
_SPARK = "Spark"
_MEBIBYTE = 1024 * 1024
FAILS_BELOW, WARNS_BELOW = 100 * _MEBIBYTE, 1024 * _MEBIBYTE


def python(version: tuple[int, int] = (sys.version_info[0], sys.version_info[1])) -> CheckResult:
    """Check the interpreter."""
    shown = f"{version[0]}.{version[1]}"
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        another = remedy(": PYTHON=python3.13 script/setup makes a .venv.", ".")
        return failed("Python", shown, f"Use Python 3.10 to 3.13{another}")
    return ok("Python", f"{shown} ({sys.executable})")


def look(name: str, make: Callable[[], str | Odd]) -> CheckResult:
    """Make one of the looks that the start makes too."""
    try:
        found = make()
    except UnfitError as error:
        return failed(name, error.found, error.remedy)
    return warning(name, *found) if isinstance(found, Odd) else ok(name, found)


def spark_starts(start: SparkStart) -> CheckResult:
    """Start what a job will start: Spark's Java and a context, on this machine whatever the master."""
    if SparkContext._active_spark_context is not None:
        return ok(_SPARK, "runs in this process")
    try:
        session = build_session(replace(start, master="local[1]"), streaming=False)
    except ConfigurationError as error:
        return failed(_SPARK, str(error), "Correct what it names.")
    version = session.version
    session.stop()
    end_java()
    return ok(_SPARK, f"{version} starts")


def packages() -> CheckResult:
    """Check pyspark and the packages with which it exchanges data: their versions must fit."""
    try:
        found = {name: metadata.version(name) for name in ("pyspark", "pymongo", "pyarrow", "pandas")}
    except metadata.PackageNotFoundError as error:
        return failed("Packages", f"{error.name} is not installed", f"Run {install()}.")
    shown = ", ".join(f"{name} {version}" for name, version in found.items())
    if not (_is_within(found["pyspark"], *_PYSPARK) and _is_within(found["pandas"], *_PANDAS)):
        return failed(
            "Packages",
            f"{shown}: pyspark 4.0 to 4.2 and pandas 2 from 2.2 on fit together",
            f"Run {install()}.",
        )
    return ok("Packages", shown)


def _is_within(version: str, first: tuple[int, int], too_new: tuple[int, int]) -> bool:
    major, minor = version.split(".")[:2]
    return first <= (int(major), int(minor)) < too_new


def connector_jars() -> CheckResult:
    """Tell that this pipeline needs no jars."""
    return skipped("Connector jars", "none needed: the health pipeline reads and writes through pymongo")


def time_zone(settings: Settings) -> CheckResult:
    """Tell the zone of the calendar days; its data was found when the settings were read."""
    try:
        source = f"tzdata {metadata.version('tzdata')}"
    except metadata.PackageNotFoundError:
        source = "this system"
    return ok("Time zone", f"{settings.analytics_timezone}, data of {source}")


def folders(settings: Settings, pipeline: Pipeline) -> dict[str, Path]:
    """The folders to which `pipeline` writes, by the setting that names each."""
    names = ["checkpoint_location", "dlq_directory", "log_directory", "metrics_directory"]
    names += [pipeline.parquet.setting.lower()] if pipeline.parquet else []
    names += ["kafka_connector_path"] if pipeline.topics else []
    return {
        **{name.upper(): Path(getattr(settings, name)) for name in names},
        "SPARK_LOCAL_DIRS": Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0]),
    }


def folder(name: str, path: Path) -> CheckResult:
    """Check that files can be written in `path`, or the folder be made; tell how much space is left."""
    existing = path.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    how = remedy(" (chown, chmod)", "")
    told = f"Make it writable for this user{how}, or set {name} to another folder."
    if not existing.exists():
        return failed(name, f"{path}: the drive {existing.anchor} is not there", told)
    if not existing.is_dir():
        return failed(name, f"{existing} is not a folder", told)
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".check-") as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        return failed(name, f"{path} cannot be written ({error.strerror or error})", told)
    free = shutil.disk_usage(existing).free
    detail = f"{path}: writable, {_size(free)} free" + (
        "" if existing == path.absolute() else ", not made yet"
    )
    return _space(name, detail, free)


def spark_checkpoint(below: Path) -> CheckResult:
    """Judge what Spark keeps of the queries `below`, as the start does."""
    name, folders = "Spark's checkpoint", query_folders(below)
    # A query that runs may have replaced a note in the middle of the first look.
    faults = {one: damage(one) and damage(one) for one in folders}
    damaged = [f"{one}: {fault}" for one, fault in faults.items() if fault]
    if damaged:
        return warning(
            name,
            f"damaged: {'; '.join(damaged)}",
            "Nothing is lost: the next start moves it to ….before, reads its source from the beginning and "
            "stores nothing twice. To go on where it was, put back a whole copy of the folder before.",
        )
    return ok(name, ", ".join(map(str, folders)) or f"{below} has none yet: the first start makes it")


def _space(name: str, detail: str, free: int) -> CheckResult:
    told = "Free some space: old batch logs and dead letters can go (docs/operations.md)."
    if free < FAILS_BELOW:
        return failed(name, detail, told)
    return warning(name, detail, told) if free < WARNS_BELOW else ok(name, detail)


def _size(number: int) -> str:
    gibibytes = number / _MEBIBYTE / 1024
    return f"{gibibytes:.1f} GiB" if gibibytes >= 1 else f"{number / _MEBIBYTE:.0f} MiB"
