"""What Home says of each pipeline: its sentence, and whether it dares to say that all is up to date."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from analytics.health.unusual import events_of
from dashboard.data.condition import Signs
from dashboard.data.esports_data import EsportsData
from dashboard.data.health_data import HealthData
from dashboard.data.recent import unusual_in
from dashboard.data.remembered import Loaded
from dashboard.data.stock_data import StockData
from dashboard.data.stock_today import MOST, Today
from dashboard.esports import pages as esports
from dashboard.health import pages as health
from dashboard.page import Verdict
from dashboard.stock import pages as stock
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from sources.mongo_client import connect
from tests.support.analytics_documents import analytics_documents
from tests.support.batches import report
from tests.support.esports_dataset import Writer
from tests.support.shown import Switch
from tests.support.stock_database import shop_events, write_events
from tests.support.stock_events import credit, product, sale

_NOW = datetime.now(timezone.utc)


def _looked(seconds: float) -> Signs:
    return Signs(60.0, looked=_NOW - timedelta(seconds=seconds))


def _health(folder: Path, calculated: datetime = _NOW) -> HealthData:
    collection = connect(f"mongomock://{secrets.token_hex(8)}")["d"]["analytics"]
    collection.insert_many([dict(document) for document in analytics_documents(3, calculated)])
    return HealthData(collection, folder, folder, "UTC")


def test_people_are_up_to_date_while_the_stream_works(tmp_path: Path) -> None:
    """And of a dead one nobody knows: its results are as good as the last thing it saw."""
    fresh, old = _health(tmp_path), _health(tmp_path, _NOW - timedelta(hours=2))
    assert health.judge(fresh, _looked(1), _NOW).sentence.startswith("All 4 people up to date. ")
    assert health.judge(old, _looked(1), _NOW).sentence.startswith("All 4 people up to date. ")
    dead = health.judge(old, _looked(7_200), _NOW)
    assert dead.sentence.startswith("4 people; changes since then are not computed. ")
    newest = old.recent().value
    assert newest
    assert dead.signs.newest == newest.newest


def test_who_stands_out_is_counted_once_however_many_metrics_do(tmp_path: Path) -> None:
    """Of today by the clock of the analytics; the day after nobody does."""
    data = _health(tmp_path)
    recent = data.recent().value
    assert recent
    # As Overview counts them: what is too small to tell does not count.
    found = events_of(unusual_in(recent.anomalies), data.least)[0]
    users = {one.user for one in found if one.day >= _NOW.date()}
    sentence = health.judge(data, _looked(1), _NOW).sentence
    assert ("Nobody stands out today." if not users else f"**{len(users)}** stand") in sentence
    one = replace(recent, anomalies=recent.anomalies.assign(day=_NOW.date(), user="a"))
    data.recent = lambda: Loaded(one, _NOW)  # type: ignore[method-assign]
    assert health.judge(data, _looked(1), _NOW).sentence.endswith("**1** stands out today.")
    later = _NOW + timedelta(days=1)
    assert health.judge(data, _looked(1), later).sentence.endswith("Nobody stands out today.")


def test_a_backlog_is_told(tmp_path: Path) -> None:
    """While changes wait nobody is called up to date."""
    metrics = Metrics(tmp_path)
    metrics.registry.gauge("backlog_documents", "Waiting").set(1_204)
    metrics.write()
    sentence = health.judge(_health(tmp_path), _looked(1), _NOW).sentence
    assert sentence.startswith("4 people; 1,204 changes not yet computed.")


# Midnight in UTC, whatever the day: of a month, a year, and where clocks elsewhere were set.
_DAYS = [
    datetime(2026, 3, 1, 0, 0, 0, tzinfo=timezone.utc),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone.utc),
    datetime(2027, 1, 1, 0, 0, 1, tzinfo=timezone.utc),
    datetime(2028, 2, 29, 12, tzinfo=timezone.utc),
    datetime(2026, 10, 25, 1, 30, tzinfo=timezone.utc),
]


def _sold(moment: datetime, number: str) -> dict[str, Any]:
    return {**sale(number), "timestamp": moment.isoformat()}


@pytest.mark.parametrize("now", _DAYS, ids=[f"{day:%Y-%m-%d}" for day in _DAYS])
def test_a_shop_tells_what_it_sold_and_refused_today(tmp_path: Path, now: datetime) -> None:
    """From midnight to midnight UTC, by the invoices' own times; a credit note is no sale."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    moments = [midnight - timedelta(seconds=1), midnight, now, midnight + timedelta(hours=23, minutes=59)]
    database = connect(f"mongomock://{secrets.token_hex(8)}")["stock"]
    events = [product("P1"), *(_sold(moment, f"I{n}") for n, moment in enumerate(moments))]
    write_events(database, [*events, {**credit("N1", "I1"), "timestamp": midnight.isoformat()}])
    history = BatchHistory(tmp_path, "stock")
    for number, end in enumerate([midnight - timedelta(seconds=1), midnight, now]):
        history.record(report(number, end_time=end, start_time=end, rejected_by_reason={"conflict": 2}))
    sentence = stock.judge(StockData(database, logs=tmp_path), _looked(1), now).sentence
    assert sentence == "**3 sales today**, 4 refused; no product is at risk."
    tomorrow = midnight + timedelta(days=1)
    assert stock.judge(StockData(database, logs=tmp_path), _looked(1), tomorrow).sentence.startswith(
        "**No sale today**; "
    )


def test_a_shop_without_index_and_log_tells_all_its_sales(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the version before left it: no day is counted by looking at every sale."""
    database = connect(f"mongomock://{secrets.token_hex(8)}")["stock"]
    write_events(database, shop_events())
    data = StockData(database)
    monkeypatch.setattr(data, "today", lambda _now: Loaded(Today(None, None), _NOW))
    standing = data.standing().value
    assert standing
    found = stock.judge(data, _looked(1), _NOW)
    sales, risks = standing.status.documents["sales"], standing.risk_count
    assert found.sentence == f"**{sales} sales**; {risks} products may bring a loss."
    assert found.signs.newest == standing.status.last_batch
    monkeypatch.setattr(data, "today", lambda _now: Loaded(Today(MOST, 0), _NOW))
    assert stock.judge(data, _looked(1), _NOW).sentence.startswith("**at least 100,000 sales today**, 0 ref")


def test_a_season_tells_what_is_played(tmp_path: Path) -> None:
    """And when its newest batch was written."""
    Writer(tmp_path).season(40, _NOW - timedelta(hours=2))
    data = EsportsData(tmp_path)
    latest = data.matches().value
    assert latest
    live = int((latest.rows["status"] == "live").sum())
    found = esports.judge(data, _looked(1))
    assert found.sentence.startswith(f"**{live} match")
    assert found.signs.newest == latest.newest


def _empty_health(folder: Path) -> Verdict:
    collection = connect(f"mongomock://{secrets.token_hex(8)}")["d"]["analytics"]
    return health.judge(HealthData(collection, folder, folder, "UTC"), _looked(1), _NOW)


def _health_away(folder: Path) -> Verdict:
    switch: Any = Switch(connect(f"mongomock://{secrets.token_hex(8)}")["d"]["analytics"])
    switch.off = True
    return health.judge(HealthData(switch, folder, folder, "UTC"), _looked(1), _NOW)


def _empty_stock(_folder: Path) -> Verdict:
    data = StockData(connect(f"mongomock://{secrets.token_hex(8)}")["stock"])
    return stock.judge(data, _looked(1), _NOW)


def _empty_esports(folder: Path) -> Verdict:
    return esports.judge(EsportsData(folder), _looked(1))


@pytest.mark.parametrize(
    ("judge", "fault"),
    [
        (_empty_health, ""),
        (_health_away, "MongoDB does not answer"),
        (_empty_stock, ""),
        (_empty_esports, ""),
    ],
)
def test_without_results_there_is_no_sentence(
    judge: Callable[[Path], Verdict], fault: str, tmp_path: Path
) -> None:
    """Nothing is asserted of what could not be seen; a fault is told in its own words."""
    found = judge(tmp_path)
    assert (found.sentence, found.has_data, found.signs.newest) == ("", False, None)
    assert (found.signs.fault or "").startswith(fault)
    assert bool(found.signs.fault) == bool(fault)
