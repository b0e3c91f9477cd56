"""The pages of the esports system, and the verdict on its data."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dashboard.data.condition import Signs
from dashboard.data.delta import Tables
from dashboard.data.esports_data import MATCH_DAYS, EsportsData
from dashboard.data.service_files import ServiceFiles
from dashboard.esports import matches, players
from dashboard.page import Page, Room, Verdict, is_set
from dashboard.text import counted
from settings import Settings

_OWN: Final = ("esports_output_path", "esports_delta_path", "kafka_topic_matches", "kafka_topic_players")


def pages(settings: Settings) -> Room:
    """Those of an installation."""
    tables = settings.esports_delta_path
    data = EsportsData(Tables(tables, settings.object_store) if tables else settings.esports_output_path)
    return Room(
        title="Esports",
        icon=":material/sports_esports:",
        mark="🎮",
        pages=[
            Page("Matches", "matches", matches.render, data),
            Page("Players", "players", players.render, data),
        ],
        files=ServiceFiles(
            "esports", settings.log_directory, settings.metrics_directory, settings.esports_interval_seconds
        ),
        verdict=lambda signs, _now: judge(data, signs),
        is_set=is_set(settings, _OWN),
    )


def judge(data: EsportsData, signs: Signs) -> Verdict:
    """What is being played, and how much was played."""
    loaded = data.matches()
    latest = loaded.value
    found = signs.with_results(latest.newest if latest else None, loaded.fault)
    if latest is None or latest.newest is None:
        return Verdict("", found, has_data=False)
    live, finished = (int((latest.rows["status"] == status).sum()) for status in ("live", "finished"))
    playing = f"**{counted(live, 'match', 'matches')}** under way" if live else "No match is under way"
    return Verdict(f"{playing}; {finished:,} finished in {MATCH_DAYS} days.", found)


def demo_pages(folder: Path) -> Room:
    """Those of a simulated season that goes on meanwhile."""
    from dashboard.esports.demo import play

    return play(folder, pages)
