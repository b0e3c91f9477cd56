"""A bar on a terminal while long work runs, and the step of the first batch."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_BAR_AFTER_SECONDS = 2.0
_REFRESH_SECONDS = 0.25


@contextmanager
def progress(what: str | Callable[[], str | None], done: Callable[[], int] | None = None) -> Iterator[None]:
    """A bar on standard error for as long as the block runs, once that has taken two seconds.

    `what` says what runs; where it is asked for that again and again, the bar goes for good with its None.
    `done` is asked for the number of finished documents, users, …; without it there is only a spinner.
    Nothing is shown unless both standard streams are a terminal: elsewhere the log lines tell the progress,
    and a bar would run into what `| tee` shows on the same screen.
    """
    screen = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not (screen.is_terminal and sys.stdout.isatty()) or screen.is_dumb_terminal:
        yield
        return
    finished = threading.Event()
    asked = what if callable(what) else lambda: what
    thread = threading.Thread(target=_show, args=(screen, finished, asked, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def _show(
    screen: Console,
    finished: threading.Event,
    what: Callable[[], str | None],
    done: Callable[[], int] | None,
) -> None:
    if finished.wait(_BAR_AFTER_SECONDS) or (told := what()) is None:
        return
    # Lines printed meanwhile go above the bar.
    count = [TextColumn("{task.completed:,.0f} done")] if done else []
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), *count, TimeElapsedColumn()
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(told, total=None)
        while not finished.wait(_REFRESH_SECONDS) and (told := what()) is not None:
            bar.update(task, description=told, completed=done() if done else None)
