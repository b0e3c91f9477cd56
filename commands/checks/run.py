"""The checks in their order, each on what the one before it has found usable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from commands.checks import kafka, machine, receivers
from commands.checks.result import CheckResult, bounded, failed, ok, skipped, warning
from commands.setting_names import remarks
from contracts import ConfigurationError
from contracts.spark import SparkStart
from monitoring import logs
from pipelines.catalog import PIPELINES, topics_by_setting
from pipelines.engine.letters_again import told_others
from pipelines.engine.pipeline import Pipeline
from session import LOCAL
from settings import Settings, load
from surroundings.before_start import looks
from told import told

_LOOK_SECONDS, _START_SECONDS = 60.0, 180.0


def run_checks(of: str) -> Iterator[CheckResult]:
    """Every check of the pipeline `of` in order. Never raises, never hangs.

    What depends on a failed one is skipped.
    """
    pipeline = PIPELINES[of]
    settings = _settings()
    yield bounded("Python", machine.python)
    yield bounded("Packages", machine.packages)
    yield from _spark(None if isinstance(settings, ConfigurationError) else settings.spark)
    if isinstance(settings, ConfigurationError):
        logs.configure("WARNING", stream=sys.stderr)
        yield failed("Settings", str(settings), f"Correct them; `{told('config')}` shows them afterwards.")
        return
    logs.configure(settings.log_level, settings.secrets(), settings.log_json, sys.stderr)
    yield _settings_result()
    yield bounded("Time zone", partial(machine.time_zone, settings))
    for name, path in machine.folders(settings, pipeline).items():
        yield bounded(name, partial(machine.folder, name, path))
    if pipeline.prefixed:  # the ticker's folder, of the other one, is made anew at each start
        folder = settings.checkpoint_location / pipeline.name
        yield bounded("Spark's checkpoint", partial(machine.spark_checkpoint, folder))
    yield bounded("Dead letters", partial(_letters, pipeline, settings))
    if topics := topics_by_setting(pipeline, settings):
        yield from kafka.run(settings, topics)
    yield from pipeline.checks(settings)
    yield from receivers.run(settings)


def _letters(pipeline: Pipeline, settings: Settings) -> CheckResult:
    name, queue = "Dead letters", pipeline.open_letters(settings)
    if others := told_others(queue):
        return warning(name, others, "Give each deployment a DLQ_DIRECTORY of its own.")
    return ok(name, f"{queue.count():,} wait")


def _settings() -> Settings | ConfigurationError:
    try:
        return load()
    except ConfigurationError as error:
        return error


def _spark(start: SparkStart | None) -> Iterator[CheckResult]:
    """Yield what is around Spark, and whether it starts when all of that is well and `start` is known."""
    all_well = True
    for name, make in looks(start.master or LOCAL if start else LOCAL).items():
        result = bounded(name, partial(machine.look, name, make), _LOOK_SECONDS)
        all_well = all_well and result.status != "failed"
        yield result
    if start and all_well:
        yield bounded("Spark", partial(machine.spark_starts, start), _START_SECONDS)
    else:
        yield skipped("Spark", "not started: see above")


def _settings_result() -> CheckResult:
    if odd := remarks():
        return warning("Settings", "\n".join(odd), "Correct .env: these lines are not read as they look.")
    return ok("Settings", "valid, nothing odd in .env")
