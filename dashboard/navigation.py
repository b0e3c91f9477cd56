"""The pages by group: a pipeline that gets pages of its own adds a group here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard.data.health_data import HealthData
from dashboard.health import anomalies, overview, pipeline, user

_REFRESH_SECONDS: Final = 30

# Group: (title, address, page).
_HEALTH: Final[tuple[tuple[str, str, Callable[[HealthData], None]], ...]] = (
    ("Overview", "overview", overview.render),
    ("User", "user", user.render),
    ("Anomalies", "anomalies", anomalies.render),
    ("Pipeline", "pipeline", pipeline.render),
)


def run(health: HealthData) -> None:
    """Draw the navigation and the chosen page, which refreshes itself unless that is switched off."""
    page = st.navigation(_groups(health), expanded=True)
    st.sidebar.toggle(f"Refresh every {_REFRESH_SECONDS} seconds", value=True, key="refresh")
    page.run()


def _groups(health: HealthData) -> Mapping[str, list[StreamlitPage]]:
    pages = [
        st.Page(
            partial(_refreshing, render, health),
            title=title,
            url_path=path,
            default=path == "overview",
        )
        for title, path, render in _HEALTH
    ]
    return {"Health": pages}


def _refreshing(render: Callable[[HealthData], None], health: HealthData) -> None:
    every = _REFRESH_SECONDS if st.session_state.get("refresh", True) else None
    st.fragment(render, run_every=every)(health)
