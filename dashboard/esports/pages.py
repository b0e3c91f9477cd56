"""The pages of the esports system."""

from __future__ import annotations

from dashboard.data.esports_data import EsportsData
from dashboard.esports import matches, players
from dashboard.page import Page
from settings import Settings


def pages(settings: Settings) -> list[Page]:
    """Those of an installation."""
    data = EsportsData(settings.esports_output_path)
    return [
        Page("Matches", "matches", matches.render, data),
        Page("Players", "players", players.render, data),
    ]


def demo_pages() -> list[Page]:
    """Those of a simulated season that goes on meanwhile."""
    from dashboard.background import run_demo
    from dashboard.esports.demo import play

    return pages(run_demo(play))
