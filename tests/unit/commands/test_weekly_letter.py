"""`pulse letter` on the embedded store: one small page in plain words, for whoever it is about."""

from __future__ import annotations

import re
import secrets
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from commands import pulse
from contracts.health_metrics import METRICS
from sources.mongo_client import connect
from tests.support import worked_example as example
from tests.support.command_line import Ended, run_command


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The worked example."""
    uri = f"mongomock://{secrets.token_hex(8)}"
    monkeypatch.setenv("MONGO_URI", uri)
    monkeypatch.chdir(tmp_path)
    stored = connect(uri)["health-metrics"]
    stored["healthmetrics"].insert_many(example.documents())
    return stored


def _letter(*words: str) -> Ended:
    return run_command("letter", *words, app=pulse.app, name="pulse")


def _page(last: str = "2025-01-15", user: object = example.USER) -> str:
    ended = _letter(str(user), "--until", last, "--output", "letter.html")
    assert ended.code == 0, ended.err
    return Path("letter.html").read_text()


def _words(page: str) -> str:
    """What a person reads, on one line."""
    body = page.partition("<body>")[2]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)).replace("\xa0", " "))


def test_a_letter_says_what_the_week_was(database: Any) -> None:
    """Means beside the week before, what stood out, the run, and the zone."""
    told = _words(_page())
    for words in (
        "Your week From 9 January to 15 January 2025, beside the seven days before.",
        "Higher than the week before: steps. There is data on 7 of 7 days.",
        "Steps 9,771 steps average of 7 of 7 days",
        "1,021 steps more than the week before (8,750 steps); from 8,200 to 18,000 steps.",
        "Monday, 13 January: walked 18,000 steps, twice the usual.",
        "7 days with more than 1,000 steps, up to 15 January; the longest so far is 7 days.",
        "What is missing Nothing.",
        str(example.USER),
    ):
        assert words in told, words
    assert "Weight" not in told


def test_what_is_missing_and_what_was_refused_are_told(database: Any) -> None:
    """Days without anything, daily metrics on some days, and values that a rule refuses."""
    collection = database["healthmetrics"]
    for number in range(1, 16):
        metrics = {"metrics.sleepHours": 7, **({"metrics.weight": 80} if number == 9 else {})}
        collection.update_one({"date": example.day(number)}, {"$set": metrics})
    collection.update_one({"date": example.day(14)}, {"$unset": {"metrics.sleepHours": 1}})
    collection.update_one({"date": example.day(12)}, {"$set": {"metrics.sleepHours": 90}})
    collection.update_one({"date": example.day(13)}, {"$set": {"metrics.hydration": "a cup"}})
    collection.delete_many({"date": {"$in": [example.day(10), example.day(11)]}})
    told = _words(_page()).partition("What is missing")[2]
    assert "All data of 10 January and 11 January." in told
    assert "Sleep of 14 January." in told
    assert "Not counted: sleep of 12 January, because the value is outside the range of its metric." in told
    assert "Not counted: hydration of 13 January, because the value is not a number." in told
    assert "Weight of" not in told


def test_what_is_listed_is_bounded_so_that_a_page_is_enough(database: Any) -> None:
    """Every metric lacks another day, and has a value that is refused on a third one."""
    for number in range(1, 16):
        values: dict[str, Any] = dict.fromkeys(METRICS, 40.0 if number < 9 else 35.0)
        values |= {"sleepHours": 7, "hydration": 2}
        if number > 8:
            del values[list(METRICS)[number % 7]]
            values[list(METRICS)[(number + 3) % 7]] = "many"
        change = {"$set": {"metrics": values}}
        database["healthmetrics"].update_one({"date": example.day(number)}, change)
    told = _words(_page())
    missing = told.partition("What is missing")[2]
    assert missing.count("Not counted:") == 3
    assert "And 4 more refused values." in missing
    assert "And 2 more gaps." in missing
    assert "All data of" not in missing


def test_a_page_stays_small_offline_and_for_one_reader(database: Any) -> None:
    """All metrics over years: nothing is loaded, and others may not read the file."""
    database["healthmetrics"].delete_many({})
    lows = {name: metric.low + (metric.high - metric.low) / 3 for name, metric in METRICS.items()}
    for number in range(-400, 16):
        metrics = {name: low * (1 + (number % 7) / 10) for name, low in lows.items()}
        database["healthmetrics"].insert_one(example.steps_document(number, 0, _id=number, metrics=metrics))
    page = _page()
    assert page.count("<svg") == len(METRICS)
    assert len(page.encode()) < 30_000
    assert not re.search(r"https?:|<script|<link|<img|url\(", page)
    assert Path("letter.html").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("2025-01-05", "What is usual is not known: that takes five earlier days with different values."),
        ("2025-01-12", "No day was far from what is usual."),
        ("2025-01-13", "walked 18,000 steps"),
    ],
)
def test_that_nothing_stood_out_is_said_only_where_it_is_known(database: Any, last: str, told: str) -> None:
    """A person's first days are compared with nothing."""
    assert told in _words(_page(last))


@pytest.mark.parametrize(
    ("user", "last", "told"),
    [
        (ObjectId(b"\1" * 12), "2025-01-15", "There is no data up to 15 January 2025."),
        (example.USER, "2024-12-31", "There is no data up to 31 December 2024."),
        (example.USER, "2025-01-29", "no data of these two weeks; the newest is of 15 January 2025."),
    ],
    ids=["nobody", "before", "long ago"],
)
def test_without_data_it_says_so_and_nothing_else(
    database: Any, user: ObjectId, last: str, told: str
) -> None:
    """No empty tables."""
    words = _words(_page(last, user))
    assert told in words
    assert "Steps" not in words
    assert "missing" not in words


def test_a_week_without_values_after_one_with_some(database: Any) -> None:
    """The figure is a dash, and the week before is still told."""
    told = _words(_page("2025-01-22"))
    assert "There is nothing to compare with the week before. There is data on 0 of 7 days." in told
    assert "Steps – no values this week" in told
    assert "9,771 steps the week before." in told
    assert "All data of this week." in told
    assert "No day of this week goes on with a row of days with more than 1,000 steps" in told


def test_by_default_it_is_the_week_up_to_yesterday(database: Any) -> None:
    """Today is not over; the file is named by person and day."""
    yesterday = date.today() - timedelta(days=1)  # noqa: DTZ011 - only names the file
    assert _letter(str(example.USER)).code == 0
    (path,) = Path().glob("*.html")
    prefix, _, day = path.stem.partition(f"{example.USER}-")
    assert prefix == "weekly-letter-"
    assert abs((date.fromisoformat(day) - yesterday).days) <= 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody"], "'nobody' is no user id"),
        (["0" * 24, "--until", "friday"], "--until takes a day such as 2026-01-31, not 'friday'."),
        (["0" * 24, "--until", "2999-01-01"], "the day is later than tomorrow"),
        (["0" * 24, "--output", "/proc/none/letter.html"], "The letter cannot be written:"),
    ],
    ids=["user", "day", "future", "file"],
)
def test_wrong_use_is_one_line(database: Any, words: list[str], told: str) -> None:
    """Exit code 2, with what is wrong."""
    ended = _letter(*words)
    assert ended.code == 2
    assert told in ended.err
