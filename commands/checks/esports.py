"""Checks for the esports pipeline: what its Parquet files need."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from analytics.esports.rules import DATASETS
from commands.checks.machine import look
from commands.checks.result import CheckResult, bounded, failed, ok
from contracts.errors import UnfitError
from settings import Settings
from surroundings.before_start import native_code
from told import EXTRAS, install


def run(settings: Settings) -> Iterator[CheckResult]:
    """Whether Java can run the code that compresses them, and whether its Delta tables can be reached."""
    name = "Compression"
    yield bounded(name, partial(look, name, native_code))
    if settings.esports_delta_path:
        yield bounded("Delta tables", partial(_tables, settings))


def _tables(settings: Settings) -> CheckResult:
    from sinks.delta.table import look_at

    name, root = "Delta tables", settings.esports_delta_path
    address = f"{root}/{DATASETS[0].name}"
    try:
        version = look_at(address, settings.object_store.options(address))
    except ModuleNotFoundError as error:
        return failed(name, f"{error.name} is not installed", f"Run {install(EXTRAS['deltalake'])}.")
    except UnfitError as error:
        return failed(name, error.found, error.remedy)
    if version is None:
        return ok(name, f"{root} answers and has none yet; the first start makes them")
    return ok(name, f"{root} answers; {DATASETS[0].name} has version {version}")
