"""`pulse replay`: what a past batch wrote, computed anew in memory, and what would differ now."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from commands.common import AsJson, prepare


def replay(
    batch: Annotated[
        str,
        typer.Argument(
            metavar="BATCH",
            help="Which: batch_17 of the batch log (the newest of that name), the sparkJobId of a result, or "
            "its calculatedAt.",
        ),
    ],
    diff: Annotated[bool, typer.Option("--diff", help="Show each figure that would differ.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="With --diff: how many figures are shown at most.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Compute anew, in memory, what a past batch wrote: how much of it would differ now. Writes nothing."""
    from commands.replay_batch import replay_batch

    replay_batch(prepare(sys.stderr), batch, limit if diff else 0, as_json)
