"""The output of commands: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

from monitoring.logs import redact_value

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
