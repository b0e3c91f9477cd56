"""Options before a command are the command's: `--pipeline stock check` is `check --pipeline stock`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup


class OptionsFirst(TyperGroup):
    """Hands options that stand before a command on to it, which refuses those that it does not have."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that `args` name; its options begin with those that this group was given."""
        name, command, rest = super().resolve_command(ctx, args)
        place, leaf = 0, command
        while place < len(rest) and rest[place] in getattr(leaf, "commands", ()):
            leaf = leaf.commands[rest[place]]  # type: ignore[union-attr]
            place += 1
        early = [token for option in _given(self, ctx, leaf, rest[place:]) for token in option]
        return name, command, [*rest[:place], *early, *rest[place:]]


def _given(group: TyperGroup, ctx: Any, leaf: Any, late: list[str]) -> Iterator[tuple[str, ...]]:
    """The options of `group` that the command line has for `leaf`; none has two values.

    One that says what is so without it is no fault of a command that does not have it.
    """
    has = {option.name for option in leaf.params}
    for option in group.params:
        source, name = ctx.get_parameter_source(option.name), option.opts[0]
        if source is None or source.name != "COMMANDLINE":
            continue
        if getattr(option, "is_flag", False):
            yield (name,)
            continue
        if option.name not in has and ctx.params[option.name] == option.default:
            continue
        if any(token.partition("=")[0] == name for token in late):
            ctx.fail(f"{name} stands before and behind the command.")
        yield name, str(ctx.params[option.name])
