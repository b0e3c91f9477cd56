"""The checks in their order, each on what the one before it has found usable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from commands.checks import kafka, machine
from commands.checks.result import CheckResult, bounded, failed, ok, warning
from commands.setting_names import unknown_keys
from contracts import ConfigurationError
from monitoring import logs
from pipelines.catalog import PIPELINES, topics_by_setting
from pipelines.engine.letters_again import told_others
from pipelines.engine.pipeline import Pipeline
from settings import Settings, load


def run_checks(of: str) -> Iterator[CheckResult]:
    """Every check of the pipeline `of` in order. Never raises, never hangs.

    What depends on a failed one is skipped.
    """
    pipeline = PIPELINES[of]
    yield bounded("Python", machine.python)
    yield bounded("Packages", machine.packages)
    yield bounded("Java", machine.java)
    try:
        settings = load()
    except ConfigurationError as error:
        logs.configure("WARNING", stream=sys.stderr)
        yield failed("Settings", str(error), "Correct them; `python main.py config` shows them afterwards.")
        return
    logs.configure(settings.log_level, settings.secrets(), settings.log_json, sys.stderr)
    yield _settings_result()
    yield bounded("Time zone", partial(machine.time_zone, settings))
    for name, path in machine.folders(settings, pipeline).items():
        yield bounded(name, partial(machine.folder, name, path))
    yield bounded("Dead letters", partial(_letters, pipeline, settings))
    if topics := topics_by_setting(pipeline, settings):
        yield from kafka.run(settings, topics)
    yield from pipeline.checks(settings)


def _letters(pipeline: Pipeline, settings: Settings) -> CheckResult:
    name, queue = "Dead letters", pipeline.open_letters(settings)
    if others := told_others(queue):
        return warning(name, others, "Give each deployment a DLQ_DIRECTORY of its own.")
    return ok(name, f"{queue.count():,} wait")


def _settings_result() -> CheckResult:
    unknown = unknown_keys()
    if unknown:
        return warning("Settings", "\n".join(unknown), "Rename or remove them: they have no effect.")
    return ok("Settings", "valid, no unknown key in .env")
