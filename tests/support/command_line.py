"""Runs a command in this process as `python main.py` would: with its exit code and what it prints."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import main
from commands.common import guarded


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def run_command(
    *arguments: str, answer: str = "", app: Callable[..., Any] = main.app, name: str = "main.py"
) -> Ended:
    """Run `arguments`; `answer` is what a person types, `name` the program's."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with patch("sys.stdin", io.StringIO(answer)), redirect_stdout(out), redirect_stderr(err):
        code = guarded(partial(app, list(arguments), standalone_mode=False, prog_name=name))
    return Ended(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))
