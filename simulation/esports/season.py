"""A simulated season: series of matches between teams, and what the feed says of them and of the players."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from simulation.esports.match import PATCHES, Fixture, Match, Team, draw_length, draw_luck
from simulation.esports.player import ROLES, Player, draw_player

Topic = Literal["matches", "players"]

_PLACES: Final = ("Lisbon", "Oslo", "Seoul", "Austin", "Kraków", "Lyon", "Hanoi", "Recife", "İzmir", "Graz")
_ANIMALS: Final = ("Foxes", "Herons", "Otters", "Wolves", "Ravens")
_TOURNAMENTS: Final = (("T_SPRING", "Spring League"), ("T_CUP", "City Cup"), ("T_OPEN", "Open Qualifier"))
# The possible lengths of a series in games; the team that wins more than half of them wins it.
_LENGTHS: Final = (1, 3, 5)
_RETIRED: Final = 8
_LONGEST_BREAK_SECONDS: Final = 900


@dataclass(frozen=True, slots=True)
class Message:
    """One record for a topic; the key is the id of the match or player."""

    topic: Topic
    key: str
    value: bytes


@dataclass(slots=True)
class _Series:
    """Games of the same two teams, one after the other."""

    teams: tuple[Team, Team]
    tournament: tuple[str, str]
    length: int
    game: Match
    wins: list[int]


class Season:
    """`series` series at a time from `start` on; the same seed and moments give the same messages."""

    def __init__(self, seed: int | None, series: int, start: datetime, malformed: float = 0.0) -> None:
        """`malformed` is the share of messages that cannot be used; `start` is aware UTC."""
        self._rng = random.Random(seed)
        self._malformed = malformed
        self._matches = 0
        # Enough that a team is always free.
        self.teams = [self._team(number) for number in range(2 * series + 2)]
        self.players = list(self._draw_players())
        self._is_first = True
        self._series: list[_Series] = []
        for _ in range(series):
            self._series.append(self._new_series(start))

    def advance(self, now: datetime) -> Iterator[Message]:
        """What the feed says at `now`: every match under way, every profile that changed."""
        if self._is_first:
            self._is_first = False
            for player in self.players:
                yield self._message("players", player.id, player.message(now))
            for series in self._series:
                yield self._match(series.game, now)
        for index, series in enumerate(self._series):
            if series.game.advance(now, self._rng):
                yield self._match(series.game, now)
            if series.game.winner is not None:
                yield from self._finish(series, series.game.winner, now)
                self._series[index] = self._next(series, now)
                yield self._match(self._series[index].game, now)

    def _finish(self, series: _Series, winner: int, now: datetime) -> Iterator[Message]:
        game = series.game
        series.wins[winner] += 1
        minutes, ended = game.length / timedelta(minutes=1), game.fixture.starts_at + game.length
        for side in (0, 1):
            for player in self.players:
                if player.team is not None and player.team.id == series.teams[side].id:
                    player.play(
                        game.scores[side], game.scores[1 - side], side == winner, minutes, ended, self._rng
                    )
                    yield self._message("players", player.id, player.message(now))

    def _next(self, series: _Series, now: datetime) -> _Series:
        """The next game of the series, or another series once it is decided."""
        if max(series.wins) * 2 > series.length:
            return self._new_series(now, series)
        number = sum(series.wins) + 1
        series.game = self._game(series.teams, series.tournament, series.length, number, now)
        return series

    def _new_series(self, now: datetime, ended: _Series | None = None) -> _Series:
        busy = {team.id for series in self._series if series is not ended for team in series.teams}
        first, second = self._rng.sample([team for team in self.teams if team.id not in busy], 2)
        tournament, length = self._rng.choice(_TOURNAMENTS), self._rng.choice(_LENGTHS)
        game = self._game((first, second), tournament, length, 1, now)
        return _Series((first, second), tournament, length, game, [0, 0])

    def _game(
        self, teams: tuple[Team, Team], tournament: tuple[str, str], length: int, number: int, now: datetime
    ) -> Match:
        self._matches += 1
        fixture = Fixture(
            id=f"MATCH_{now:%Y%m%d%H%M%S}_{self._matches:06d}",
            tournament=tournament,
            teams=teams,
            number=number,
            match_type=f"best_of_{length}",
            patch=self._rng.choice(PATCHES),
            starts_at=now + timedelta(seconds=self._rng.randrange(_LONGEST_BREAK_SECONDS)),
        )
        return Match(fixture, draw_length(self._rng), draw_luck(self._rng))

    def _team(self, number: int) -> Team:
        place, animal = _PLACES[number % len(_PLACES)], _ANIMALS[number // len(_PLACES) % len(_ANIMALS)]
        return Team(f"TEAM_{number + 1:03d}", f"{place} {animal}", self._rng.uniform(0.94, 1.06))

    def _draw_players(self) -> Iterator[Player]:
        number = 0
        for team in self.teams:
            for role in ROLES:
                number += 1
                yield draw_player(number, role, team, self._rng)
        for _ in range(_RETIRED):
            number += 1
            yield draw_player(number, self._rng.choice([*ROLES, None]), None, self._rng)

    def _match(self, game: Match, now: datetime) -> Message:
        return self._message("matches", game.fixture.id, game.message(now))

    def _message(self, topic: Topic, key: str, value: dict[str, Any]) -> Message:
        if self._rng.random() < self._malformed:
            return Message(topic, key, self._rng.choice(_MALFORMED)(value))
        return Message(topic, key, _json(value))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _without_id(value: dict[str, Any]) -> bytes:
    return _json({name: item for name, item in value.items() if name not in ("match_id", "player_id")})


def _wrong_type(value: dict[str, Any]) -> bytes:
    name = "team_1_kills" if "team_1_kills" in value else "total_games"
    return _json({**value, name: "many"})


# Ways in which a message cannot be used; each stays one line.
_MALFORMED: Final[tuple[Callable[[dict[str, Any]], bytes], ...]] = (
    lambda value: _json(value)[:-20],
    lambda value: _json([value]),
    lambda _value: b'{"invalid": json}',
    _without_id,
    _wrong_type,
)
