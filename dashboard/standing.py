"""The line above each page: the state of its pipeline, and how old its data is."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard.data.condition import WORKS, State, Tone, explained, tone
from dashboard.lookout import Outlook
from dashboard.page import Room
from dashboard.text import NBSP, ago, local_time, plain, short_time
from dashboard.visitor import reader_zone

# Colour, and a sign that tells them apart without it.
_PILLS: Final[dict[State, tuple[str, str]]] = {
    "running": ("green", ":material/check_circle:"),
    "waiting": ("blue", ":material/hourglass_empty:"),
    "stale": ("orange", ":material/warning:"),
    "stopped": ("red", ":material/cancel:"),
    "not started": ("gray", ":material/radio_button_unchecked:"),
    "unknown": ("gray", ":material/help:"),
}
_AGES: Final[dict[Tone, tuple[str, str]]] = {
    "amber": ("orange", ":material/schedule: "),
    "red": ("red", ":material/error: "),
}


def line(outlook: Outlook, zone: ZoneInfo | None = None) -> str:
    """The pill of the state, and the age of the newest result, as Markdown.

    Times are UTC on all pages, so that people who speak of one mean the same; this one is also said in the
    reader's `zone`.
    """
    color, icon = _PILLS[outlook.state]
    parts = [f":{color}-badge[{icon} {outlook.state}]"]
    if outlook.verdict is None:
        return f"{parts[0]} It has not answered yet."
    signs, now = outlook.verdict.signs, outlook.now
    if signs.newest is not None:
        age, urgent = ago(signs.newest, now), _AGES.get(tone(signs.newest, signs.interval_seconds, now))
        shown = f":{urgent[0]}-badge[{urgent[1]}{age}]" if urgent else f"**{age}**"
        parts.append(
            f"Newest data {shown}, of {short_time(signs.newest)}{NBSP}UTC{local_time(signs.newest, zone)}."
        )
    if outlook.state not in WORKS:
        parts.append(explained(outlook.state))
    return " ".join(parts)


def fault(outlook: Outlook) -> str | None:
    """Why the results cannot be read, as Markdown; None while they can."""
    verdict = outlook.verdict
    return plain(verdict.signs.fault) if verdict and verdict.signs.fault else None


def draw(title: str, outlook: Outlook) -> None:
    """The line, for a page of the pipeline `title`."""
    st.markdown(f"**{plain(title)}** {line(outlook, reader_zone())}")


def starting(room: Room) -> None:
    """Say what the simulation of `room` does until there is something to see, or why it ended."""
    simulation = room.simulation
    if simulation and simulation.fault:
        st.error(plain(simulation.fault), icon=":material/error:")
    elif simulation:
        told = f"The simulation is starting. {plain(simulation.says)}"
        st.info(f"{told} This page opens by itself.", icon=":material/hourglass_empty:")
