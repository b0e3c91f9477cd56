"""The esports pipeline under crash loops: messages of matches and players, some of them broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import duckdb

from tests.chaos.servers import Surroundings
from tests.chaos.stream import StreamWorkload, Tag, kafka_claims
from tests.support.arena import Arena, Topics, match, player
from tests.support.job import environment_of
from tests.support.world import encode

_PARTITIONS = 2


class EsportsWorkload(StreamWorkload):
    """See `Workload`; a tag is topic, partition and offset with the values that must be there."""

    name = "esports"
    settings = {"ESPORTS_INTERVAL_SECONDS": "0.5"}  # noqa: RUF012
    cuts = {"KAFKA_MAX_OFFSETS_PER_TRIGGER": "40"}  # noqa: RUF012
    arguments = ("--pipeline", "esports")
    beside = {"compact": ("main.py", "esports", "compact")}  # noqa: RUF012

    def __init__(self, around: Surroundings, seed: int) -> None:
        servers, door = around.kafka()
        self._topics = Topics(servers)
        self._topics.create(self._topics.matches, self._topics.players, partitions=_PARTITIONS)
        self.world = Arena(around.data, self._topics, **around.folders)
        through = {**environment_of(self.world.settings), "KAFKA_BOOTSTRAP_SERVERS": door, **self.settings}
        super().__init__(around, through, seed)
        self._number = 0

    @property
    def kinds(self) -> Mapping[str, tuple[int, Callable[[], None]]]:
        """What a season sends."""
        return {
            "match": (6, self._match),
            "matches at once": (2, lambda: self._match(25)),
            "player": (4, self._player),
            "bad record": (2, self._err),
        }

    def prepare(self) -> None:
        """A few of each."""
        self._match(30)
        self._player(10)

    def _match(self, count: int = 1) -> None:
        for _ in range(count):
            made = match(self._next(), team_1_kills=self.rng.randrange(40))
            self._send(self._topics.matches, made, (made["match_id"], made["team_1_kills"]))

    def _player(self, count: int = 1) -> None:
        for _ in range(count):
            made = player(self._next(), total_games=self.rng.randrange(400))
            self._send(self._topics.players, made, (made["player_id"], made["total_games"]))

    def _err(self) -> None:
        number = self._next()
        bad: list[tuple[str, Mapping[str, Any] | str, str]] = [
            (self._topics.matches, match(number, team_1_kills="many"), "invalid_team_1_kills"),
            (self._topics.matches, f'{{"match_id": "cut off {number}', "corrupt"),
            (self._topics.players, player(number, player_id=""), "missing_player_id"),
        ]
        topic, event, reason = self.rng.choice(bad)
        self.refused[(encode(event) or b"").decode()] = reason
        self._send(topic, event, None)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _send(self, topic: str, event: Mapping[str, Any] | str, values: tuple[Any, ...] | None) -> None:
        partition = self.rng.randrange(_PARTITIONS)
        place = (topic, partition)
        offset = len(self.sent.get(place, []))
        self._topics.send(topic, [event], partition)
        self.note(place, values and (*place, offset, *values))

    def claims(self) -> dict[Hashable, int]:
        """See StreamWorkload."""
        folder = self.data / "spark-checkpoints" / "esports"
        return kafka_claims([folder / "matches", folder / "players"])

    def stored(self) -> Counter[Tag]:
        """The rows of both datasets, as a reader finds them who resolves the link once."""
        place = "kafka_topic, kafka_partition, kafka_offset"
        matches = self._rows("matches", f"{place}, match_id, team_1_kills")
        return Counter([*matches, *self._rows("players", f"{place}, player_id, total_games")])

    def _rows(self, dataset: str, columns: str) -> list[tuple[Any, ...]]:
        folder = (self.world.settings.esports_output_path / dataset).resolve()
        if not any(folder.rglob("*.parquet")):
            return []
        with duckdb.connect() as connection:
            files = f"read_parquet('{folder}/**/*.parquet', hive_partitioning=true, union_by_name=true)"
            return connection.execute(f"SELECT {columns} FROM {files}").fetchall()
