"""`pulse explain`: how a result of one user comes about, and whether it is the stored one."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Annotated, Any

import typer

from commands.common import AsJson, one_of, prepare
from contracts.health import RANGE_NAMES
from contracts.health_metrics import METRICS


def _named(name: str, values: Collection[str]) -> dict[str, Any]:
    return {**one_of(values), "metavar": name}


def explain(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose: an id or an e-mail.")],
    metric: Annotated[
        str, typer.Argument(metavar="METRIC", help="Of what: steps or another name of the catalogue.")
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

    settings = prepare(sys.stderr)
    # Only the settings name the catalogue.
    if metric not in METRICS:
        fault = f"{metric!r} is not one of {', '.join(METRICS)}."
        raise typer.BadParameter(fault, ctx=context, param_hint="'METRIC'")
    explain_user(settings, user, (metric, time_range), correct or [], as_json)
