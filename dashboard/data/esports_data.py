"""Everything the esports pages show, each part with its age; the pages ask nothing else for data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

import duckdb
import pandas as pd

from dashboard.data.delta import Table, TableError, Tables
from dashboard.data.esports_latest import NEWEST, ORDER, LatestRows
from dashboard.data.parquet import FAULTS, find_files, read
from dashboard.data.remembered import Loaded, Remembered
from monitoring.logs import get_logger
from told import told

logger = get_logger(__name__)

_AGE_SECONDS: Final = 10.0
_HOUR, _DAY = 3_600.0, 86_400.0
# How far back the pages look from the newest batch: the rows to read then depend on how many come, not on how
# long they have been coming. A match under way gets rows all the time, so its last row is never old.
LIVE_HOURS: Final = 12
MATCH_DAYS: Final = 7
PLAYER_DAYS: Final = 30
# The number of newest ones that are kept in memory and offered.
MOST_MATCHES: Final = 20_000
MOST_PLAYERS: Final = 20_000

_SIDES = [f"team_{side}_{what}" for side in (1, 2) for what in ("id", "name", "kills", "gold", "towers")]
MATCH_COLUMNS: Final = [
    "match_id", "status", *_SIDES, "winner_id", "winner_name", "match_duration", "game_number",
    "tournament_name", "match_type", "started_at", "finished_at",
]  # fmt: skip
PLAYER_COLUMNS: Final = [
    "player_id", "status", "nickname", "first_name", "last_name", "current_team_name", "role", "nationality",
    "total_games", "total_wins", "win_rate", "kda_ratio", "avg_kills", "avg_deaths", "avg_assists",
    "recent_form",
]  # fmt: skip
COURSE_COLUMNS: Final = ["minute", "gold", "kills", "kills_1", "kills_2", "towers_1", "towers_2"]
# The states of matches that are no longer under way or announced are read, too.
_SETTLED: Final = ("scheduled", "finished", "canceled", "postponed")


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest row of each key; `newest` is when the newest batch was written, None without one.

    `is_whole` tells that no file was left out because there are too many.
    """

    rows: pd.DataFrame
    newest: datetime | None
    is_whole: bool = True


class Reads:
    """What was read before: of matches under way, of the others, and of players."""

    def __init__(self) -> None:
        self.under_way = LatestRows(MATCH_COLUMNS, LIVE_HOURS * _HOUR, MOST_MATCHES)
        self.settled = LatestRows(MATCH_COLUMNS, MATCH_DAYS * _DAY, MOST_MATCHES)
        self.players = LatestRows(PLAYER_COLUMNS, PLAYER_DAYS * _DAY, MOST_PLAYERS)


class EsportsData:
    """Reads of the datasets below `output`, a folder or Delta tables, remembered for all sessions."""

    def __init__(self, output: Path | Tables) -> None:
        self.output = output
        self._matches = Remembered(_explain, FAULTS)
        self._players = Remembered(_explain, FAULTS)
        self._reads = Reads()

    def matches(self) -> Loaded[Latest]:
        """The newest state of each match, the latest first."""
        return self._matches.get(
            "matches", lambda: read_matches(self.output / "matches", self._reads), _AGE_SECONDS
        )

    def players(self) -> Loaded[Latest]:
        """The newest profile of each player, the latest first."""
        return self._players.get(
            "players", lambda: read_players(self.output / "players", self._reads), _AGE_SECONDS
        )

    def course(self, match_id: str) -> Loaded[pd.DataFrame]:
        """The course of a match by `minute` (COURSE_COLUMNS), a row each.

        `gold` and `kills` are the first team's lead; `kills_1` … `towers_2` what each team had by then.
        """
        return self._matches.get(
            f"course {match_id}", lambda: read_course(self.output / "matches", match_id), _AGE_SECONDS
        )


def read_matches(dataset: Path | Table, reads: Reads | None = None) -> Latest:
    """Read the matches of the last days, those under way of the last hours, each in its newest state."""
    reads = reads or Reads()
    # In this order a match that ends in between is seen twice, and its newer row counts.
    under_way = find_files(dataset, dict.fromkeys(("live", "unknown"), LIVE_HOURS * _HOUR))
    others = find_files(dataset, dict.fromkeys(_SETTLED, MATCH_DAYS * _DAY))
    parts = [reads.under_way.of(under_way), reads.settled.of(others)]
    found = [part for part in parts if not part.empty]
    rows = pd.concat(found, ignore_index=True) if found else parts[0]
    rows = rows.sort_values(list(ORDER), ascending=False).drop_duplicates("match_id", ignore_index=True)
    return Latest(rows, _moment(others.newest), under_way.is_whole and others.is_whole)


def read_players(dataset: Path | Table, reads: Reads | None = None) -> Latest:
    """Read the players with a profile of the last days, each in its newest state."""
    files = find_files(dataset, {"*": PLAYER_DAYS * _DAY})
    return Latest((reads or Reads()).players.of(files), _moment(files.newest), files.is_whole)


def read_course(dataset: Path | Table, match_id: str) -> pd.DataFrame:
    """Read the columns of EsportsData.course for a match of the last hours."""
    files = find_files(dataset, dict.fromkeys(("live", "unknown", "finished"), LIVE_HOURS * _HOUR))
    if files.is_empty:
        return pd.DataFrame(columns=COURSE_COLUMNS)
    values = {
        "gold": "team_1_gold - team_2_gold",
        "kills": "team_1_kills - team_2_kills",
        **{f"{what}_{side}": f"team_{side}_{what}" for what in ("kills", "towers") for side in (1, 2)},
    }
    columns = ", ".join(f"arg_max({value}, {NEWEST}) AS {name}" for name, value in values.items())
    return read(
        files,
        f"SELECT match_duration // 60 AS minute, {columns} "
        "FROM rows WHERE match_id = $match_id AND match_duration IS NOT NULL GROUP BY 1 ORDER BY 1",
        {"match_id": match_id},
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def _explain(error: Exception) -> str:
    """Returns a sentence with the remedy for `error`; logs the details."""
    logger.warning(
        f"The dashboard could not read the esports datasets: {str(error.__cause__ or error)[:500]}"
    )
    if isinstance(error, TableError):
        return str(error)
    if isinstance(error, duckdb.InterruptException):
        return f"Reading took too long: run {told('esports compact')}, it merges small files."
    if isinstance(error, PermissionError):
        return "The folder ESPORTS_OUTPUT_PATH may not be read by the dashboard's user."
    name = type(error).__name__
    return f"The Parquet in ESPORTS_OUTPUT_PATH cannot be read ({name}); the log tells which file."
