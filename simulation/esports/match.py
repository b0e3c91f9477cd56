"""One simulated match: announced, then live with figures that only grow, then finished and won."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

PATCHES: Final = ("15.22", "15.23", "15.24")
_STEP_SECONDS: Final = 20.0
_KILLS_A_MINUTE: Final = 0.45
_GOLD_A_MINUTE: Final = 1_900.0
_TOWERS_A_MINUTE: Final = 0.16
_TOWERS: Final = 11
_GOLD_FOR_KILL: Final = 300
_GOLD_FOR_TOWER: Final = 550
_SHORTEST_MINUTES, _LONGEST_MINUTES = 19.0, 45.0


@dataclass(frozen=True, slots=True)
class Team:
    """Who plays; `strength` is around 1."""

    id: str
    name: str
    strength: float


@dataclass(slots=True)
class Score:
    """What one side of a match has so far."""

    kills: int = 0
    gold: int = 2_500
    towers: int = 0

    def worth(self) -> tuple[int, int, int]:
        """Which side is ahead: gold, then towers, then kills."""
        return self.gold, self.towers, self.kills


@dataclass(frozen=True, slots=True)
class Fixture:
    """What is known of a match before it begins; `number` is that of the game within its series."""

    id: str
    tournament: tuple[str, str]
    teams: tuple[Team, Team]
    number: int
    match_type: str
    patch: str
    starts_at: datetime


@dataclass(slots=True)
class Match:
    """A fixture and how it goes; `luck` multiplies each side's strength."""

    fixture: Fixture
    length: timedelta
    luck: tuple[float, float]
    scores: tuple[Score, Score] = field(default_factory=lambda: (Score(), Score()))
    played: timedelta = timedelta(0)
    is_live: bool = False
    winner: int | None = None

    def advance(self, now: datetime, rng: random.Random) -> bool:
        """Play on until `now`; whether anything changed."""
        if self.winner is not None or now < self.fixture.starts_at:
            return False
        self.is_live = True
        until = min(now - self.fixture.starts_at, self.length)
        while self.played < until:
            step = min(until - self.played, timedelta(seconds=_STEP_SECONDS))
            self._play(step / timedelta(minutes=1), rng)
            self.played += step
        if self.played >= self.length:
            self.winner = 0 if self.scores[0].worth() >= self.scores[1].worth() else 1
        return True

    def _play(self, minutes: float, rng: random.Random) -> None:
        for team, luck, score in zip(self.fixture.teams, self.luck, self.scores, strict=True):
            strength = team.strength * luck
            kills = _poisson(rng, _KILLS_A_MINUTE * minutes * strength)
            towers = min(_poisson(rng, _TOWERS_A_MINUTE * minutes * strength**2), _TOWERS - score.towers)
            earned = _GOLD_A_MINUTE * minutes * strength * rng.uniform(0.85, 1.15)
            score.kills += kills
            score.towers += towers
            score.gold += round(earned) + kills * _GOLD_FOR_KILL + towers * _GOLD_FOR_TOWER

    def status(self) -> str:
        """`scheduled`, `live` or `finished`."""
        if self.winner is not None:
            return "finished"
        return "live" if self.is_live else "scheduled"

    def message(self, now: datetime) -> dict[str, Any]:
        """The match as the feed tells it at `now`."""
        fixture, (first, second) = self.fixture, self.scores
        won = None if self.winner is None else fixture.teams[self.winner]
        ended = None if won is None else fixture.starts_at + self.length
        return {
            "match_id": fixture.id,
            "game_id": f"{fixture.id}-{fixture.number}",
            "platform_game_id": f"SIM1_{fixture.id.removeprefix('MATCH_')}",
            "tournament_id": fixture.tournament[0],
            "tournament_name": fixture.tournament[1],
            "game_version": f"{fixture.patch}.1",
            "patch": fixture.patch,
            "team_1_id": fixture.teams[0].id,
            "team_1_name": fixture.teams[0].name,
            "team_2_id": fixture.teams[1].id,
            "team_2_name": fixture.teams[1].name,
            "winner_id": won.id if won else None,
            "winner_name": won.name if won else None,
            "match_duration": int(self.played / timedelta(seconds=1)),
            "team_1_kills": first.kills,
            "team_2_kills": second.kills,
            "team_1_gold": first.gold if self.is_live else 0,
            "team_2_gold": second.gold if self.is_live else 0,
            "team_1_towers": first.towers,
            "team_2_towers": second.towers,
            "game_number": fixture.number,
            "status": self.status(),
            "started_at": iso(fixture.starts_at) if self.is_live else None,
            "finished_at": iso(ended) if ended else None,
            "match_type": fixture.match_type,
            "data_source": "simulator",
            "ingestion_timestamp": epoch_ms(now),
        }


def draw_length(rng: random.Random) -> timedelta:
    """How long a match takes, in whole seconds: around half an hour."""
    minutes = min(max(rng.gauss(31, 5), _SHORTEST_MINUTES), _LONGEST_MINUTES)
    return timedelta(seconds=round(minutes * 60))


def draw_luck(rng: random.Random) -> tuple[float, float]:
    """By how much each side is better than usual on that day; the weaker side wins often."""
    return rng.gauss(1.0, 0.06), rng.gauss(1.0, 0.06)


def iso(moment: datetime) -> str:
    """`2026-01-31T12:00:00.000Z`; `moment` is aware UTC."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def _poisson(rng: random.Random, mean: float) -> int:
    """A count with that mean (Knuth, The Art of Computer Programming, volume 2, section 3.4.1)."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
