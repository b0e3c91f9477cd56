"""Invented matches and players: figures that only grow, winners that are ahead, files that are whole."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.esports.rules import MATCH_FIELDS, PLAYER_FIELDS
from simulation.esports.messages import season_clock
from simulation.esports.season import Season
from simulation.json_files import next_offset, write_files
from simulation.program import Message
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[4]
START = datetime(2026, 1, 29, 10, 0, tzinfo=timezone.utc)
_GROWING = ("match_duration", "kills", "gold", "towers")


def _messages(
    seed: int, ticks: int, step: timedelta = timedelta(minutes=2), malformed: float = 0.0
) -> list[Message]:
    season = Season(seed, 3, START, malformed)
    return [message for tick in range(ticks) for message in season.advance(START + tick * step)]


def _by_key(messages: list[Message], topic: str) -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for message in messages:
        if message.topic == topic:
            found[message.key].append(json.loads(message.value))
    return found


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), seconds=st.integers(5, 1_500))
def test_a_match_only_goes_forward(seed: int, seconds: int) -> None:
    """Scheduled, live, finished in this order; no total ever shrinks; times and length agree at the end."""
    order = ["scheduled", "live", "finished"]
    finished = 0
    matches = _by_key(_messages(seed, 5_000 // seconds, timedelta(seconds=seconds)), "matches")
    for told in matches.values():
        ranks = [order.index(match["status"]) for match in told]
        assert ranks == sorted(ranks)
        assert ranks.count(2) <= 1
        for name in told[0]:
            if name.endswith(_GROWING):
                values = [match[name] for match in told]
                assert values == sorted(values), name
        last = told[-1]
        if last["status"] == "finished":
            finished += 1
            length = datetime.fromisoformat(last["finished_at"][:-1]) - datetime.fromisoformat(
                last["started_at"][:-1]
            )
            assert length.total_seconds() == last["match_duration"]
    assert finished > 0


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_the_winner_is_who_is_ahead(seed: int) -> None:
    """Only finished matches have one: the side with more gold, one of the two teams."""
    for told in _by_key(_messages(seed, 40), "matches").values():
        for match in told:
            assert (match["winner_id"] is not None) == (match["status"] == "finished")
            if match["winner_id"]:
                ahead = 1 if match["team_1_gold"] >= match["team_2_gold"] else 2
                assert match["winner_id"] == match[f"team_{ahead}_id"]
                assert match["winner_name"] == match[f"team_{ahead}_name"]
                assert match["team_1_towers"] <= 11
                assert match["team_2_towers"] <= 11


def test_messages_have_the_fields_of_the_contract() -> None:
    """All of them and no other, in matches and in profiles."""
    messages = _messages(4, 30)
    for topic, fields in (("matches", MATCH_FIELDS), ("players", PLAYER_FIELDS)):
        for told in _by_key(messages, topic).values():
            assert all(message.keys() == fields.keys() for message in told)


def test_nobody_plays_two_matches_at_a_time() -> None:
    """At every update the teams of the matches that are not over are all different."""
    season = Season(5, 3, START)
    state: dict[str, dict[str, Any]] = {}
    for tick in range(120):
        for message in season.advance(START + tick * timedelta(minutes=2)):
            if message.topic == "matches":
                state[message.key] = json.loads(message.value)
        teams = [
            match[f"team_{side}_id"]
            for match in state.values()
            if match["status"] != "finished"
            for side in (1, 2)
        ]
        assert len(teams) == len(set(teams)) == 6


def test_profiles_follow_the_matches() -> None:
    """A finished match adds one game to ten players; rates, form and totals of a profile agree."""
    messages = _messages(1, 60)
    finished = [
        match
        for told in _by_key(messages, "matches").values()
        for match in told
        if match["status"] == "finished"
    ]
    profiles = _by_key(messages, "players")
    played = sum(told[-1]["total_games"] - told[0]["total_games"] for told in profiles.values())
    assert played == 10 * len(finished) > 0
    for told in profiles.values():
        for player in told:
            assert player["total_games"] == player["total_wins"] + player["total_losses"]
            assert abs(player["win_rate"] - player["total_wins"] / player["total_games"]) < 1e-4
            assert player["active"] == (player["current_team_id"] is not None)
            assert set(player["recent_form"]) <= {"W", "L"}
    assert {told[-1]["role"] for told in profiles.values()} >= {"top", "jungle", "mid", "bot", "support"}
    assert {told[-1]["active"] for told in profiles.values()} == {True, False}


def test_the_asked_share_of_messages_is_malformed() -> None:
    """Each is one line and is broken text, no object, lacks its id or has a word for a number."""
    messages = _messages(2, 300, malformed=0.2)
    bad = [message for message in messages if not _is_good(message)]
    assert 0.15 < len(bad) / len(messages) < 0.25
    assert all(b"\n" not in message.value for message in messages)
    assert all(_is_good(message) for message in _messages(2, 30))


def _is_good(message: Message) -> bool:
    try:
        value = json.loads(message.value)
    except ValueError:
        return False
    key = "match_id" if message.topic == "matches" else "player_id"
    numbers = ("team_1_kills", "total_games")
    return (
        isinstance(value, dict) and key in value and all(not isinstance(value.get(n), str) for n in numbers)
    )


def test_the_clock_never_passes_the_present() -> None:
    """Without a start it begins a day back; with one it goes on as told."""
    clock = season_clock(timedelta(hours=15))
    moments = [clock() for _ in range(5)]
    assert moments == sorted(moments)
    assert moments[-1] <= datetime.now(timezone.utc)
    fixed = season_clock(timedelta(hours=1), datetime(2099, 1, 1))  # noqa: DTZ001
    assert [fixed().hour for _ in range(3)] == [0, 1, 2]


def test_files_are_whole_and_one_a_topic(tmp_path: Path) -> None:
    """The topic's folder, a name with time and offset, each message a line; no hidden file is left."""
    messages = [Message("matches", "a", b"{}"), Message("matches", "b", b"[1]")]
    offsets = {"matches": 40, "players": 0}
    paths = write_files(tmp_path, offsets, messages, START)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "matches/matches_20260129_100000_000000000040.jsonl"
    ]
    assert offsets == {"matches": 42, "players": 0}
    assert next_offset(tmp_path / "matches") == 42
    assert next_offset(tmp_path / "players") == 0
    assert paths[0].read_bytes() == b"{}\n[1]\n"
    assert [path.name for path in paths[0].parent.iterdir()] == [paths[0].name]


def test_a_signal_ends_the_program_with_its_count(tmp_path: Path) -> None:
    """The update under way is finished, the count is told, the exit code is 0."""
    options = ["--output", str(tmp_path), "--interval", "0.05", "--malformed", "0.1"]
    command = [sys.executable, "-m", "simulation.esports.messages", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: list(tmp_path.glob("matches/*.jsonl")), "a file", process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    lines = {
        topic: sum(len(path.read_bytes().splitlines()) for path in tmp_path.glob(f"{topic}/*"))
        for topic in ("matches", "players")
    }
    assert f"{lines['matches']} match and {lines['players']} player messages written." in output
    assert not list(tmp_path.glob("*/.*"))


def test_the_same_seed_and_start_give_the_same_files(tmp_path: Path) -> None:
    """Byte for byte, names included."""
    for name in ("a", "b"):
        options = ["--output", str(tmp_path / name), "--seed", "7", "--start", "2026-01-29T10:00:00"]
        command = [sys.executable, "-m", "simulation.esports.messages", *options]
        subprocess.run(
            [*command, "--ticks", "3", "--interval", "0", "--speed", "500"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=300,
        )
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*/*")} for name in ("a", "b")
    )
    assert len(first) == 4
    assert first == second
