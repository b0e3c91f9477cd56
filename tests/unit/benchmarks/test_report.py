"""What the documentation tells of speed is what was measured."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console

from benchmarks import figures as module
from benchmarks.figures import FIGURES, Figures, read
from benchmarks.report import page, readme_lines, with_lines
from tests.support.documents import ROOT

_COLUMNS = ["changed users", "workload", "this service", "script", "ratio"]


def _quiet() -> Console:
    return Console(file=io.StringIO())


def test_the_pages_say_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a run `script/bench --report` has to be run too; nobody edits a figure by hand."""
    monkeypatch.chdir(ROOT)
    figures, readme = read(), (ROOT / "README.md").read_text(encoding="utf-8")
    assert FIGURES.is_file()
    assert (ROOT / "docs" / "performance.md").read_text(encoding="utf-8") == page(figures)
    assert readme_lines(figures) in readme
    assert "| sync |" in readme_lines(figures)
    assert "| first |" not in readme_lines(figures), "one workload is enough there"
    assert with_lines(readme, figures) == readme


def test_a_part_that_was_not_run_again_keeps_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their date and commit; those of a part that was run are replaced."""
    monkeypatch.chdir(tmp_path)
    for commit, parts in (("first", ("health, changes", "stock")), ("second", ("stock",))):
        monkeypatch.setattr(module, "_commit", lambda commit=commit: commit)
        figures = Figures(_quiet(), "")
        for part in parts:
            figures.part(part)
            figures.table(
                f"{part} of {commit}",
                [*_COLUMNS, "sales before", "sales/s"],
                [["1", "sync", "2", "3", "0.67", "10", "1,234"]],
            )
            figures.judge("how long", 2, " ms", most=3)
        with pytest.raises(typer.Exit):
            figures.end()
    kept, shown = read(), page(read())
    assert {name: part["commit"] for name, part in kept.items()} == {
        "health, changes": "first",
        "stock": "second",
    }
    assert "health, changes of first" in shown
    assert "stock of second" in shown
    assert "stock of first" not in shown
    assert "| 1 | sync | 2 | 3 | 0.67 |\n" in readme_lines(kept)
    assert "commit first" in readme_lines(kept)
    assert "  bar [1234]\n" in shown
    assert "| how long | 2.00 ms | ≤ 3 ms | met |" in shown


@pytest.mark.parametrize(
    ("value", "budget", "code"),
    [
        (3, {"most": 3}, 0),
        (3.1, {"most": 3}, 1),
        (-1, {"most": 3}, 0),
        (2, {"least": 2}, 0),
        (1.9, {"least": 2}, 1),
    ],
)
def test_a_missed_budget_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, budget: dict[str, float], code: int
) -> None:
    """Also one of an earlier part. What stands on the page says the same."""
    monkeypatch.chdir(tmp_path)
    figures = Figures(_quiet(), "growth")
    figures.judge("it", value, "", **budget)
    figures.part("letters")
    figures.judge("another", 0, "", most=1)
    with pytest.raises(typer.Exit) as end:
        figures.end()
    assert end.value.exit_code == code
    assert page(read()).count("**missed**") == code


def test_no_address_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have a password."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["bench", "--uri", "mongodb://me:secret@host/", "--dsn=postgresql://me:secret@host/x"]
    )
    figures = Figures(_quiet(), "stock")
    figures.judge("it", 1, "", most=1)
    figures.part("")
    assert "secret" not in FIGURES.read_text(encoding="utf-8")
    assert "--uri …" in FIGURES.read_text(encoding="utf-8")
