"""Checks for the esports pipeline: what its Parquet files need."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from commands.checks.machine import look
from commands.checks.result import CheckResult, bounded
from settings import Settings
from surroundings.before_start import native_code


def run(_settings: Settings) -> Iterator[CheckResult]:
    """Whether Java can run the code that compresses them."""
    name = "Compression"
    yield bounded(name, partial(look, name, native_code))
