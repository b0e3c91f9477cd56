"""Home: a verdict on each pipeline, and the way to its pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import frame, standing
from dashboard.data.condition import WORKS
from dashboard.lookout import Lookout, Outlook
from dashboard.page import Room
from dashboard.text import plain
from dashboard.visitor import reader_zone
from told import told

REFRESH_SECONDS: Final = 5


@dataclass(frozen=True)
class HomeData:
    """What is asked of the rooms, and the `links` to the pages of each, by its title."""

    lookout: Lookout
    links: Mapping[str, Sequence[StreamlitPage]]


def render(data: HomeData) -> None:
    """Draw the page."""
    rooms = [room for room in data.lookout.rooms if data.lookout.is_shown(room)]
    # Of a simulation that is not there yet a server would only be missed.
    outlooks = data.lookout.all([room for room in rooms if room.is_there])
    frame.heading("Pulse", overall(rooms, outlooks) if data.lookout.is_anything_used() else _nothing())
    for first in range(0, len(rooms), 2):
        for room, column in zip(rooms[first : first + 2], st.columns(2), strict=False):
            with column:
                _card(room, outlooks.get(room.title), data.links[room.title])


def _nothing() -> str:
    return f"**Nothing is set up here yet.** `{told('dashboard --demo')}` shows all of it on simulations."


def overall(rooms: Sequence[Room], outlooks: Mapping[str, Outlook]) -> str:
    """The answer to whether everything works, in a sentence.

    `outlooks` lacks the rooms whose simulation cannot be seen.
    """
    starting = [room.title for room in rooms if room.title not in outlooks and not _has_failed(room)]
    others = [room.title for room in rooms if room.title not in starting]
    states = {title: outlooks[title].state if title in outlooks else "failed" for title in others}
    bad = {title: state for title, state in states.items() if state not in WORKS}
    if bad:
        said = ", ".join(f"{title} ({state})" for title, state in bad.items())
        rest = len(others) - len(bad)
        return f"**Look at {said}.**" + (f" {_works(rest)}" if rest else "")
    if not others:
        return "**The simulations start, one after the other.**"
    more = f" {', '.join(starting)}: starting." if starting else ""
    return f"**{_works(len(others), everything=not starting)}**{more}"


def _works(count: int, everything: bool = False) -> str:
    if count == 1:
        return "The pipeline works." if everything else "One pipeline works."
    return f"{'All ' if everything else ''}{count} pipelines work."


def _has_failed(room: Room) -> bool:
    return bool(room.simulation and room.simulation.fault)


def _card(room: Room, outlook: Outlook | None, links: Sequence[StreamlitPage]) -> None:
    with st.container(border=True, height="stretch"):
        st.header(f"{room.icon} {plain(room.title)}", anchor=False)
        if outlook:
            if sentence := _sentence(outlook):
                st.markdown(sentence)
            st.markdown(standing.line(outlook, reader_zone()))
        elif room.simulation:
            told = room.simulation.fault or f"The simulation is starting. {room.simulation.says}"
            st.markdown(plain(told))
        with st.container(horizontal=True, gap="small"):
            for link in links:
                st.page_link(link, width="content")


def _sentence(outlook: Outlook) -> str:
    """What the results say; why they cannot be read; nothing where the state says it all."""
    return standing.fault(outlook) or (outlook.verdict.sentence if outlook.verdict else "")
