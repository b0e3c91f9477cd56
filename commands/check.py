"""`main.py check`: whether the machine, the database and the backend are as the service needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.table import Column
from rich.text import Text

from commands.common import AsJson, PipelineOption
from commands.terminal import console, print_json, table
from monitoring import logs
from monitoring.progress_bar import progress
from pipelines.catalog import DEFAULT_PIPELINE

if TYPE_CHECKING:
    from commands.checks.result import CheckResult

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def check(
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    as_json: AsJson = False,
) -> None:
    """Look at Java, servers, rights, indexes, topics, clocks, folders, backend; exit code 2 if one fails."""
    from commands.checks.run import run_checks

    with progress("Checking"):
        results = list(run_checks(pipeline))
    good = all(result.status != "failed" for result in results)
    if as_json:
        print_json({"ok": good, "checks": [asdict(result) for result in results]})
    else:
        _print(results)
    if not good:
        raise typer.Exit(2)


def _print(results: Sequence[CheckResult]) -> None:
    # Words, not symbols: terminals disagree about how wide those are, and screen readers about their names.
    rows = table("status", "check", Column("found", overflow="fold"))
    for result in results:
        cell = Text(logs.redact(result.detail))
        if result.remedy:
            cell.append(f"\n→ {logs.redact(result.remedy)}", _STYLES[result.status])
        rows.add_row(Text(result.status, _STYLES[result.status]), result.name, cell)
    screen = console()
    screen.print(rows)
    screen.print()
    for line in conclusion(results):
        screen.print(line)


def conclusion(results: Sequence[CheckResult]) -> list[Text]:
    """The last lines: how many of each kind, then each check that failed with its remedy."""
    count = Counter[str](result.status for result in results)
    plural = {"warning": "s"} if count["warning"] > 1 else {}
    told = [f"{count[status]} {status}{plural.get(status, '')}" for status in _STYLES if count[status]]
    lines = [Text(", ".join(told))]
    for result in results:
        if result.status == "failed":
            remedy = f" → {logs.redact(result.remedy)}" if result.remedy else ""
            lines.append(Text(f"Failed: {result.name}{remedy}", _STYLES["failed"]))
    if not count["failed"]:
        lines.append(Text("All that is needed is there.", _STYLES["ok"]))
    return lines
