"""Tiles of figures, three a row, each with how it differs from the span of the same length before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import streamlit as st

from dashboard.text import plain, signed

_ROW: Final = 3
Good = Literal["normal", "inverse", "off"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure: its `name`, the text `shown`, a sentence of `help`; its number `now` and `before`.

    `good` tells whether more is better ("normal"), worse ("inverse") or neither ("off").
    """

    name: str
    shown: str
    help: str
    now: float | None = None
    before: float | None = None
    good: Good = "normal"


def render(tiles: Sequence[Tile]) -> None:
    """Draw them in rows of three, which become one column on a narrow screen."""
    for first in range(0, len(tiles), _ROW):
        for column, tile in zip(st.columns(_ROW), tiles[first : first + _ROW], strict=False):
            with column:
                _draw(tile)


def _draw(tile: Tile) -> None:
    change = percent_change(tile.now, tile.before)
    st.metric(
        tile.name,
        plain(tile.shown),
        # Streamlit takes the arrow from the sign, which it knows as a hyphen.
        None if change is None else signed(change).replace("−", "-"),
        delta_color="off" if not change else tile.good,
        border=True,
        help=tile.help,
    )


def percent_change(now: float | None, before: float | None) -> float | None:
    """The change from `before` to `now` in percent; None where there is nothing to compare with."""
    return None if now is None or not before else 100 * (now - before) / before
