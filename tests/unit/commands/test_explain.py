"""`pulse explain` on the embedded store: what it says, as text and JSON, and how it refuses."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from commands import pulse
from sources.mongo_client import connect
from tests.support import worked_example as example
from tests.support.command_line import Ended, run_command
from tests.support.reference import reference_analytics

_CALCULATED = example.day(15) + timedelta(hours=23)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The worked example and its results, as a batch left them."""
    uri = f"mongomock://{secrets.token_hex(8)}"
    for name, value in {"MONGO_URI": uri, "CHECKPOINT_LOCATION": str(tmp_path / "c")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    stored = connect(uri)["health-metrics"]
    documents = example.documents()
    stored["healthmetrics"].insert_many(documents)
    stored["healthmetrics"].insert_one(
        example.steps_document(14, 9000, _id=ObjectId(), source="import", updatedAt=example.day(14))
    )
    metadata = {"sparkJobId": "local-1:batch_17", "sparkVersion": "4.0.5"}
    for result in reference_analytics(documents, "UTC", example.TODAY).values():
        stored["analytics"].insert_one({**result, "calculatedAt": _CALCULATED, "metadata": metadata})
    return stored


def _explain(*words: str) -> Ended:
    return run_command("explain", *words, app=pulse.app, name="pulse")


def test_a_result_is_explained(database: Any) -> None:
    """The batch, the verdict, formulas with numbers, the days, and what was left out with its reason."""
    ended = _explain(str(example.USER), "steps", "7day")
    assert ended.code == 0
    for told in (
        "Steps of user 665000000000000000000001, 7 days: 2025-01-09 to 2025-01-15",
        "Stored by local-1:batch_17, Spark 4.0.5, from what was there at 2025-01-15 23:00:00 UTC.",
        "It is equal to the stored result.",
        "(8,500 + 8,500 + 8,500 + 8,500 + 18,000 + 8,200 + 8,200) / 7",
        "Days that entered (7 of 7):",
        "Left out: 1 of 15 documents.",
        "its source, import, is not in PHONE_SOURCES",
    ):
        assert told in ended.out, told


def test_a_late_change_is_the_reason_and_is_marked(database: Any) -> None:
    """What the result would be now, beside what it is."""
    changed = {"metrics": {"steps": 100}, "updatedAt": _CALCULATED + timedelta(minutes=1)}
    database["healthmetrics"].update_one({"date": example.day(15), "source": "googlefit"}, {"$set": changed})
    told = _explain(str(example.USER), "steps", "30day").out
    assert "It is not the stored result." in told
    assert "1 document changed after it was calculated, the latest at 2025-01-15 23:01:00 UTC" in told
    assert any(line.split()[:2] == ["2025-01-15", "100"] and "late" in line for line in told.splitlines())


def test_json_has_the_same_for_machines(database: Any) -> None:
    """Whether it is equal, each document's end, and what a correction would change."""
    ended = _explain(str(example.USER), "steps", "7day", "--json", "--correct", "2025-01-13=8500")
    found = json.loads(ended.out)
    assert (found["equal"], found["causes"], found["differences"]) == (True, [], [])
    assert [one["end"] for one in found["documents"]].count("written") == 14
    assert found["metadata"]["sparkJobId"] == "local-1:batch_17"
    assert found["computed"]["analytics"]["streakDays"] == 7
    assert found["correction"]["computed"]["analytics"]["rollingAverage"] == pytest.approx(8414.29, abs=0.01)
    changed = {one["field"]: one["after"] for one in found["correction"]["differences"]}
    assert changed["anomalyDetected"] is False
    assert changed["2025-01-13"] == 8500


def test_a_day_can_be_taken_away(database: Any) -> None:
    """Nothing after the sign is a day without a value; a change that changes nothing is told so."""
    told = _explain(str(example.USER), "steps", "7day", "--correct", "2025-01-12=").out
    assert "2025-01-12 without a value:" in told
    assert "streakDays" in told
    told = _explain(str(example.USER), "steps", "7day", "--correct", "2025-01-15=8200").out
    assert "nothing would change" in told


def test_a_metric_without_a_value_is_no_error(database: Any) -> None:
    """There is no result, which is right, and the documents say why."""
    ended = _explain(str(example.USER), "hydration", "90day")
    assert ended.code == 0
    assert "There is no value, and so no result." in ended.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody", "steps", "7day"], "'nobody' is no user id"),
        (["0" * 24, "steps", "7day"], "has neither health documents nor this result"),
        (["0" * 24, "stepz", "7day"], "'stepz' is not one of steps"),
        (["0" * 24, "steps", "week"], "'week' is not one of 7day"),
        (["0" * 24, "steps", "7day", "--correct", "2025-01-15"], "takes a day and a value"),
        (["0" * 24, "steps", "7day", "--correct", "yesterday=5"], "takes a day and a value"),
        (["0" * 24, "steps", "7day", "--correct", "2999-01-01=5"], "the day is later than tomorrow"),
        (["0" * 24, "steps", "7day", "--correct", "2025-01-15=200000"], "steps lies within 0 and 100,000"),
        (["0" * 24, "steps", "7day", "--correct", "2025-01-15=nan"], "it would be refused"),
    ],
)
def test_wrong_use_is_one_line(database: Any, words: list[str], told: str) -> None:
    """Exit code 2, with what is wrong."""
    ended = _explain(*words)
    assert ended.code == 2
    assert told in ended.err
