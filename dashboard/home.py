"""Home: a verdict on each pipeline, and the way to its pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import frame, standing
from dashboard.data.condition import WORKS, explained
from dashboard.lookout import Lookout, Outlook
from dashboard.page import Room
from dashboard.text import plain

REFRESH_SECONDS: Final = 5


@dataclass(frozen=True)
class HomeData:
    """What is asked of the rooms, and the `links` to the pages of each, by its title."""

    lookout: Lookout
    links: Mapping[str, Sequence[StreamlitPage]]


def render(data: HomeData) -> None:
    """Draw the page."""
    rooms = [room for room in data.lookout.rooms if data.lookout.is_shown(room)]
    outlooks = data.lookout.all(rooms)
    frame.heading("Pulse", overall(rooms, outlooks))
    for first in range(0, len(rooms), 2):
        for room, column in zip(rooms[first : first + 2], st.columns(2), strict=False):
            with column:
                _card(room, outlooks[room.title], data.links[room.title])


def overall(rooms: Sequence[Room], outlooks: Mapping[str, Outlook]) -> str:
    """The answer to whether everything works, in a sentence."""
    starting = [room.title for room in rooms if _is_starting(room)]
    others = [room.title for room in rooms if room.title not in starting]
    bad = [title for title in others if outlooks[title].state not in WORKS]
    if bad:
        said = ", ".join(f"{title} ({outlooks[title].state})" for title in bad)
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


def _is_starting(room: Room) -> bool:
    return bool(room.simulation and not room.simulation.is_shown and not room.simulation.fault)


def _card(room: Room, outlook: Outlook, links: Sequence[StreamlitPage]) -> None:
    with st.container(border=True, height="stretch"):
        st.subheader(f"{room.icon} {plain(room.title)}", anchor=False)
        if room.simulation and not room.simulation.is_shown:
            told = room.simulation.fault or f"The simulation is starting. {room.simulation.says}"
            st.markdown(plain(told))
        else:
            st.markdown(_sentence(outlook))
            st.markdown(standing.line(outlook))
        with st.container(horizontal=True, gap="small"):
            for link in links:
                st.page_link(link, width="content")


def _sentence(outlook: Outlook) -> str:
    verdict = outlook.verdict
    if verdict is None:
        return "It has not answered yet."
    if verdict.signs.fault:
        return f"{plain(verdict.signs.fault)}"
    return verdict.sentence or explained("not started")
