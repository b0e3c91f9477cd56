"""Rooms of the dashboard whose pipelines are in a state that the test says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import streamlit as st

from dashboard.background import Simulation
from dashboard.data.condition import Signs
from dashboard.data.service_files import ServiceFiles
from dashboard.page import Page, Room, Verdict

NOWHERE = Path("/nonexistent")
Judge = Callable[[Signs, datetime], Verdict]


def judged(
    age_seconds: float | None, sentence: str = "", fault: str | None = None, looked: float | None = None
) -> Judge:
    """Says `sentence`; the newest result is `age_seconds` old, and the last look `looked` seconds ago."""

    def verdict(signs: Signs, now: datetime) -> Verdict:
        newest = None if age_seconds is None else now - timedelta(seconds=age_seconds)
        seen = None if looked is None else now - timedelta(seconds=looked)
        found = Signs(signs.interval_seconds, looked=seen).with_results(newest, fault)
        return Verdict(sentence, found, has_data=newest is not None)

    return verdict


def _render(data: str) -> None:
    st.title(data)


def room(
    title: str,
    verdict: Judge,
    *,
    is_set: bool = True,
    simulation: Simulation | None = None,
    every: int | None = 30,
) -> Room:
    """A room of one page, at an address of its title, which shows its title."""
    page = Page(f"{title} page", title.lower(), _render, f"{title} itself", every)
    files = ServiceFiles(title.lower(), NOWHERE, NOWHERE, 60.0)
    return Room(title, ":material/favorite:", "💚", [page], files, verdict, is_set, simulation)
