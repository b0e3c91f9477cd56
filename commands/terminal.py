"""The output of commands: tables for people, JSON for scripts, a progress bar only on a terminal."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from monitoring.logs import redact_value

_BAR_AFTER_SECONDS = 2.0
_REFRESH_SECONDS = 0.25
# A pipe has no width; cells that are cut there would be lost to grep and awk.
_PIPE_WIDTH = 1_000
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-=+*%#"
# Terminals without the block elements, or that promise nothing at all.
_POOR_TERMINALS = ("dumb", "linux")


def console(stderr: bool = False) -> Console:
    """A console that takes text as it is; rich sees to it that colours need a terminal without NO_COLOR.

    It breaks no line of text: a path or a command that the terminal breaks is still copied whole.
    """
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH
    plain: Any = {"markup": False, "highlight": False, "emoji": False}
    return Console(stderr=stderr, width=width, soft_wrap=not stderr, **plain)


def table(*columns: Column | str) -> Table:
    """A table without frames, so that 80 columns hold more, and a pipe hardly anything but the cells."""
    return Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def print_json(value: Any) -> None:
    """`value` on standard output, secrets masked, dates as ISO 8601, ids as text."""
    print(json.dumps(redact_value(value), indent=2, ensure_ascii=False))


def sparkline(values: Sequence[float | None], stream_encoding: str | None = None) -> str:
    """One character a value between the smallest and the greatest of them; a space where there is none."""
    blocks = _BLOCKS if _shows_blocks(stream_encoding or sys.stdout.encoding) else _ASCII_BLOCKS
    present = [value for value in values if value is not None]
    if not present:
        return " " * len(values)
    low, span = min(present), max(present) - min(present)
    steps = len(blocks) - 1
    return "".join(
        " " if value is None else blocks[round((value - low) / span * steps) if span else steps // 2]
        for value in values
    )


def _shows_blocks(encoding: str) -> bool:
    try:
        _BLOCKS.encode(encoding)
    except UnicodeEncodeError:
        return False
    return not (sys.stdout.isatty() and os.environ.get("TERM") in _POOR_TERMINALS)


@contextmanager
def progress(what: str, done: Callable[[], int] | None = None) -> Iterator[None]:
    """A bar on standard error for as long as the block runs, once that has taken two seconds.

    `done` is asked for the number of finished documents, users, …; without it there is only a spinner.
    Nothing is shown unless both standard streams are a terminal: elsewhere the log lines tell the progress,
    and a bar would run into what `| tee` shows on the same screen.
    """
    screen = console(stderr=True)
    if not (screen.is_terminal and sys.stdout.isatty()) or screen.is_dumb_terminal:
        yield
        return
    finished = threading.Event()
    thread = threading.Thread(target=_show, args=(screen, finished, what, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _show(screen: Console, finished: threading.Event, what: str, done: Callable[[], int] | None) -> None:
    if finished.wait(_BAR_AFTER_SECONDS):
        return
    # Lines printed meanwhile go above the bar.
    count = [TextColumn("{task.completed:,.0f} done")] if done else []
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), *count, TimeElapsedColumn()
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(what, total=None)
        while not finished.wait(_REFRESH_SECONDS):
            if done is not None:
                bar.update(task, completed=done())
