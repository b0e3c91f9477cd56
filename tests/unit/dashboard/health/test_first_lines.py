"""Each page's first line answers its question, whatever the state: a reading test."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import typer.main
from bson import ObjectId
from pymongo.errors import OperationFailure

from commands import pulse
from dashboard.data.health_data import HealthData
from dashboard.health import anomalies, overview, pipeline, user
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from sources.mongo_client import connect
from tests.support.batches import report
from tests.support.parsing import misuse
from tests.support.shown import HOSTILE, Switch, show, texts

_ANN, _BOB = ObjectId("0" * 18 + "aaaaaa"), ObjectId("0" * 18 + "bbbbbb")
_RIGHT_TO_LEFT = "\u202eשלג"
_AGE = timedelta(hours=5, minutes=30)
Render = Callable[[HealthData], None]


@dataclass(frozen=True)
class _Result:
    """A result, calculated 5 hours ago, with an `anomaly` of some days ago: value, usual one, deviation."""

    owner: Any
    metric: str = "steps"
    anomaly: tuple[float, float, float] | None = None
    days_ago: int = 0
    time_range: str = "90day"

    def stored(self) -> dict[str, Any]:
        """The document as it is now: other days follow while tests run."""
        now = datetime.now(timezone.utc)
        today, at = now.replace(hour=0, minute=0, second=0, microsecond=0), now - _AGE
        details: dict[str, Any] | None = None
        if self.anomaly:
            names = ("actualValue", "expectedValue", "deviation")
            details = {
                **dict(zip(names, self.anomaly, strict=True)),
                "detectedAt": today - timedelta(days=self.days_ago),
                "severity": "high",
            }
        return {
            "userId": self.owner,
            "metricType": self.metric,
            "timeRange": self.time_range,
            "analytics": {"anomalyDetected": details is not None, "anomalyDetails": details},
            "historicalData": [
                {"date": today - timedelta(days=day), "value": 9000.0 if day < 7 else 8000.0}
                for day in range(14)
            ],
            "calculatedAt": at,
            "expiresAt": at + timedelta(days=90),
        }


_WALK = _Result(_ANN, anomaly=(29_763.0, 9_900.0, 8.0))
_FOLLOWS = _Result(_ANN, "distance", anomaly=(21.0, 7.0, 7.0))
_SLEPT = _Result(_BOB, "sleepHours", anomaly=(3.2, 7.7, -4.0), days_ago=1)
_SMALL = _Result(_BOB, "weight", anomaly=(81.5, 81.64, -2.6))
_PLAIN, _WEEK = _Result(_BOB), _Result(_BOB, time_range="7day")
_RESTED = _Result(_BOB, anomaly=(900.0, 9_000.0, -3.0), days_ago=2)


class _Refused:
    """A collection that the dashboard's user may not read."""

    def __getattr__(self, name: str) -> Any:
        raise OperationFailure("not authorized on d to execute command", 13)


def _data(
    folder: Path, results: Sequence[_Result], changed: timedelta | None = None, source: Any = None
) -> HealthData:
    """An installation with `results`; `changed` is how long ago Bob's day was written, if at all."""
    database = connect(f"mongomock://{secrets.token_hex(8)}")["d"]
    for one in results:
        database["analytics"].insert_one(one.stored())
    if changed is not None:
        source = database["healthmetrics"]
        source.create_index([("updatedAt", 1), ("_id", 1)])
        source.insert_one({"userId": _BOB, "updatedAt": datetime.now(timezone.utc) - changed})
    return HealthData(database["analytics"], folder, folder, "UTC", source)


def _first_line(render: Render, data: HealthData, **query: str) -> str:
    page = show(render, data, **query)
    assert not page.exception
    return re.sub(r"\\([^\w\s])", r"\1", page.markdown[0].value).replace("\xa0", " ").replace("\u2060", "")


_FRESH, _LATE = timedelta(hours=6), timedelta(hours=3, minutes=30)


@pytest.mark.parametrize(
    ("results", "changed", "line"),
    [
        ([], None, "Nobody has results yet."),
        ([_PLAIN], _FRESH, "The only person is up to date (newest 5 h ago). Nobody stands out today."),
        ([_PLAIN], None, "1 person has results (newest 5 h ago). Nobody stands out today."),
        (
            [_WALK, _FOLLOWS, _PLAIN, _SMALL],
            _FRESH,
            (
                "All 2 people are up to date (newest 5 h ago). 1 stands out today: […aaaaaa](user?user="
                f"{_ANN}) walked 29,763 steps, three times the usual; distance follows."
            ),
        ),
        (
            [_WALK, _SLEPT, _WEEK],
            _LATE,
            (
                "1 of 2 people waits to be computed, for 3 h (newest 5 h ago). 1 stands out today: "
                f"[…aaaaaa](user?user={_ANN}) walked 29,763 steps, three times the usual."
            ),
        ),
        (
            [_SLEPT],
            None,
            "1 person has results (newest 5 h ago). Nobody stands out today; 1 did yesterday.",
        ),
        (
            [_Result(_RIGHT_TO_LEFT, anomaly=(3.0, 1.0, 4.0))],
            None,
            (
                "1 person has results (newest 5 h ago). 1 stands out today: שלג walked 3 steps, three "
                "times the usual."
            ),
        ),
    ],
    ids=["empty", "one", "one unknown", "full", "late", "yesterday", "right to left"],
)
def test_the_overview_says_whether_all_is_computed_and_who_stands_out(
    tmp_path: Path, results: list[_Result], changed: timedelta | None, line: str
) -> None:
    """Up to date only where it is known; at most three names, each a link; small effects do not count."""
    assert _first_line(overview.render, _data(tmp_path, results, changed)) == line


def test_an_empty_installation_asserts_nothing(tmp_path: Path) -> None:
    """What to do, and no zeros of people who are not there."""
    page = show(overview.render, _data(tmp_path, []))
    assert not {"People", "Stand out today"} & {tile.label for tile in page.metric}
    assert len([info for info in page.info if "There are no analytics yet" in info.value]) == 1


def test_those_who_wait_are_named(tmp_path: Path) -> None:
    """With a link to each; a change of just now waits for the next batch and is no reason to worry."""
    told = texts(show(overview.render, _data(tmp_path, [_WEEK], _LATE)))
    assert "**1 person** with a change that is not computed, the oldest of 3\xa0h ago: […\u2060bbb" in told
    told = texts(show(overview.render, _data(tmp_path, [_WEEK], timedelta(minutes=1))))
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
    (command,) = re.findall(r"`\S*pulse (explain [^`]+)`", told)
    assert command == f"explain {_BOB} steps 30day"
    assert misuse(typer.main.get_command(pulse.app), command.split()) == ""


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ([], "Nothing stands out in the last 30 days."),
        ([_SMALL], "Nothing stands out in the last 30 days."),
        ([_WALK, _FOLLOWS], "1 unusual day of a person is new since yesterday."),
        (
            [_WALK, _SLEPT, _RESTED],
            "2 unusual days of a person are new since yesterday; 1 older one of 30 days is still there.",
        ),
        (
            [_RESTED],
            "Nothing is new since yesterday; 1 older one of 30 days is still there.",
        ),
    ],
    ids=["empty", "small", "new", "both", "old"],
)
def test_anomalies_says_what_is_new(tmp_path: Path, results: list[_Result], line: str) -> None:
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
            [_PLAIN, _WEEK],
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
    tmp_path: Path, results: list[_Result], query: dict[str, str], line: str
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
    metrics, now = Metrics(tmp_path), datetime.now(timezone.utc)
    metrics.streams_every(60)
    metrics.idle(now - timedelta(minutes=150))
    line = _first_line(pipeline.render, _data(tmp_path, []))
    assert line == "Nothing waits to be computed (last asked 2 h ago); no dead letters."
    failed = report(1, start_time=now - timedelta(seconds=2), end_time=now, success=False, errors=["x"])
    BatchHistory(tmp_path).record(failed)
    assert _first_line(pipeline.render, _data(tmp_path, [])).endswith("The last batch failed.")
