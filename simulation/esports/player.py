"""One simulated player's profile, which every match played changes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from simulation.esports.match import Score, Team, epoch_ms, iso

ROLES: Final = ("top", "jungle", "mid", "bot", "support")
_FIRST: Final = ("Ada", "Bao", "Chloé", "Dmitri", "Emre", "Fatima", "Goran", "Hana", "Ines", "Jae-won")
_LAST: Final = ("Okafor", "Lindqvist", "Moreau", "Novak", "Park", "Quispe", "Rossi", "Sørensen", "Tanaka")
_NATIONS: Final = ("KR", "FR", "SE", "BR", "DE", "PL", "VN", "US", "TR", "CN")
_NICK: Final = ("Ember", "Frost", "Lynx", "Nova", "Onyx", "Pike", "Quartz", "Raven", "Sable", "Vex", "Wisp")
_FORM: Final = 5
# Kills, deaths and assists of a player for each kill of the own or the other side.
_KILL_SHARE: Final = {"top": 0.2, "jungle": 0.18, "mid": 0.27, "bot": 0.31, "support": 0.04}
_ASSIST_SHARE: Final = {"top": 0.35, "jungle": 0.6, "mid": 0.5, "bot": 0.45, "support": 0.75}
_CS: Final = {"top": 8.1, "jungle": 6.2, "mid": 8.6, "bot": 9.2, "support": 1.2}


@dataclass(slots=True)
class Averages:
    """Per game, over all games of the player."""

    kills: float
    deaths: float
    assists: float
    cs: float
    gold: float

    def add(self, game: Averages, games: int) -> None:
        """Count `game` as the latest of `games`."""
        for name in self.__slots__:
            mean = getattr(self, name)
            setattr(self, name, mean + (getattr(game, name) - mean) / games)


@dataclass(slots=True)
class Player:
    """A player with a history; one without a `team` is no longer active."""

    id: str
    nickname: str
    names: tuple[str, str]
    nationality: str
    role: str | None
    team: Team | None
    wins: int
    losses: int
    averages: Averages
    form: list[str] = field(default_factory=list)
    last_match: datetime | None = None

    def play(
        self, own: Score, other: Score, won: bool, minutes: float, ended: datetime, rng: random.Random
    ) -> None:
        """Count a match of `minutes` in which the own side had the score `own`, the other side `other`."""
        role = self.role or "mid"
        self.wins += won
        self.losses += not won
        game = Averages(
            kills=own.kills * _KILL_SHARE[role] * rng.uniform(0.6, 1.4),
            deaths=other.kills * 0.2 * rng.uniform(0.6, 1.4),
            assists=own.kills * _ASSIST_SHARE[role] * rng.uniform(0.7, 1.3),
            cs=_CS[role] * rng.uniform(0.9, 1.1),
            gold=own.gold / 5 / max(minutes, 1.0),
        )
        self.averages.add(game, self.wins + self.losses)
        self.form = [*self.form, "W" if won else "L"][-_FORM:]
        self.last_match = ended

    def message(self, now: datetime) -> dict[str, Any]:
        """The profile as the feed tells it at `now`."""
        games, mean = self.wins + self.losses, self.averages
        return {
            "player_id": self.id,
            "summoner_name": f"{self.nickname}SIM",
            "game_name": self.nickname,
            "tag_line": "SIM1",
            "first_name": self.names[0],
            "last_name": self.names[1],
            "nickname": self.nickname,
            "nationality": self.nationality,
            "current_team_id": self.team.id if self.team else None,
            "current_team_name": self.team.name if self.team else None,
            "role": self.role,
            "active": self.team is not None,
            "professional": True,
            "total_games": games,
            "total_wins": self.wins,
            "total_losses": self.losses,
            "win_rate": round(self.wins / games, 4) if games else 0.0,
            "avg_kills": round(mean.kills, 2),
            "avg_deaths": round(mean.deaths, 2),
            "avg_assists": round(mean.assists, 2),
            "kda_ratio": round((mean.kills + mean.assists) / max(mean.deaths, 0.01), 2),
            "avg_cs_per_min": round(mean.cs, 2),
            "avg_gold_per_min": round(mean.gold, 1),
            "last_match_date": iso(self.last_match) if self.last_match else None,
            "profile_updated_at": iso(now),
            "recent_form": "".join(self.form),
            "data_source": "simulator",
            "ingestion_timestamp": epoch_ms(now),
        }


def draw_player(number: int, role: str | None, team: Team | None, rng: random.Random) -> Player:
    """Invent a player with some hundred games behind them."""
    games = rng.randrange(40, 400)
    strength = team.strength if team else 1.0
    wins = round(games * min(max(rng.gauss(0.5 * strength, 0.06), 0.2), 0.8))
    shown = role or "mid"
    return Player(
        id=f"PLAYER_{number:05d}",
        nickname=f"{_NICK[(number - 1) % len(_NICK)]}{number}",
        names=(rng.choice(_FIRST), rng.choice(_LAST)),
        nationality=rng.choice(_NATIONS),
        role=role,
        team=team,
        wins=wins,
        losses=games - wins,
        averages=Averages(
            kills=14 * _KILL_SHARE[shown] * strength,
            deaths=2.8 / strength,
            assists=14 * _ASSIST_SHARE[shown] * strength,
            cs=_CS[shown],
            gold=400 * strength,
        ),
        form=[rng.choice("WL") for _ in range(_FORM)],
    )
