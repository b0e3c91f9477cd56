"""The output of commands: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from monitoring.logs import redact_value

# A pipe has no width; cells that are cut there would be lost to grep and awk.
_PIPE_WIDTH = 1_000
# What stands in for a word: characters that no text has, each one column wide.
_STAND_IN, _STAND_IN_WIDTH = 0xF0000, 24
_MARKS = re.compile(r"([\U000f0000-\U000ffffd])\1*( *)")
_LONG = re.compile(rf"\S{{{_STAND_IN_WIDTH + 1},}}")
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


class WholeWords(Table):
    """A table that breaks no word: a path that is too long for its column goes on beyond it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out with stand-ins for the words that are too long, which then take their places."""
        wide = options.update(max_width=_PIPE_WIDTH)
        if Measurement.get(console, wide, self).minimum <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        words: dict[str, str] = {}

        def stand_in(word: str) -> str:
            mark = chr(_STAND_IN + len(words))
            words[mark] = word
            return mark * _STAND_IN_WIDTH

        def whole(marks: re.Match[str]) -> str:
            word = words.pop(marks[1], "")
            return word + marks[2][max(0, len(word) - len(marks[0]) + len(marks[2])) :]

        short = Table(*(column.copy() for column in self.columns), box=self.box, padding=self.padding)
        short.show_edge, short.pad_edge = self.show_edge, self.pad_edge
        for row in zip(*(column.cells for column in self.columns), strict=True):
            short.add_row(*(_shortened(cell, stand_in) for cell in row))
        for part in console.render(short, options):
            yield part._replace(text=_MARKS.sub(whole, part.text))


def _shortened(cell: RenderableType, stand_in: Callable[[str], str]) -> Text:
    text = cell if isinstance(cell, Text) else Text(str(cell))
    short, end = Text(style=text.style), 0
    for word in _LONG.finditer(text.plain):
        short.append_text(text[end : word.start()]).append(stand_in(word[0]))
        end = word.end()
    return short.append_text(text[end:])


def table(*columns: Column | str) -> Table:
    """A table without frames, so that 80 columns hold more, and a pipe hardly anything but the cells."""
    return WholeWords(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


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
