"""The navigation: Home, and a group for each pipeline that is set up."""

from __future__ import annotations

from functools import partial
from typing import Final

import streamlit as st

from dashboard import home, standing
from dashboard.home import HomeData
from dashboard.lookout import Lookout
from dashboard.page import Page, Room
from dashboard.text import plain

_PRODUCT: Final = "Pulse"
# So often a page looks whether its simulation can be seen.
_STARTING_SECONDS: Final = 2
# Streamlit writes white on the theme's primary colour, which in the dark is a light one: it is text, too.
# Digits are equally wide everywhere, so that a figure that refreshes moves nothing.
_LOOK: Final = """<style>
.stApp [data-testid^="stBaseButton-primary"]:enabled,
.stApp [data-testid="stMultiSelectTagsContainer"] [data-tag] {color: light-dark(white, black)}
.stApp {font-variant-numeric: tabular-nums}
</style>"""


def run(lookout: Lookout) -> None:
    """Draw the navigation and the chosen page, which refreshes itself unless that is switched off.

    The address without a path is the home page's; the page of a pipeline that is not set up is not listed,
    and has its address all the same.
    """
    st.html(_LOOK)
    lookout.begin()
    links = {
        room.title: [
            st.Page(
                partial(_draw, page, room, lookout),
                title=page.title,
                url_path=page.address,
                visibility="visible" if lookout.is_shown(room) else "hidden",
            )
            for page in room.pages
        ]
        for room in lookout.rooms
    }
    first = st.Page(
        partial(_draw_home, HomeData(lookout, links)), title="Home", icon=":material/home:", default=True
    )
    groups = {f"{room.icon} {plain(room.title)}": links[room.title] for room in lookout.rooms}
    common = [
        st.Page(partial(_draw_common, page), title=page.title, url_path=page.address, icon=page.icon)
        for page in lookout.common
    ]
    chosen = st.navigation({"": [first, *common], **groups}, expanded=True)
    room = next((room for room in lookout.rooms if chosen in links[room.title]), None)
    # Of a page's own icon Streamlit would fetch a picture for the browser's tab from elsewhere.
    st.set_page_config(
        page_title=f"{chosen.title} · {room.title if room else _PRODUCT}",
        page_icon=room.mark if room else "📈",
    )
    st.sidebar.toggle("Refresh by itself", value=True, key="refresh")
    chosen.run()


def _every(seconds: int | None) -> int | None:
    return seconds if st.session_state.get("refresh", True) else None


def _draw_home(data: HomeData) -> None:
    st.fragment(home.render, run_every=_every(home.REFRESH_SECONDS))(data)


def _draw_common(page: Page) -> None:
    if page.every is None:
        _render(page)
        return
    st.fragment(_render, run_every=_every(page.every))(page)


def _draw(page: Page, room: Room, lookout: Lookout) -> None:
    if not room.is_there:
        st.title(page.title, anchor=False)
        st.fragment(_wait, run_every=_STARTING_SECONDS)(room)
        return
    if page.every is None:
        st.fragment(standing_of, run_every=_every(30))(room, lookout)
        _render(page)
        return
    st.fragment(_with_standing, run_every=_every(page.every))(page, room, lookout)


def _wait(room: Room) -> None:
    """Say what a simulation does, until the page can be drawn."""
    if room.is_there:
        st.rerun()
    standing.starting(room)


def _with_standing(page: Page, room: Room, lookout: Lookout) -> None:
    standing_of(room, lookout)
    _render(page)


def standing_of(room: Room, lookout: Lookout) -> None:
    """Draw the state of the pipeline of `room`."""
    standing.draw(room.title, lookout.of(room))


def _render(page: Page) -> None:
    if page.note:
        st.info(page.note, icon=":material/info:")
    page.render(page.data)
