"""What commands print: fit for the terminal, the pipe, and streams that cannot show symbols."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from datetime import datetime, timezone

import pytest
from bson import ObjectId
from rich.console import Console
from rich.table import Column
from rich.text import Text

from commands import terminal
from commands.run import demo
from monitoring import progress_bar
from monitoring.console import lasted, tolerate_any_text
from pipelines.engine.pipeline import Pipeline


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Always."""
        return True


@pytest.mark.parametrize(
    ("values", "encoding", "line"),
    [
        ([0, 7, None, 3.5], "utf-8", "▁█ ▅"),
        ([0, 7, None, 3.5], "ascii", "_# +"),
        ([5, 5], "utf-8", "▄▄"),
        ([None, None], "utf-8", "  "),
        ([], "utf-8", ""),
        ([-1e308, 1e-300], "utf-8", "▁█"),
    ],
)
def test_a_sparkline_has_one_character_a_value(values: list[float | None], encoding: str, line: str) -> None:
    """The smallest is lowest, the greatest highest, nothing is a gap; ASCII where there are no blocks."""
    assert terminal.sparkline(values, encoding) == line


def test_a_terminal_without_block_elements_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb promises nothing, and the Linux console's font has only a few blocks."""
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert terminal.sparkline([1, 2], "utf-8") == "_#"
    monkeypatch.setenv("TERM", "xterm-256color")
    assert terminal.sparkline([1, 2], "utf-8") == "▁█"


def test_printing_never_fails_on_a_poor_encoding() -> None:
    """What carries meaning becomes ASCII, decoration goes, other characters are escaped."""
    bytes_out = io.BytesIO()
    stream = io.TextIOWrapper(bytes_out, "ascii")
    tolerate_any_text(stream)
    print("✅ done ⚠️ → 2σ 📦 café", file=stream, flush=True)
    assert bytes_out.getvalue() == b"[OK] done [!] -> 2sigma  caf\\xe9\n"


def test_a_pipe_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells cut to 80 columns would be lost to grep; a terminal keeps its own width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert terminal.console().width > 500
    monkeypatch.setenv("COLUMNS", "70")
    assert terminal.console().width == 70


@pytest.mark.parametrize("line", [f"📂 All of it: /a/{'long/' * 30}path", "word " * 30 + "end"])
def test_no_line_is_broken_on_a_narrow_terminal_in_a_demo_too(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """A path or command in it can be copied."""
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)

    def shows(_one: Pipeline, _keep_running: bool, console: Console, _stop: object) -> None:
        console.print(line)

    monkeypatch.setattr(Pipeline, "run_demo", shows)
    demo("health")
    assert out.getvalue().splitlines()[0] == line


def test_text_from_the_database_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets are no markup and colons no emoji."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    terminal.console().print("[bold]:smile:[/nonsense]")
    assert out.getvalue() == "[bold]:smile:[/nonsense]\n"


def test_json_is_valid_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Dates are ISO 8601, ids text, NaN (which JSON lacks) too, and credentials are masked."""
    moment = datetime(2026, 1, 31, tzinfo=timezone.utc)
    owner = ObjectId()
    terminal.print_json({"at": moment, "id": owner, "x": float("nan"), "uri": "mongodb://a:hunter2@h"})
    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-01-31T00:00:00+00:00",
        "id": str(owner),
        "x": "nan",
        "uri": "mongodb://***:***@h",
    }


def test_a_bar_appears_only_where_somebody_watches_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal after the delay, with the count; not for short work, in a file, on a dumb terminal."""

    def shown(stream: io.StringIO, delay: float, term: str = "xterm", out_too: bool = True) -> str:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(sys, "stdout", Terminal() if out_too else io.StringIO())
        monkeypatch.setattr(progress_bar, "_BAR_AFTER_SECONDS", delay)
        monkeypatch.setattr(progress_bar, "_REFRESH_SECONDS", 0.01)
        monkeypatch.setenv("TERM", term)
        with progress_bar.progress("Recomputing", lambda: 1234):
            end = time.monotonic() + 20
            while delay == 0 and "1,234 done" not in stream.getvalue() and time.monotonic() < end:
                time.sleep(0.01)
                if not stream.isatty() or term == "dumb" or not out_too:
                    break
        return stream.getvalue()

    assert "Recomputing" in shown(Terminal(), 0)
    assert shown(Terminal(), 60) == ""
    assert shown(io.StringIO(), 0) == ""
    assert shown(Terminal(), 0, "dumb") == ""
    assert shown(Terminal(), 0, out_too=False) == "", "it would run into what `| tee` shows"


def test_a_bar_tells_the_step_and_goes_when_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch has ended, and the stream goes on."""
    stream, steps = Terminal(), iter(["read", "compute"])
    for name in ("stderr", "stdout"):
        monkeypatch.setattr(sys, name, stream)
    for name, seconds in (("_BAR_AFTER_SECONDS", 0), ("_REFRESH_SECONDS", 0.001)):
        monkeypatch.setattr(progress_bar, name, seconds)
    monkeypatch.setenv("TERM", "xterm")
    before = threading.active_count()
    with progress_bar.progress(lambda: next(steps, None)):
        end = time.monotonic() + 20
        while threading.active_count() > before and time.monotonic() < end:
            time.sleep(0.001)
        assert threading.active_count() == before
    assert "read" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (27.4, "27 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7500, "2 h 5 min"),
        (1e9, "11,574 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    """The second one where there is something of it."""
    assert lasted(seconds) == words


_PATH = "/srv/" + "/".join(f"folder{number}" for number in range(30)) + "/file.json"


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(
    "cell", [_PATH, f"lies in {_PATH}, as told", Text(_PATH, "red")], ids=["path", "sentence", "red"]
)
def test_a_table_breaks_no_word_however_narrow_the_terminal_is(width: int, cell: str | Text) -> None:
    """What is copied from it is whole, and so is what stands beside it."""
    rows = terminal.table("name", Column("value", overflow="fold"), "origin")
    rows.add_row("SHORT", "fits", "default")
    rows.add_row("LONG", cell, "environment")
    written = io.StringIO()
    Console(file=written, width=width, soft_wrap=True).print(rows)
    text = written.getvalue()
    assert text.count(_PATH) == 1
    assert {"SHORT", "fits", "default", "LONG", "environment"} <= set(text.replace(_PATH, " ").split())
    assert all(char < "\U000f0000" for char in text)
    if width >= 80:
        short = next(line for line in text.splitlines() if "SHORT" in line)
        assert len(short.rstrip()) <= width
