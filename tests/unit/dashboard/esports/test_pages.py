"""The esports pages: full, empty, with other people's columns and values, under compaction; their bounds."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from analytics.esports.rules import MATCHES, PLAYERS
from dashboard.data.esports_data import MATCH_DAYS, EsportsData, read_course, read_matches, read_players
from dashboard.data.parquet import find_files
from dashboard.esports import matches, players
from sinks.parquet.compaction import compact
from tests.support.clock import Clock
from tests.support.esports_dataset import Writer, match
from tests.support.shown import HOSTILE, charts, show, texts
from tests.support.waiting import meanwhile

_NOW = datetime.now(timezone.utc).replace(microsecond=0)


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The datasets of two hours of a season that ends now."""
    output = tmp_path_factory.mktemp("season")
    Writer(output).season(40, _NOW - timedelta(hours=2))
    return output


def _told(output: Path, topic: str) -> dict[str, dict[str, Any]]:
    """The newest row of each key by Python's own reading of all files."""
    key = "match_id" if topic == "matches" else "player_id"
    table = duckdb.read_parquet(f"{(output / topic).resolve()}/**/*.parquet", hive_partitioning=True)
    rows = table.df().sort_values(["kafka_timestamp", "kafka_partition", "kafka_offset"])
    return {row[key]: dict(row) for row in rows.to_dict("records")}


def test_each_match_and_player_is_shown_in_its_newest_state(season: Path) -> None:
    """Whatever its states before were; the latest told of come first."""
    for read, topic, key in ((read_matches, "matches", "match_id"), (read_players, "players", "player_id")):
        rows, told = read(season / topic).rows, _told(season, topic)
        assert set(rows[key]) == set(told)
        assert len(rows) == len(told)
        for row in rows.to_dict("records"):
            assert row["status"] == told[row[key]]["status"]
            assert row["kafka_offset"] == told[row[key]]["kafka_offset"]
        assert rows["kafka_timestamp"].is_monotonic_decreasing


def test_the_pages_show_what_is_there(season: Path) -> None:
    """Figures, live table, leads, a match's course, win rates and results; nothing is raised."""
    page = show(matches.render, EsportsData(season))
    assert not page.exception
    told = _told(season, "matches")
    live = sum(row["status"] == "live" for row in told.values())
    finished = sum(row["status"] == "finished" for row in told.values())
    figures = {metric.label: metric.value for metric in page.metric}
    assert (figures["Live"], figures["Finished in 7 days"]) == (str(live), str(finished))
    assert live > 0 < finished
    cards = [table for table in page.table if table.proto.alt.startswith("Score of")]
    assert len(cards) == live
    assert all(list(card.value) == ["Team", "Kills", "Gold", "Towers", "Last five"] for card in cards)
    assert len(charts(page)) == 3
    assert all(len(told_of) > 20 for told_of in charts(page))
    gold = charts(page)
    page.segmented_control(key="lead").set_value("Kills").run()
    assert not page.exception
    assert charts(page)[0] != gold[0]
    people = show(players.render, EsportsData(season))
    assert not people.exception
    assert len(people.table[0].value) == 50


def test_players_are_found_by_name_team_role_and_status(season: Path) -> None:
    """Search takes any part of any name in any case; retired players are shown on demand."""
    page = show(players.render, EsportsData(season))
    somebody = next(row for row in _told(season, "players").values() if row["status"] == "active")
    page.text_input[0].set_value(somebody["nickname"].upper()).run()
    assert somebody["nickname"] in {text.replace("\\", "") for text in page.table[0].value["Nickname"]}
    assert len(page.table[0].value) < 5
    page.text_input[0].set_value("nobody has this name").run()
    assert "Nobody matches" in texts(page)
    page.text_input[0].set_value("")
    page.multiselect[0].set_value(["support"]).run()
    assert set(page.table[0].value["Role"]) == {"support"}
    active = int(page.header[0].value.split()[0])
    page.checkbox[0].set_value(True).run()
    assert int(page.header[0].value.split()[0]) >= active


def test_an_empty_installation_says_what_to_do(tmp_path: Path) -> None:
    """Without folder, without batches, and with batches that hold no row."""
    for render in (matches.render, players.render):
        page = show(render, EsportsData(tmp_path / "none"))
        assert not page.exception
        assert "pulse esports run" in texts(page).replace("\\", "")
        assert texts(page).count("There is no data yet") == 1
        assert len(page.metric) == 0
    Writer(tmp_path).add_rows(MATCHES, [], _NOW)
    page = show(matches.render, EsportsData(tmp_path))
    assert not page.exception
    assert f"No matches in the {MATCH_DAYS} days" in texts(page)


def test_rows_with_hardly_anything_and_with_hostile_text(tmp_path: Path) -> None:
    """Only the key is certain: the rest may be missing or anything; none of it becomes markup."""
    writer = Writer(tmp_path)
    writer.add_rows(MATCHES, [match(1), match(2, status="finished"), match(3, status=None)], _NOW)
    hostile = dict.fromkeys(("team_1_name", "team_2_name", "tournament_name", "winner_name"), HOSTILE)
    writer.add_rows(MATCHES, [match(4, **hostile, team_1_gold=5, team_2_gold=7, match_duration=61)], _NOW)
    writer.add_rows(
        PLAYERS, [{"player_id": "P1"}, {"player_id": HOSTILE, "nickname": HOSTILE, "active": True}], _NOW
    )
    page = show(matches.render, EsportsData(tmp_path))
    assert not page.exception
    assert {metric.label: metric.value for metric in page.metric}["Live"] == "2"
    people = show(players.render, EsportsData(tmp_path))
    assert not people.exception
    shown = [str(cell) for table in (*page.table, *people.table) for cell in table.value.to_numpy().ravel()]
    assert any("evil" in cell for cell in shown)
    assert all("<img" not in cell.replace("\\<", "") for cell in shown)
    assert all("](http" not in cell for cell in shown)


def test_a_new_column_in_some_files_does_no_harm(tmp_path: Path) -> None:
    """Nor does a file that lacks a column of the contract."""
    writer = Writer(tmp_path)
    writer.add_rows(MATCHES, [match(1)], _NOW)
    folder = writer.add_rows(MATCHES, [match(2, venue="Lyon")], _NOW, [pa.field("venue", pa.string())])
    (file,) = folder.rglob("*.parquet")
    columns = [name for name in pa.parquet.read_schema(file).names if name != "patch"]
    pa.parquet.write_table(pa.parquet.ParquetFile(file).read(columns=columns), file)
    assert set(read_matches(tmp_path / "matches").rows["match_id"]) == {"M1", "M2"}


def test_a_value_with_a_slash_in_the_path_is_read_as_it_was(tmp_path: Path) -> None:
    """The path has it percent-encoded."""
    writer = Writer(tmp_path)
    writer.add_rows(PLAYERS, [{"player_id": "P1", "active": True, "role": "a%2Fb%3Dc"}], _NOW)
    assert list(read_players(tmp_path / "players").rows["role"]) == ["a/b=c"]


def test_only_the_newest_is_read_however_long_the_history(tmp_path: Path) -> None:
    """Files written before the days that a page shows are not opened: here they are not even Parquet."""
    writer = Writer(tmp_path)
    old = [writer.add_rows(MATCHES, [match(n)], _NOW) for n in range(3)]
    writer.add_rows(MATCHES, [match(9)], _NOW)
    ancient = time.time() - 40 * 86_400
    for folder in old:
        for file in folder.rglob("*.parquet"):
            file.write_bytes(b"old")
        os.utime(folder, (ancient, ancient))
    assert list(read_matches(tmp_path / "matches").rows["match_id"]) == ["M9"]
    assert read_course(tmp_path / "matches", "M9").empty


def test_live_rows_of_yesterday_are_not_read_and_finished_ones_are(tmp_path: Path) -> None:
    """What is under way is told of all the time: hours are enough there, and days are for results."""
    writer = Writer(tmp_path)
    yesterday = _NOW - timedelta(days=1)
    folder = writer.add_rows(MATCHES, [match(1), match(2, status="finished")], yesterday)
    os.utime(folder, (yesterday.timestamp(), yesterday.timestamp()))
    writer.add_rows(MATCHES, [match(3)], _NOW)
    assert set(read_matches(tmp_path / "matches").rows["match_id"]) == {"M2", "M3"}


def test_too_many_files_are_told(tmp_path: Path) -> None:
    """The newest are read, and the page asks for a compaction."""
    writer = Writer(tmp_path)
    for number in range(8):
        folder = writer.add_rows(MATCHES, [match(number)], _NOW)
        os.utime(folder, (time.time() + number, time.time() + number))
    files = find_files(tmp_path / "matches", {"live": 1e9}, limit=5)
    assert len(files.paths) == 5
    assert not files.is_whole
    assert folder.name in files.paths[0]


def test_a_broken_file_is_told_and_the_last_state_stays(season: Path, tmp_path: Path, clock: Clock) -> None:
    """One sentence without a path; what was read before is shown until the file is gone."""
    shutil.copytree(season, tmp_path, symlinks=True, dirs_exist_ok=True)
    data = EsportsData(tmp_path)
    before = show(matches.render, data)
    bad = (tmp_path / "matches").resolve() / "batch=bad" / "status=live"
    bad.mkdir(parents=True)
    (bad / "part-0.parquet").write_bytes(b"PAR1 not really")
    clock.seconds = 3_600.0
    page = show(matches.render, data)
    assert not page.exception
    assert "cannot be read" in page.error[0].value
    assert str(tmp_path) not in page.error[0].value
    assert len(page.table) == len(before.table) > 3


def test_pages_are_right_while_compactions_run(season: Path, tmp_path: Path) -> None:
    """The same rows at every reading, and no fault, however often the generation changes."""
    shutil.copytree(season, tmp_path, symlinks=True, dirs_exist_ok=True)
    writer = Writer(tmp_path)
    generations = writer.generations["matches"]
    expected = read_matches(tmp_path / "matches").rows["kafka_offset"].tolist()
    readings: list[bool] = []

    def read() -> None:
        readings.append(read_matches(tmp_path / "matches").rows["kafka_offset"].tolist() == expected)

    with meanwhile(read):
        for number in range(12):
            folder = generations.current() / f"batch=empty{number}"
            folder.mkdir()
            (folder / "_offsets.json").write_text(
                json.dumps({"version": 1, "batches": [folder.name], "consumed": {}, "rescued": {}})
            )
            compact(generations)
    assert readings
    assert all(readings)
    assert generations.current().name == "000013"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "No match is under way, and none has ended lately."),
        ([match(1)], "One match is live."),
        ([match(1), match(2)], "2 matches are live."),
        (
            [match(1, team_1_name="Foxes", team_2_name=HOSTILE, team_1_gold=5_000, team_2_gold=3_000)],
            f"One match is live; Foxes lead, by 2,000\xa0gold against {HOSTILE}.",
        ),
        (
            [
                match(1, team_1_name="Foxes", team_2_name="Owls", team_1_gold=5_000, team_2_gold=3_000),
                match(2, team_1_name="Ravens", team_2_name="نمور", team_1_gold=1_000, team_2_gold=9_000),
            ],
            "2 matches are live; نمور lead most clearly, by 8,000\xa0gold against Ravens.",
        ),
        (
            [match(1, status="finished", team_1_name="Foxes", team_2_name="Owls", winner_name="Owls")],
            "No match is under way. Owls won the last one, Foxes – Owls.",
        ),
    ],
    ids=["empty", "nothing known", "several unknown", "one, a hostile name", "many, right to left", "ended"],
)
def test_the_first_line_answers_what_is_played_and_who_is_ahead(
    tmp_path: Path, rows: list[dict[str, Any]], told: str
) -> None:
    """Also of few matches, of many, and of names in other scripts."""
    Writer(tmp_path).add_rows(MATCHES, rows, _NOW)
    page = show(matches.render, EsportsData(tmp_path))
    assert not page.exception
    assert page.markdown[0].value.replace("\\", "").strip("*") == told.replace("\\", "")


def test_the_first_line_of_players_names_the_best(tmp_path: Path) -> None:
    """By the share of matches won, of those who are active."""
    retired = {"player_id": "P2", "nickname": "Old", "active": False, "win_rate": 0.9}
    good = {"player_id": "P1", "nickname": "Vex", "active": True, "win_rate": 0.75, "total_games": 40}
    Writer(tmp_path).add_rows(PLAYERS, [good, retired], _NOW)
    page = show(players.render, EsportsData(tmp_path))
    assert page.markdown[0].value.replace("\\", "") == (
        "One player is active; Vex wins most, 75.0\xa0% of 40 games."
    )


def test_a_match_has_its_course_and_its_teams_their_form_and_meetings(tmp_path: Path) -> None:
    """Kills and towers stand in the course; earlier matches of the two are counted on either side."""
    writer = Writer(tmp_path)
    foxes, owls = {"id": "F", "name": "Foxes"}, {"id": "O", "name": "Owls"}

    def sides(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
        return {
            f"team_{side}_{name}": value
            for side, team in ((1, first), (2, second))
            for name, value in team.items()
        }

    for number, (pair, winner) in enumerate([((foxes, owls), foxes), ((owls, foxes), owls)]):
        won = {"winner_id": winner["id"], "winner_name": winner["name"]}
        ended = _NOW - timedelta(hours=9 - number)
        writer.add_rows(
            MATCHES,
            [match(number, status="finished", finished_at=ended.isoformat(), **sides(*pair), **won)],
            _NOW,
        )
    for minute, gold, kills, towers in ((0, 500, 0, 0), (5, 900, 2, 0), (10, -300, 2, 1)):
        score = {"team_1_gold": 9_000 + gold, "team_2_gold": 9_000, "team_1_kills": kills, "team_2_kills": 1}
        score |= {"team_1_towers": 0, "team_2_towers": towers, "match_duration": minute * 60}
        writer.add_rows(MATCHES, [match(9, **sides(foxes, owls), **score)], _NOW)
    page = show(matches.render, EsportsData(tmp_path))
    assert not page.exception
    card = page.table[0].value
    assert card["Last five"].tolist() == ["WL", "LW"]
    assert "Foxes **1 : 1** Owls" in texts(page)
    course = next(table.value for table in page.table if table.proto.alt.startswith("Gold lead"))
    assert course["Minute"].tolist() == ["0", "5", "10"]
    assert [name.replace("\\", "") for name in course] == [
        "Minute", "Lead in gold", "Kills of Foxes (1)", "Kills of Owls (2)", "Towers of Foxes (1)",
        "Towers of Owls (2)",
    ]  # fmt: skip
