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
