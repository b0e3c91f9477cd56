"""`pulse replay` on the embedded store: what it says, as text and JSON, and how it refuses."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics.health.documents import LIFETIME
from commands import pulse
from contracts import BatchReport, WriteResult
from monitoring.batch_history import BatchHistory
from sources.mongo_client import connect
from tests.support import worked_example as example
from tests.support.command_line import Ended, run_command
from tests.support.reference import reference_analytics

_CALCULATED = example.day(15) + timedelta(hours=23, milliseconds=130)
_JOB = "local-1:batch_17"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The worked example, its results, and the log of the batch that left them."""
    uri = f"mongomock://{secrets.token_hex(8)}"
    for name, value in {"MONGO_URI": uri, "LOG_DIRECTORY": str(tmp_path / "logs")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    stored = connect(uri)["health-metrics"]
    documents = example.documents()
    stored["healthmetrics"].insert_many(documents)
    stored["analytics"].create_index("expiresAt")
    for result in reference_analytics(documents, "UTC", example.TODAY).values():
        stored["analytics"].insert_one({**result, "createdAt": _CALCULATED, **_of(_JOB, _CALCULATED)})
    _log(tmp_path, "batch_16", _CALCULATED - timedelta(hours=1), 0)
    _log(tmp_path, "batch_17", _CALCULATED, 3)
    return stored


def _of(job: str, at: datetime) -> dict[str, Any]:
    return {"calculatedAt": at, "expiresAt": at + LIFETIME, "metadata": {"sparkJobId": job}}


def _log(folder: Path, name: str, at: datetime, written: int) -> None:
    report = BatchReport(
        batch_id=name,
        start_time=at - timedelta(seconds=1),
        end_time=at + timedelta(seconds=1),
        writes=WriteResult(written),
    )
    BatchHistory(folder / "logs").record(report)


def _edit(database: Any) -> None:
    changed = {"metrics": {"steps": 100}, "updatedAt": _CALCULATED + timedelta(minutes=1)}
    database["healthmetrics"].update_one({"date": example.day(15)}, {"$set": changed})


def _replay(*words: str) -> Ended:
    return run_command("replay", *words, app=pulse.app, name="pulse")


@pytest.mark.parametrize("name", ["batch_17", _JOB, "2025-01-15T23:00:00Z", "2025-01-15T23:00:00.130Z"])
def test_a_batch_is_found_by_each_of_its_names(database: Any, name: str) -> None:
    """The log's, the one that a result bears, and the time of a result."""
    ended = _replay(name, "--diff")
    assert ended.code == 0, ended.err
    assert "3 results of 1 user: all would be the same now." in ended.out
    assert f"({_JOB}), from 2025-01-15 2" in ended.out


def test_a_late_edit_is_shown_figure_by_figure_with_its_reason(database: Any) -> None:
    """What is stored beside what would be; counts alone without --diff."""
    _edit(database)
    told = _replay("batch_17", "--diff").out
    assert "3 results of 1 user: 0 would be the same now, 3 would differ." in told
    lines = [line.split() for line in told.splitlines()]
    assert any(line[:4] == ["steps", "7day", "rollingAverage", "9,771.428571"] for line in lines)
    assert ["2025-01-15", "8,200", "100"] in lines
    assert "→ steps: 1 document changed after it was calculated" in told
    counts = _replay("batch_17").out
    assert "3 would differ" in counts
    assert "replay batch_17 --diff shows them." in counts
    assert "rollingAverage" not in counts


def test_a_limit_cuts_the_figures_and_says_how_many_are_left(database: Any) -> None:
    """A batch of everybody has millions."""
    _edit(database)
    found = json.loads(_replay("batch_17", "--diff", "--limit", "4", "--json").out)
    assert sum(len(one["figures"]) for one in found["differences"]) == 4
    told = _replay("batch_17", "--diff", "--limit", "4").out
    assert f"… and {found['figures'] - 4} figures more; --limit shows more." in told


def test_json_has_the_same_for_machines(database: Any) -> None:
    """Counts, and each result that differs with its reasons."""
    _edit(database)
    found = json.loads(_replay("batch_17", "--diff", "--json").out)
    assert (found["users"], found["results"], found["equal"], found["different"]) == (1, 3, 0, 3)
    assert found["jobs"] == {_JOB: 3}
    assert [one["timeRange"] for one in found["differences"]] == ["7day", "30day", "90day"]
    assert all(one["causes"] for one in found["differences"])
    assert found["figures"] == sum(len(one["figures"]) for one in found["differences"])
    assert found["replaced"] == 0


def test_what_was_replaced_since_is_told_with_who_did_it(database: Any) -> None:
    """One result of three, then all of them."""
    later = _of("local-2:batch_1", _CALCULATED + timedelta(hours=1))
    database["analytics"].update_one({"timeRange": "7day"}, {"$set": later})
    told = _replay("batch_17").out
    assert "2 results of 1 user: all would be the same now." in told
    assert "1 of the 3 results that it wrote were replaced since." in told
    assert "written anew by local-2:batch_1 (1 result)." in told
    database["analytics"].update_many({}, {"$set": later})
    told = _replay("batch_17").out
    assert "None of the 3 results that it wrote stands any more." in told
    assert "written anew by local-2:batch_1 (3 results)." in told
    database["analytics"].delete_many({})
    assert "Nothing stands in their place: they expired, or were removed." in _replay("batch_17").out


def test_of_a_name_that_came_again_the_newest_is_meant(database: Any, tmp_path: Path) -> None:
    """Each process counts from batch_1; the older one is found by what its results bear."""
    _log(tmp_path, "batch_17", _CALCULATED + timedelta(days=1), 0)
    assert "It wrote no results." in _replay("batch_17").out
    assert "3 results of 1 user: all would be the same now." in _replay(_JOB).out


def test_nothing_is_written(database: Any) -> None:
    """Neither documents nor results nor a file change."""
    _edit(database)
    before = {name: list(database[name].find()) for name in ("healthmetrics", "analytics")}
    names = sorted(path.name for path in Path().rglob("*"))
    _replay("batch_17", "--diff")
    assert before == {name: list(database[name].find()) for name in ("healthmetrics", "analytics")}
    assert sorted(path.name for path in Path().rglob("*")) == names
    assert set(database.list_collection_names()) == {"healthmetrics", "analytics"}


@pytest.mark.parametrize("name", ["batch_99", "local-9:batch_17", "2025-01-14", "yesterday"])
def test_an_unknown_batch_names_the_newest_ones(database: Any, tmp_path: Path, name: str) -> None:
    """Exit code 2, and what could have been meant."""
    _log(tmp_path, "batch_17", _CALCULATED - timedelta(days=3), 0)
    ended = _replay(name)
    assert ended.code == 2
    assert f"{name!r} is no batch of the log" in ended.err
    assert "batch_17 (2025-01-15 23:00:01 UTC, 3 results); batch_16 (" in ended.err


def test_without_a_log_the_time_of_a_result_is_asked_for(database: Any, tmp_path: Path) -> None:
    """Another machine ran the batch."""
    for path in (tmp_path / "logs").iterdir():
        path.unlink()
    ended = _replay("batch_17")
    assert ended.code == 2
    assert "is empty. A result's calculatedAt, such as 2026-01-31T12:00:00Z" in ended.err
    assert "3 results of 1 user" in _replay("2025-01-15T23:00:00Z").out
