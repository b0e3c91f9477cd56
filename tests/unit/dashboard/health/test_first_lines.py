"""Each page's first line answers its question, whatever the state: a reading test."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import OperationFailure

from dashboard.data.health_data import HealthData
from dashboard.health import anomalies, overview, pipeline, user
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from sources.mongo_client import connect
from tests.support.batches import report
from tests.support.shown import HOSTILE, Switch, show, texts

_NOW = datetime.now(timezone.utc).replace(microsecond=0)
_TODAY = _NOW.replace(hour=0, minute=0, second=0)
_ANN, _BOB = ObjectId("0" * 18 + "aaaaaa"), ObjectId("0" * 18 + "bbbbbb")
_RIGHT_TO_LEFT = "\u202eשלג"
Render = Callable[[HealthData], None]


def _result(owner: Any, metric: str = "steps", anomaly: Any = None, days_ago: int = 0) -> dict[str, Any]:
    """A result of 90 days, calculated 5 minutes ago; `anomaly` has value, usual one and deviation."""
    details = None
    if anomaly:
        value, usual, deviation = anomaly
        details = {
            "detectedAt": _TODAY - timedelta(days=days_ago),
            "actualValue": value,
            "expectedValue": usual,
            "deviation": deviation,
            "severity": "high",
        }
    at = _NOW - timedelta(minutes=5)
    return {
        "userId": owner,
        "metricType": metric,
        "timeRange": "90day",
        "analytics": {"anomalyDetected": details is not None, "anomalyDetails": details},
        "historicalData": [
            {"date": _TODAY - timedelta(days=day), "value": 9000.0 if day < 7 else 8000.0}
            for day in range(14)
        ],
        "calculatedAt": at,
        "expiresAt": at + timedelta(days=90),
    }


_WALK = _result(_ANN, anomaly=(29_763.0, 9_900.0, 8.0))
_FOLLOWS = _result(_ANN, "distance", anomaly=(21.0, 7.0, 7.0))
_SLEPT = _result(_BOB, "sleepHours", anomaly=(3.2, 7.7, -4.0), days_ago=1)
_SMALL = _result(_BOB, "weight", anomaly=(81.5, 81.64, -2.6))
_PLAIN = _result(_BOB)


class _Refused:
    """A collection that the dashboard's user may not read."""

    def __getattr__(self, name: str) -> Any:
        raise OperationFailure("not authorized on d to execute command", 13)


def _data(
    folder: Path, results: Sequence[dict[str, Any]], changed: Any = None, source: Any = None
) -> HealthData:
    """An installation with `results`; `changed` is when Bob's day was written, None without a source."""
    database = connect(f"mongomock://{secrets.token_hex(8)}")["d"]
    for one in results:
        database["analytics"].insert_one(dict(one))
    if changed is not None:
        source = database["healthmetrics"]
        source.create_index([("updatedAt", 1), ("_id", 1)])
        source.insert_one({"userId": _BOB, "updatedAt": changed})
    return HealthData(database["analytics"], folder, folder, "UTC", source)


def _first_line(render: Render, data: HealthData, **query: str) -> str:
    page = show(render, data, **query)
    assert not page.exception
    return re.sub(r"\\([^\w\s])", r"\1", page.markdown[0].value).replace("\xa0", " ").replace("\u2060", "")


_FRESH = _NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("results", "changed", "line"),
    [
        ([], None, "Nobody has results yet."),
        ([_PLAIN], _FRESH, "The only person is up to date (newest 5 min ago). Nobody stands out today."),
        ([_PLAIN], None, "1 person has results (newest 5 min ago). Nobody stands out today."),
        (
            [_WALK, _FOLLOWS, _PLAIN, _SMALL],
            _FRESH,
            (
                "All 2 people are up to date (newest 5 min ago). 1 stands out today: […aaaaaa](user?user="
                f"{_ANN}) walked 29,763 steps, three times the usual; distance follows."
            ),
        ),
        (
            [_WALK, _SLEPT],
            "late",
            (
                "1 of 2 people waits to be computed, for 3 h (newest 5 min ago). 1 stands out today: "
                f"[…aaaaaa](user?user={_ANN}) walked 29,763 steps, three times the usual."
            ),
        ),
        (
            [_SLEPT],
            None,
            "1 person has results (newest 5 min ago). Nobody stands out today; 1 did yesterday.",
        ),
        (
            [_result(_RIGHT_TO_LEFT, anomaly=(3.0, 1.0, 4.0))],
            None,
            (
                "1 person has results (newest 5 min ago). 1 stands out today: שלג walked 3 steps, three "
                "times the usual."
            ),
        ),
    ],
    ids=["empty", "one", "one unknown", "full", "late", "yesterday", "right to left"],
)
def test_the_overview_says_whether_all_is_computed_and_who_stands_out(
    tmp_path: Path, results: list[dict[str, Any]], changed: Any, line: str
) -> None:
    """Up to date only where it is known; at most three names, each a link; small effects do not count."""
    if changed == "late":
        results = [{**one, "calculatedAt": _NOW - timedelta(hours=4)} for one in results]
        results.append({**_PLAIN, "timeRange": "7day", "calculatedAt": _NOW - timedelta(hours=4)})
        changed, line = _NOW - timedelta(hours=3, minutes=1), line.replace("5 min", "4 h")
    assert _first_line(overview.render, _data(tmp_path, results, changed)) == line


def test_those_who_wait_are_named(tmp_path: Path) -> None:
    """With a link to each; a change of just now waits for the next batch and is no reason to worry."""
    old = {**_PLAIN, "timeRange": "7day", "calculatedAt": _NOW - timedelta(hours=4)}
    told = texts(show(overview.render, _data(tmp_path, [old], _NOW - timedelta(hours=3))))
    assert "**1 person** with a change that is not computed, the oldest of 3\xa0h ago: […\u2060bbb" in told
    told = texts(show(overview.render, _data(tmp_path, [old], _NOW - timedelta(minutes=1))))
    assert "Nobody waits for longer than 5 minutes. 1 person changed just now and is next." in told


def test_without_the_right_to_read_documents_pages_say_so(tmp_path: Path) -> None:
    """Overview claims nothing; User names the command that explains; neither shows an error."""
    data = _data(tmp_path, [_PLAIN], source=_Refused())
    page = show(overview.render, data)
    assert not page.error
    assert page.markdown[0].value.startswith("1 person has results")
    assert any("may not read healthmetrics" in info.value for info in page.info)
    page = show(user.render, data, user=str(_BOB), explain="true")
    assert not page.error
    (told,) = (info.value for info in page.info if "may not read healthmetrics" in info.value)
    assert f"pulse explain {_BOB} steps 30day" in told


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ([], "Nothing stands out in the last 30 days."),
        ([_SMALL], "Nothing stands out in the last 30 days."),
        ([_WALK, _FOLLOWS], "1 unusual day of a person is new since yesterday."),
        (
            [_WALK, _SLEPT, _result(_BOB, anomaly=(900.0, 9_000.0, -3.0), days_ago=2)],
            "2 unusual days of a person are new since yesterday; 1 older one of 30 days is still there.",
        ),
        (
            [_result(_BOB, anomaly=(900.0, 9_000.0, -3.0), days_ago=2)],
            "Nothing is new since yesterday; 1 older one of 30 days is still there.",
        ),
    ],
    ids=["empty", "small", "new", "both", "old"],
)
def test_anomalies_says_what_is_new(tmp_path: Path, results: list[dict[str, Any]], line: str) -> None:
    """Events, not values; what is hidden as small is none."""
    assert _first_line(anomalies.render, _data(tmp_path, results)) == line


def test_small_ones_are_shown_when_asked(tmp_path: Path) -> None:
    """Their number is told, with the limits, and a toggle brings them."""
    page = show(anomalies.render, _data(tmp_path, [_WALK, _SMALL]))
    limits = "less than 1\xa0kg of weight, 1\xa0h of sleep and 50\xa0% of anything else away from the usual"
    assert f"1 unusual value is hidden: {limits}." in texts(page)
    assert page.header[0].value == "1 found"
    page.toggle(key="small").set_value(True).run()
    assert page.header[0].value == "2 found"


@pytest.mark.parametrize(
    ("results", "query", "line"),
    [
        ([], {}, "Nobody has results yet."),
        ([_PLAIN], {"user": HOSTILE}, "Nobody with this id has results."),
        (
            [_PLAIN, {**_PLAIN, "timeRange": "7day"}],
            {"user": str(_BOB)},
            (
                "On average this person walked 9,000 steps a day in the last 7 days, 12 % more than in the "
                "7 days before; nothing in them stands out."
            ),
        ),
    ],
    ids=["nobody", "unknown", "one"],
)
def test_user_says_how_the_week_was(
    tmp_path: Path, results: list[dict[str, Any]], query: dict[str, str], line: str
) -> None:
    """Against the week before, and what stands out in it."""
    assert _first_line(user.render, _data(tmp_path, results), **query) == line


@pytest.mark.parametrize("render", [overview.render, anomalies.render, user.render])
def test_what_could_not_be_read_is_not_claimed(tmp_path: Path, render: Render) -> None:
    """A database that is away leaves nothing to say."""
    database = connect(f"mongomock://{secrets.token_hex(8)}")["d"]
    switch: Any = Switch(database["analytics"])
    switch.off = True
    line = _first_line(render, HealthData(switch, tmp_path, tmp_path, "UTC"), user=str(_BOB))
    assert line == "Nothing is known: the results could not be read."


def test_pipeline_says_whether_it_keeps_up(tmp_path: Path) -> None:
    """What waits, when it last asked, dead letters, and a last batch that failed."""
    data = _data(tmp_path, [])
    assert _first_line(pipeline.render, data) == "The service has not run here yet."
    metrics = Metrics(tmp_path)
    metrics.streams_every(60)
    metrics.idle(_NOW - timedelta(minutes=2))
    line = _first_line(pipeline.render, _data(tmp_path, []))
    assert line == "Nothing waits to be computed (last asked 2 min ago); no dead letters."
    failed = report(1, start_time=_NOW - timedelta(seconds=2), end_time=_NOW, success=False, errors=["x"])
    BatchHistory(tmp_path).record(failed)
    assert _first_line(pipeline.render, _data(tmp_path, [])).endswith("The last batch failed.")
