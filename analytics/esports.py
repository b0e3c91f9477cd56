"""Which matches and players count, and the columns they have.

Pure expressions of Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Field by field, in the order of the columns; the types are Spark's.
MATCH_FIELDS: Mapping[str, str] = {
    "match_id": "STRING",
    "game_id": "STRING",
    "platform_game_id": "STRING",
    "tournament_id": "STRING",
    "tournament_name": "STRING",
    "game_version": "STRING",
    "patch": "STRING",
    "team_1_id": "STRING",
    "team_1_name": "STRING",
    "team_2_id": "STRING",
    "team_2_name": "STRING",
    "winner_id": "STRING",
    "winner_name": "STRING",
    "match_duration": "INT",
    "team_1_kills": "INT",
    "team_1_gold": "INT",
    "team_1_towers": "INT",
    "team_2_kills": "INT",
    "team_2_gold": "INT",
    "team_2_towers": "INT",
    "game_number": "INT",
    "status": "STRING",
    "started_at": "TIMESTAMP",
    "finished_at": "TIMESTAMP",
    "match_type": "STRING",
    "data_source": "STRING",
    "ingestion_timestamp": "BIGINT",
}
PLAYER_FIELDS: Mapping[str, str] = {
    "player_id": "STRING",
    "summoner_name": "STRING",
    "game_name": "STRING",
    "tag_line": "STRING",
    "first_name": "STRING",
    "last_name": "STRING",
    "nickname": "STRING",
    "nationality": "STRING",
    "current_team_id": "STRING",
    "current_team_name": "STRING",
    "role": "STRING",
    "active": "BOOLEAN",
    "professional": "BOOLEAN",
    "total_games": "INT",
    "total_wins": "INT",
    "total_losses": "INT",
    "win_rate": "DOUBLE",
    "avg_kills": "DOUBLE",
    "avg_deaths": "DOUBLE",
    "avg_assists": "DOUBLE",
    "kda_ratio": "DOUBLE",
    "avg_cs_per_min": "DOUBLE",
    "avg_gold_per_min": "DOUBLE",
    "last_match_date": "TIMESTAMP",
    "profile_updated_at": "TIMESTAMP",
    "recent_form": "STRING",
    "data_source": "STRING",
    "ingestion_timestamp": "BIGINT",
}
# Where each row came from: no two rows of a dataset have the same.
ORIGIN_FIELDS: Mapping[str, str] = {
    "kafka_topic": "STRING",
    "kafka_partition": "INT",
    "kafka_offset": "BIGINT",
    "kafka_timestamp": "TIMESTAMP",
}
# The value of a partition that a record does not give, or gives as nothing we know.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What one topic's records look like, and how the folder they become is partitioned.

    `partitions` are columns of the path, below `batch=…`, and not in the files.
    """

    name: str
    key: str
    fields: Mapping[str, str]
    partitions: tuple[str, ...]


MATCHES = Dataset("matches", "match_id", MATCH_FIELDS, ("status",))
PLAYERS = Dataset("players", "player_id", PLAYER_FIELDS, ("status", "role"))
DATASETS = (MATCHES, PLAYERS)
