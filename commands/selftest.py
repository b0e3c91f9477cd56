"""`main.py selftest`: the worked example in the user's own database, verified and removed again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from commands.common import AsJson, prepare
from commands.terminal import console, print_json
from contracts.health import SOURCE_COLLECTION
from contracts.health_metric_file import shipped
from contracts.health_metrics import METRICS
from monitoring.progress_bar import progress
from pipelines.health.demo.console import print_worked_example
from pipelines.health.worked_example import EXPECTED, found_figures

if TYPE_CHECKING:
    from pipelines.health.selftest import Outcome


def selftest(as_json: AsJson = False) -> None:
    """Compute the worked example for a scratch user in your database, verify each figure, remove it.

    Needs write access to healthmetrics. A running stream is not disturbed. Exit code 1 if a figure is wrong.
    """
    from pipelines.health.selftest import run_selftest
    from pipelines.health.stores import open_database
    from session import spark_session

    settings = prepare(sys.stderr)
    # What a team's own catalogue changes is not in the worked example.
    METRICS.use(shipped())
    database, clock = open_database(settings)
    source, target = database[SOURCE_COLLECTION], database[settings.analytics_collection]
    with progress("Self-test"), spark_session(settings.spark, streaming=False) as spark:
        outcome = run_selftest(
            spark, source, target, clock, settings.analytics_timezone, settings.sources_of_phones
        )
    found = found_figures(outcome.documents)
    good = found == EXPECTED and not outcome.remaining
    if as_json:
        print_json({"ok": good, "user": outcome.user, "expected": EXPECTED, "found": found})
    else:
        _print(outcome, good)
    if not good:
        raise typer.Exit(1)


def _print(outcome: Outcome, good: bool) -> None:
    screen = console()
    print_worked_example(outcome.documents, screen, f"Worked example, scratch user {outcome.user}")
    if outcome.remaining:
        screen.print(f"❌ {outcome.remaining} documents of the scratch user could not be removed")
    else:
        screen.print("The scratch user's documents are removed from both collections.")
    screen.print("✅ Self-test passed" if good else "❌ Self-test failed: a figure is not as it must be")
