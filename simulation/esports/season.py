"""An invented season: matches that go from scheduled over live to finished, and their players' profiles."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final, Literal

from contracts.iso_times import time_with_z
from simulation.program import Message

Topic = Literal["matches", "players"]
Content = dict[str, Any]

_PLACES: Final = ("Lisbon", "Oslo", "Seoul", "Austin", "Kraków", "Lyon", "Hanoi", "Recife", "İzmir", "Graz")
_ANIMALS: Final = ("Foxes", "Herons", "Otters", "Wolves", "Ravens")
_TOURNAMENTS: Final = (("T_SPRING", "Spring League"), ("T_CUP", "City Cup"), ("T_OPEN", "Open Qualifier"))
_FIRST: Final = ("Ada", "Bao", "Chloé", "Dmitri", "Emre", "Fatima", "Goran", "Hana", "Ines", "Jae-won")
_LAST: Final = ("Okafor", "Lindqvist", "Moreau", "Novak", "Park", "Quispe", "Rossi", "Sørensen", "Tanaka")
_NICK: Final = ("Ember", "Frost", "Lynx", "Nova", "Onyx", "Pike", "Quartz", "Raven", "Sable", "Vex", "Wisp")
_NATIONS: Final = ("KR", "FR", "SE", "BR", "DE", "PL", "VN", "US", "TR", "CN")
# What a player of the role has in a match: kills, assists, and minions a minute.
_ROLES: Final = {
    "top": (2.8, 4.9, 8.1),
    "jungle": (2.5, 8.4, 6.2),
    "mid": (3.8, 7.0, 8.6),
    "bot": (4.3, 6.3, 9.2),
    "support": (0.6, 10.5, 1.2),
}
_RETIRED: Final = 8


@dataclass(slots=True)
class _Match:
    """`content` is its message; `teams` are the numbers of its two teams."""

    content: Content
    teams: list[int]
    starts_at: datetime
    length: timedelta


class Season:
    """`at_once` matches at a time from `start` on; the same seed and moments give the same messages."""

    def __init__(self, seed: int | None, at_once: int, start: datetime, malformed: float = 0.0) -> None:
        """`malformed` is the share of messages that cannot be used; `start` is aware UTC."""
        self._rng = random.Random(seed)
        self._malformed = malformed
        self._numbers = count(1)
        # Two teams more than play, so that those of a match that ends have a break.
        self._free = list(range(2 * at_once + 2))
        playing = len(_ROLES) * len(self._free)
        self._players = [
            _profile(number, number < playing, self._rng) for number in range(playing + _RETIRED)
        ]
        self._matches = [self._match(start) for _ in range(at_once)]
        self._opening: list[tuple[Topic, Content]] = [("players", player) for player in self._players]
        self._opening += [("matches", match.content) for match in self._matches]

    def advance(self, now: datetime) -> Iterator[Message]:
        """Yield what the feed tells at `now`: each match under way, each profile that a match changed."""
        yield from (self._message(*each, now) for each in self._opening)
        self._opening = []
        for index, match in enumerate(self._matches):
            if now < match.starts_at:
                continue
            self._play(match, now)
            yield self._message("matches", match.content, now)
            if match.content["status"] == "finished":
                for player in self._played(match):
                    yield self._message("players", player, now)
                self._matches[index] = self._match(now)
                self._free += match.teams
                yield self._message("matches", self._matches[index].content, now)

    def _match(self, now: datetime) -> _Match:
        teams = self._rng.sample(self._free, 2)
        self._free = [team for team in self._free if team not in teams]
        name, most = f"{now:%Y%m%d%H%M%S}_{next(self._numbers):06d}", self._rng.choice((1, 3, 5))
        number, tournament = self._rng.randint(1, most), self._rng.choice(_TOURNAMENTS)
        content = {
            "match_id": f"MATCH_{name}",
            "game_id": f"MATCH_{name}-{number}",
            "platform_game_id": f"SIM1_{name}",
            "tournament_id": tournament[0],
            "tournament_name": tournament[1],
            "game_version": "15.24.1",
            "patch": "15.24",
            **_team("team_1", teams[0]),
            **_team("team_2", teams[1]),
            **_team("winner", None),
            "match_duration": 0,
            **{f"team_{side}_{what}": 0 for side in (1, 2) for what in ("kills", "gold", "towers")},
            "game_number": number,
            "status": "scheduled",
            "started_at": None,
            "finished_at": None,
            "match_type": f"best_of_{most}",
            "data_source": "simulator",
        }
        starts_at = now + timedelta(seconds=self._rng.randrange(900))
        return _Match(content, teams, starts_at, timedelta(seconds=self._rng.randrange(1_200, 2_700)))

    def _play(self, match: _Match, now: datetime) -> None:
        content, played = match.content, min(now - match.starts_at, match.length)
        minutes = played / timedelta(minutes=1) - content["match_duration"] / 60
        for side in ("team_1", "team_2"):
            kills, towers = self._about(0.45 * minutes), self._about(0.17 * minutes)
            towers = min(towers, 11 - content[f"{side}_towers"])
            start = 2_500 if content["started_at"] is None else 0
            content[f"{side}_kills"] += kills
            content[f"{side}_towers"] += towers
            content[f"{side}_gold"] += start + 300 * kills + 550 * towers + self._about(1_900 * minutes)
        content["match_duration"] = int(played.total_seconds())
        content |= {"status": "live", "started_at": time_with_z(match.starts_at)}
        if played == match.length:
            ahead = int(content["team_1_gold"] < content["team_2_gold"])
            content |= {"status": "finished", "finished_at": time_with_z(match.starts_at + match.length)}
            content |= _team("winner", match.teams[ahead])

    def _about(self, mean: float) -> int:
        """Draw a whole number, `mean` on average."""
        return int(mean * self._rng.uniform(0.5, 1.5) + self._rng.random())

    def _played(self, match: _Match) -> Iterator[Content]:
        """Count a finished match in the profiles of its ten players, and yield them."""
        for team in match.teams:
            for player in self._players[len(_ROLES) * team :][: len(_ROLES)]:
                has_won = match.content["winner_id"] == player["current_team_id"]
                player["total_games"] += 1
                player["total_wins" if has_won else "total_losses"] += 1
                player["win_rate"] = round(player["total_wins"] / player["total_games"], 4)
                player["recent_form"] = player["recent_form"][1:] + ("W" if has_won else "L")
                player["last_match_date"] = match.content["finished_at"]
                yield player

    def _message(self, topic: Topic, content: Content, now: datetime) -> Message:
        """A record whose key is the id of the match or player."""
        told = {**content, "ingestion_timestamp": int(now.timestamp() * 1000)}
        if topic == "players":
            told["profile_updated_at"] = time_with_z(now)
        is_bad = self._rng.random() < self._malformed
        value = self._rng.choice(WAYS_TO_FAIL)(told) if is_bad else _json(told)
        return Message(topic, next(iter(told.values())), value)


def _profile(number: int, is_active: bool, rng: random.Random) -> Content:
    """Return a player with some hundred games; one that is not active has no team any more."""
    role = list(_ROLES)[number % len(_ROLES)] if is_active else rng.choice([*_ROLES, None])
    kills, assists, minions = (round(mean * rng.uniform(0.8, 1.2), 2) for mean in _ROLES[role or "mid"])
    nickname, games = f"{_NICK[number % len(_NICK)]}{number + 1}", rng.randrange(40, 400)
    wins, deaths = round(games * rng.uniform(0.35, 0.65)), round(rng.uniform(2.2, 3.4), 2)
    return {
        "player_id": f"PLAYER_{number + 1:05d}",
        "summoner_name": f"{nickname}SIM",
        "game_name": nickname,
        "tag_line": "SIM1",
        "first_name": rng.choice(_FIRST),
        "last_name": rng.choice(_LAST),
        "nickname": nickname,
        "nationality": rng.choice(_NATIONS),
        **_team("current_team", number // len(_ROLES) if is_active else None),
        "role": role,
        "active": is_active,
        "professional": True,
        "total_games": games,
        "total_wins": wins,
        "total_losses": games - wins,
        "win_rate": round(wins / games, 4),
        "avg_kills": kills,
        "avg_deaths": deaths,
        "avg_assists": assists,
        "kda_ratio": round((kills + assists) / deaths, 2),
        "avg_cs_per_min": minions,
        "avg_gold_per_min": round(rng.uniform(360, 440), 1),
        "last_match_date": None,
        "recent_form": "".join(rng.choices("WL", k=5)),
        "data_source": "simulator",
    }


def _team(what: str, number: int | None) -> Content:
    """Return the fields `what`_id and `what`_name of a team, null without one."""
    if number is None:
        return {f"{what}_id": None, f"{what}_name": None}
    name = f"{_PLACES[number % len(_PLACES)]} {_ANIMALS[number // len(_PLACES) % len(_ANIMALS)]}"
    return {f"{what}_id": f"TEAM_{number + 1:03d}", f"{what}_name": name}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# Ways in which a message cannot be used: cut off, no object, no JSON, without its id, a word for a number.
WAYS_TO_FAIL: Final[tuple[Callable[[Content], bytes], ...]] = (
    lambda content: _json(content)[:-20],
    lambda content: _json([content]),
    lambda _content: b'{"invalid": json}',
    lambda content: _json(dict([*content.items()][1:])),
    lambda content: _json(content | dict.fromkeys({"team_1_kills", "total_games"} & content.keys(), "many")),
)
