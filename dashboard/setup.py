"""Makes the things that all sessions share, once a process: settings, logs, each pipeline's room."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import streamlit as st

from contracts import ConfigurationError
from dashboard.background import start_all
from dashboard.lookout import Lookout
from monitoring import logs
from pipelines.catalog import PIPELINES
from settings import load

# The folders of demos, which live as long as the process.
_folders: Final[list[tempfile.TemporaryDirectory[str]]] = []


@st.cache_resource(show_spinner="Starting")
def open_rooms(demo: bool, named: str | None) -> Lookout:
    """The rooms of an installation, or with `demo` those of simulations, of which `named` chooses one.

    The simulations start behind the pages, one after the other.
    Raises ConfigurationError when the settings are wrong, or there is no such demo.
    """
    if not demo:
        settings = load()
        logs.configure(settings.log_level, settings.secrets(), settings.log_json)
        return Lookout([one.pages(settings) for one in PIPELINES.values() if one.pages])
    chosen = {name: one.demo_pages for name, one in PIPELINES.items() if one.demo_pages}
    if named is not None:
        if named not in chosen:
            raise ConfigurationError(
                f"{named} has no demo in the dashboard; these have: {', '.join(chosen)}."
            )
        chosen = {named: chosen[named]}
    logs.configure("WARNING")
    _folders.append(tempfile.TemporaryDirectory(prefix="demo-"))
    folder = Path(_folders[-1].name)
    rooms = [pages(folder / name) for name, pages in chosen.items()]
    start_all([room.simulation for room in rooms if room.simulation])
    return Lookout(rooms)
