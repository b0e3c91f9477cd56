"""`pulse explain`: how a result of one user comes about, and whether it is the stored one."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Annotated, Any

import typer

from commands.common import AsJson, one_of, prepare
from contracts.health import METRICS, RANGE_NAMES


def _named(name: str, values: Collection[str]) -> dict[str, Any]:
    return {**one_of(values), "metavar": name}


def explain(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose: an id or an e-mail.")],
    metric: Annotated[
        str, typer.Argument(help=f"Of what: {', '.join(METRICS)}.", **_named("METRIC", METRICS))
    ],
    time_range: Annotated[
        str,
        typer.Argument(help=f"Over how many days: {', '.join(RANGE_NAMES)}.", **_named("RANGE", RANGE_NAMES)),
    ],
    correct: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DAY=VALUE",
            help="Also what it would be if this day had this value, or none (2026-01-31=); may come again.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How a result comes about: its days, those left out and why, each formula with its numbers."""
    from commands.explain_user import explain_user

    explain_user(prepare(sys.stderr), user, (metric, time_range), correct or [], as_json)
