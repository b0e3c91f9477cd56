"""A system's pipeline opened as `main.py` opens it, but in this process and on the test's Spark."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from pyspark.sql import SparkSession

from commands.common import guarded
from main import app
from pipelines.catalog import open_job
from pipelines.engine.pipeline import Job
from tests.contract.systems.system import System
from tests.support.job import environment_of


@contextmanager
def _in_this_process(system: System) -> Iterator[None]:
    """Whoever starts Spark gets the test's, which outlives it."""
    before = Path.cwd()
    environment = patch.dict("os.environ", environment_of(system.settings()))
    with (
        environment,
        patch("session.build_session", lambda *_: system.spark),
        patch.object(SparkSession, "stop"),
    ):
        os.chdir(system.folder)
        try:
            yield
        finally:
            os.chdir(before)


@contextmanager
def opened(system: System) -> Iterator[Job]:
    """The whole pipeline, with its locks."""
    with _in_this_process(system), open_job(system.name, system.settings(), True, system.part) as job:
        yield job


def command(system: System, *arguments: str) -> int:
    """The exit code of `main.py` with these arguments; what it tells goes where the test's output goes."""
    return program(system, app, *arguments, "--pipeline", system.name)


def program(system: System, run: Callable[[], object], *arguments: str) -> int:
    """The exit code of a program of the command line, as above."""
    with _in_this_process(system), patch("sys.argv", ["main.py", *arguments]):
        try:
            return guarded(run)
        except SystemExit as ended:
            return int(ended.code or 0)
