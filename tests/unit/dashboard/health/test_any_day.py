"""The health pages on any date: what is today, and what is new, is so by the clock that they are given."""

from __future__ import annotations

import re
import secrets
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId

from dashboard.data import recent, waiting
from dashboard.data.health_data import HealthData
from dashboard.health import anomalies, overview, pipeline, user
from monitoring.batch_history import BatchHistory
from sources.mongo_client import connect
from tests.support.batches import report
from tests.support.shown import figures, show, texts

_ANN = ObjectId("0" * 18 + "aaaaaa")
# In UTC, and the zone whose days count: ends of months and years, a leap day, clocks put forward and back.
_MOMENTS = [
    ("2026-03-01T00:00:01", "UTC"),
    ("2026-12-31T23:59:59", "UTC"),
    ("2026-12-31T23:30:00", "Asia/Kathmandu"),
    ("2027-01-01T02:00:00", "America/New_York"),
    ("2028-02-29T12:00:00", "UTC"),
    ("2026-03-29T00:59:59", "Europe/Berlin"),
    ("2026-10-25T00:30:00", "Europe/Berlin"),
    ("2026-10-24T22:30:00", "Europe/Berlin"),
    ("2026-04-04T13:59:00", "Pacific/Auckland"),
]


def _result(day: date, walked_on: date, now: datetime) -> dict[str, Any]:
    def midnight(one: date) -> datetime:
        return datetime(one.year, one.month, one.day, tzinfo=timezone.utc)

    details = {"detectedAt": midnight(walked_on), "severity": "high", "deviation": 8.0}
    details |= {"actualValue": 29_763.0, "expectedValue": 9_900.0}
    history = [{"date": midnight(day - timedelta(days=back)), "value": 9_900.0} for back in range(14)]
    return {
        "userId": _ANN,
        "metricType": "steps",
        "timeRange": "90day",
        "analytics": {"anomalyDetected": True, "anomalyDetails": details},
        "historicalData": history,
        "calculatedAt": now - timedelta(minutes=5),
        "expiresAt": now - timedelta(minutes=5) + timedelta(days=90),
    }


def _data(folder: Path, monkeypatch: pytest.MonkeyPatch, moment: str, zone: str, days_ago: int) -> HealthData:
    now = datetime.fromisoformat(f"{moment}+00:00")
    for module in (recent, waiting):
        monkeypatch.setattr(module, "server_now", lambda _collection: now)
    collection = connect(f"mongomock://{secrets.token_hex(8)}")["d"]["analytics"]
    today = now.astimezone(ZoneInfo(zone)).date()
    collection.insert_one(_result(today, today - timedelta(days=days_ago), now))
    history = BatchHistory(folder)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for number, end in enumerate([midnight - timedelta(seconds=1), midnight, now]):
        history.record(report(number, start_time=end, end_time=end))
    polled = f"health_last_poll_timestamp_seconds {now.timestamp() - 60}\n"
    (folder / "spark_analytics_metrics.prom").write_text(polled)
    return HealthData(collection, folder, folder, zone, now=lambda: now)


@pytest.mark.parametrize(("moment", "zone"), _MOMENTS, ids=[f"{at} {zone}" for at, zone in _MOMENTS])
@pytest.mark.parametrize("days_ago", [0, 1, 2])
def test_a_day_is_one_of_the_zone_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, zone: str, days_ago: int
) -> None:
    """Who walked far today stands out today; yesterday's is new still, that of the day before is not."""
    data = _data(tmp_path, monkeypatch, moment, zone, days_ago)
    first = show(overview.render, data)
    assert not first.exception
    told = str(first.markdown[0].value).replace("\\", "").replace("\xa0", " ")
    ends = ("1 stands out today: ", "Nobody stands out today; 1 did yesterday.", "Nobody stands out today.")
    assert told.startswith("1 person has results (newest 5 min ago). ")
    assert ends[days_ago] in told
    assert figures(first)["Stand out today"] == str(int(days_ago == 0))
    assert figures(first)["Batches today"] == "2"
    listed = show(anomalies.render, data)
    assert ("New since yesterday" in texts(listed)) == (days_ago < 2)
    assert ("Still there" in texts(listed)) == (days_ago == 2)
    assert not show(user.render, data, user=str(_ANN)).exception
    ran = show(pipeline.render, data)
    assert re.search(r"last asked 1\xa0min ago", str(ran.markdown[0].value))
