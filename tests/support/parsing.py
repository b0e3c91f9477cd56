"""Judges a command line by the parser that would read it; nothing is run."""

from __future__ import annotations

from typing import Any

import typer

# typer brings a copy of click and shows only some of it.
_UsageError: Any = typer.BadParameter.__bases__[0]


def misuse(command: Any, arguments: list[str]) -> str:
    """Why these arguments are wrong for the command; empty when they are right."""
    name, context = "command", None
    try:
        while True:
            context = command.make_context(name, arguments, parent=context)
            arguments = [*getattr(context, "_protected_args", ()), *context.args]
            if not (arguments and hasattr(command, "resolve_command")):
                return ""
            name, command, arguments = command.resolve_command(context, arguments)
    except _UsageError as error:
        return str(error.format_message())
    except typer.Exit:  # --help
        return ""
