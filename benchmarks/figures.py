"""The figures of a benchmark: printed, held to their budgets, and kept in one file for the report."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyspark
import typer
from rich.console import Console
from rich.table import Table

# Below the folder that script/bench works in.
FIGURES = Path("benchmarks/figures.json")


class Figures:
    """Tables and figures, part by part; each part is kept when it is done, and replaces its last run.

    Figures are held to their budgets; `end` prints them and exits with 1 when one was missed.
    """

    def __init__(self, out: Console, part: str) -> None:
        self.out = out
        self._verdicts: list[dict[str, Any]] = []
        self._part = part
        self._kept: dict[str, Any] = {}
        self.part(part)

    def part(self, name: str) -> None:
        """Keep the part so far, if it has figures, and begin the part `name`."""
        if self._kept.get("tables") or self._kept.get("verdicts"):
            _keep(self._part, self._kept)
        self._part = name
        self._kept = {**_about_this_run(), "tables": [], "verdicts": []}

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table and keep it."""
        shown = Table(*columns, title=title, title_justify="left")
        for row in rows:
            shown.add_row(*row)
        self.out.print(shown)
        self._kept["tables"].append({"title": title, "columns": [*columns], "rows": [[*row] for row in rows]})

    def judge(
        self, what: str, value: float, unit: str, *, least: float | None = None, most: float = float("inf")
    ) -> None:
        """Note `value`, which is to be at least `least` or at most `most`."""
        met = value <= most if least is None else value >= least
        budget = f"≤ {most:g}{unit}" if least is None else f"≥ {least:g}{unit}"
        kept = {"what": what, "value": round(value, 4), "unit": unit, "budget": budget, "met": met}
        kept["limit"] = most if least is None else least
        self._kept["verdicts"].append(kept)
        self._verdicts.append(kept)
        self.out.print(sentence(kept), highlight=False)

    def end(self) -> None:
        """Keep the last part and print all verdicts again; raises typer.Exit."""
        self.part("")
        for verdict in self._verdicts:
            self.out.print(sentence(verdict), highlight=False)
        raise typer.Exit(0 if all(verdict["met"] for verdict in self._verdicts) else 1)


def sentence(verdict: dict[str, Any]) -> str:
    """One figure beside its budget."""
    mark = "✅" if verdict["met"] else "❌"
    return f"{mark} {verdict['what']}: {verdict['value']:.2f}{verdict['unit']} (budget {verdict['budget']})"


def read() -> dict[str, Any]:
    """All parts that were kept, by name."""
    kept: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    return kept


def _keep(part: str, figures: dict[str, Any]) -> None:
    # Read again, because another benchmark may have written meanwhile.
    kept = {**read(), part: figures}
    FIGURES.parent.mkdir(exist_ok=True)
    text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
    FIGURES.write_text(text + "\n", encoding="utf-8")


def _about_this_run() -> dict[str, Any]:
    """When, what and where: no address of a server, which may have a password."""
    arguments = [re.sub(r"\w+://\S+", "…", each) for each in sys.argv[1:]]
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M}",
        "commit": _commit(),
        "options": " ".join(arguments),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_gigabytes()} GB, Python "
        f"{platform.python_version()}, Spark {pyspark.__version__}",
        "load": round(os.getloadavg()[0], 1),
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
        return run.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{FIGURES}", ":!docs")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + " with changes" * bool(changed)


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def _gigabytes() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
