"""The navigation: a group for each pipeline that has pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import streamlit as st

from dashboard.page import Page

# Streamlit writes white on the theme's primary colour, which in the dark is a light one: it is text, too.
_LEGIBLE: Final = """<style>
.stApp [data-testid^="stBaseButton-primary"]:enabled,
.stApp [data-testid="stMultiSelectTagsContainer"] [data-tag] {color: light-dark(white, black)}
</style>"""


def run(groups: Mapping[str, Sequence[Page]]) -> None:
    """Draw the navigation and the chosen page, which refreshes itself unless that is switched off.

    `groups` has the pages by the group's title; the address without a path leads to the first of all.
    """
    st.html(_LEGIBLE)
    listed = {
        title: [st.Page(partial(_draw, page), title=page.title, url_path=page.address) for page in pages]
        for title, pages in groups.items()
    }
    group, (first, *_) = next(iter(listed.items()))
    # Streamlit's default page answers at no path but the empty one, and each page is to keep its own.
    door = st.Page(partial(st.switch_page, first), title=first.title, default=True, visibility="hidden")
    chosen = st.navigation({**listed, group: [door, *listed[group]]}, expanded=True)
    st.sidebar.toggle("Refresh by itself", value=True, key="refresh")
    chosen.run()


def _draw(page: Page) -> None:
    if page.every is None:
        page.render(page.data)
        return
    every = page.every if st.session_state.get("refresh", True) else None
    st.fragment(page.render, run_every=every)(page.data)
