"""Makes the things that all sessions share, once a process: settings, logs, each pipeline's room."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Final

import streamlit as st

from contracts import ConfigurationError
from dashboard import break_it, letters
from dashboard.background import start_all
from dashboard.entrance import open_entrance
from dashboard.letter_commands import LetterCommands
from dashboard.lookout import Lookout
from dashboard.page import Page, Room
from monitoring import logs
from monitoring.act_log import ActLog
from pipelines.catalog import PIPELINES
from settings import Settings, load

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
        rooms = [one.pages(settings) for one in PIPELINES.values() if one.pages]
        return Lookout(rooms, common=[_letters(settings)])
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
    return Lookout(rooms, common=_break_it(rooms))


def _break_it(rooms: Sequence[Room]) -> Sequence[Page]:
    """The page on which the demos of `rooms` are struck, where one of them can say something of it."""
    struck = [room for room in rooms if room.rig]
    if not struck:
        return ()
    return (Page(break_it.TITLE, "break-it", break_it.render, struck, every=2, icon=":material/bolt:"),)


def _letters(settings: Settings) -> Page:
    """The page of the dead letters of all pipelines."""
    queues = [
        # The name of a server may have to be looked up for it, and a folder made readable meanwhile.
        letters.Queue(one.name, one.title, cache(partial(one.open_desk, settings)), one.letters_are_of_users)
        for one in PIPELINES.values()
    ]
    commands = LetterCommands(ActLog(settings.log_directory, settings.secrets()))
    data = letters.LettersData(queues, open_entrance(settings.passwords, settings.dashboard_roles), commands)
    return Page("Dead letters", "letters", letters.render, data, every=None, icon=":material/mail_off:")
