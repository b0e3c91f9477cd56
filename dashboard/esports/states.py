"""The states of matches and players as people read them, and what to do when there is nothing to show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.data.delta import Tables
from dashboard.data.esports_data import Latest
from dashboard.text import ago, plain, short_time
from told import told

# The marks tell them apart without colour.
STATUSES: Final = {
    "live": "●\xa0live",
    "scheduled": "○\xa0scheduled",
    "finished": "✓\xa0finished",
    "canceled": "×\xa0canceled",
    "postponed": "↷\xa0postponed",
    "active": "✓\xa0active",
    "inactive": "–\xa0inactive",
    "unknown": "?\xa0unknown",
}


def text(value: Any, otherwise: str = "–") -> str:
    """A stored text, or `otherwise` where there is none."""
    return otherwise if value is None or pd.isna(value) or value == "" else str(value)


def team(row: Mapping[str, Any], side: int) -> str:
    """The name of the first or second team of a match, its id where the name is missing."""
    return text(row[f"team_{side}_name"], text(row[f"team_{side}_id"], "unknown team"))


def teams(row: Mapping[str, Any]) -> str:
    """`First – Second` of a match."""
    return " – ".join(team(row, side) for side in (1, 2))


def ended(moment: datetime | None) -> str:
    """When a match ended, or a dash."""
    return "–" if moment is None or pd.isna(moment) else short_time(moment)


def newest(latest: Latest) -> tuple[str, str]:
    """The figure of the newest batch."""
    moment = latest.newest
    return ago(moment, datetime.now(timezone.utc)) if moment else "–", "When the service last wrote a batch."


def has_rows(latest: Latest, output: Path | Tables, what: str, days: int) -> bool:
    """Whether there is something to show; if not, the page says why and what to do.

    `what` is what was not found, such as `No matches`.
    """
    if not latest.is_whole:
        st.warning(
            f"There are too many small files, so the oldest were left out: run `{told('esports compact')}`.",
            icon=":material/warning:",
        )
    if not latest.rows.empty:
        return True
    if latest.newest is None:
        frame.hint(
            f"{plain(output)} holds no batch. Start the service with `{told('esports run')}`, "
            f"or look at simulated matches: `{told('esports demo')}`. If it runs already, compare its "
            "ESPORTS_OUTPUT_PATH or ESPORTS_DELTA_PATH with the dashboard's."
        )
    else:
        frame.hint(f"{what} in the {days} days before the newest batch.")
    return False
