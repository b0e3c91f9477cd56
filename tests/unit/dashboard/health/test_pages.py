"""Every page: full, of one user, empty, with the database away, and with hostile text in the data."""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from streamlit.testing.v1 import AppTest

from analytics.health.unusual import events_of
from dashboard.data.health_data import HealthData
from dashboard.data.recent import unusual_in
from dashboard.health import anomalies, overview, pipeline, user
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from simulation.health.population import PATTERN_USER_ID
from sources.mongo_client import connect
from tests.support.analytics_documents import analytics_documents
from tests.support.batches import report
from tests.support.clock import Clock
from tests.support.shown import HOSTILE, Switch, charts, figures, show, texts

_USERS = 3
_RESULT_PAGES = (overview.render, user.render, anomalies.render)
_PAGES = (*_RESULT_PAGES, pipeline.render)
Render = Callable[[HealthData], None]


class _Installation:
    """A database that can be switched off, and the service's folders; no waiting between tries."""

    def __init__(self, folder: Path, documents: list[dict[str, Any]]) -> None:
        self.collection = connect(f"mongomock://{secrets.token_hex(8)}")["d"]["analytics"]
        if documents:
            self.collection.insert_many([dict(document) for document in documents])
        self.switch = Switch(self.collection)
        self.folder = folder
        source: Any = self.switch
        self.data = HealthData(source, folder, folder, "UTC")

    def run_batches(self, **fields: Any) -> None:
        """Two batches, one of them today."""
        history, metrics = BatchHistory(self.folder), Metrics(self.folder)
        now = datetime.now(timezone.utc)
        today = report(1, start_time=now - timedelta(seconds=2), end_time=now, **fields)
        for batch in (report(0, steps_ms={"poll": 1.0, "write": 2.0}), today):
            history.record(batch)
            metrics.observe(batch)


@pytest.fixture
def full(tmp_path: Path) -> _Installation:
    """Three people, the pattern user, and batches."""
    installation = _Installation(tmp_path, analytics_documents(_USERS, datetime.now(timezone.utc)))
    installation.run_batches(
        errors=["1 × metrics.steps: not_a_number"], rejected_by_reason={"not_a_number": 1}
    )
    return installation


@pytest.fixture
def empty(tmp_path: Path) -> _Installation:
    """An installation where nothing has run yet."""
    return _Installation(tmp_path, [])


@pytest.mark.parametrize("render", _PAGES)
def test_pages_have_one_title_and_describe_their_charts(full: _Installation, render: Render) -> None:
    """One first-level heading, charts with a text alternative and a table, tables with a name, no error."""
    page = show(render, full.data)
    assert not page.exception
    assert not page.error
    assert len(page.title) == 1
    # The lines in the cards are those of "Day by day".
    own = [alternative for alternative in charts(page) if not alternative.startswith("Line of ")]
    assert len(own) == len(page.expander) >= 1
    assert all(len(alternative) > 20 for alternative in charts(page))
    assert all(table.proto.alt for table in page.table)


def test_the_overview_tells_the_state(full: _Installation) -> None:
    """People, freshness, who stands out, batches and errors of today."""
    shown = figures(show(overview.render, full.data))
    assert shown["People"] == str(_USERS + 1)
    assert shown["Newest result"].endswith("ago") or shown["Newest result"] == "just now"
    assert shown["Batches today"] == "1"
    assert shown["Errors today"] == "1"
    expected = full.data.recent().value
    assert expected is not None
    today = datetime.now(timezone.utc).date()
    told, _ = events_of(unusual_in(expected.anomalies), full.data.least)
    assert shown["Stand out today"] == str(len({one.user for one in told if one.day == today}))


def test_a_user_can_be_chosen(full: _Installation) -> None:
    """The one calculated last is offered first; the range changes the figures."""
    page = show(user.render, full.data)
    page.selectbox(key="user").select(str(PATTERN_USER_ID)).run()
    page.segmented_control(key="range").set_value("7day").run()
    shown = figures(page)
    assert shown["Steps"] == shown["Average"] == "9,771\xa0steps"
    assert shown["Trend"] == "↗\xa0+11.7\xa0%"
    assert shown["Percentile"] == "23.1"
    assert shown["Current streak"] == "7 days"
    assert any("walked 18,000 steps" in cell for cell in _cells(page))
    page.segmented_control(key="range").set_value("30day").run()
    assert figures(page)["Days with data"] == "47\xa0%"
    assert not page.exception


def test_an_unknown_user_is_told(full: _Installation) -> None:
    """And what an id looks like, without rendering what was typed."""
    page = show(user.render, full.data, user=HOSTILE)
    assert page.info[0].value.startswith(r"There are no analytics for \<img src\=x")


def test_anomalies_can_be_filtered(full: _Installation) -> None:
    """By severity, metric, days and a part of the id; the newest first."""
    page = show(anomalies.render, full.data)
    everything = _found(page)
    assert everything > 3
    page.multiselect(key="severity").select("high").run()
    high = _found(page)
    assert 0 < high < everything
    tables = [table.value for table in page.table if "Severity" in table.value]
    assert tables
    assert all("high" in cell for table in tables for cell in table["Severity"])
    page.multiselect(key="metrics").select("steps").run()
    page.text_input(key="contains").input(str(PATTERN_USER_ID)[:10]).run()
    assert _found(page) == 1
    page.multiselect(key="metrics").set_value(["hydration"]).run()
    assert "Nothing matches" in texts(page)


def _cells(page: AppTest) -> list[str]:
    """What stands in the tables, without the marks that keep Markdown from it."""
    cells = (cell for table in page.table for cell in table.value.to_numpy().flatten())
    return [str(cell).replace("\\", "") for cell in cells]


def _found(page: AppTest) -> int:
    return int(page.header[0].value.split()[0].replace(",", ""))


def test_the_pipeline_shows_batches_and_what_was_refused(full: _Installation) -> None:
    """Figures of the metrics file, durations, reasons, errors."""
    page = show(pipeline.render, full.data)
    shown = figures(page)
    assert shown["Batches, all time"] == "2"
    assert shown["Median"].startswith("1.7") or shown["Median"].startswith("1.8")
    tables = [table.value for table in page.table]
    assert any("not" in str(table.get("Reason")) for table in tables)
    assert any("metrics" in str(table.get("Error")) for table in tables)


@pytest.mark.parametrize("render", _RESULT_PAGES)
def test_without_analytics_pages_say_what_to_do(empty: _Installation, render: Render) -> None:
    """An empty collection is no error."""
    page = show(render, empty.data)
    assert not page.exception
    assert not page.error
    assert any("pulse run`" in info.value for info in page.info)


@pytest.mark.parametrize("render", [overview.render, pipeline.render])
def test_without_a_batch_log_pages_say_what_to_do(empty: _Installation, render: Render) -> None:
    """The folder and the settings are named."""
    page = show(render, empty.data)
    assert any("LOG_DIRECTORY" in info.value for info in page.info)


@pytest.mark.parametrize("render", _RESULT_PAGES)
def test_a_database_that_goes_away_leaves_the_last_state(
    full: _Installation, render: Render, clock: Clock
) -> None:
    """The same figures, with their age and one sentence with the remedy; no secret of the address."""
    page = show(render, full.data)
    before = figures(page), len(charts(page)), len(page.table)
    full.switch.off = True
    clock.seconds += 3600
    page.run()
    assert not page.exception
    assert (figures(page), len(charts(page)), len(page.table)) == before
    (error,) = page.error
    assert "does not answer" in error.value
    assert "last state" in error.value
    assert "hunter2" not in texts(page)
    full.switch.off = False
    clock.seconds += 3600
    assert not page.run().error


@pytest.mark.parametrize("render", _RESULT_PAGES)
def test_a_database_that_was_never_there_is_told(full: _Installation, render: Render) -> None:
    """Nothing to show, one sentence, and the files are still shown."""
    full.switch.off = True
    page = show(render, full.data)
    assert not page.exception
    assert "Nothing was read yet" in page.error[0].value
    if render is overview.render:
        assert figures(page)["Batches today"] == "1"


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    """Ids, metrics, messages, batch ids and errors are escaped wherever they are shown."""
    documents = analytics_documents(1, datetime.now(timezone.utc))
    for document in documents:
        details = document["analytics"]["anomalyDetails"] or {"detectedAt": document["calculatedAt"]}
        hostile = {**details, "message": HOSTILE, "severity": HOSTILE}
        document["analytics"] = {**document["analytics"], "anomalyDetails": hostile, "trend": HOSTILE}
    strange = [{**document, "userId": HOSTILE} for document in documents if document["timeRange"] == "90day"]
    installation = _Installation(tmp_path, [*documents, *strange])
    installation.run_batches(errors=[HOSTILE], rejected_by_reason={HOSTILE: 1}, batch_id=HOSTILE)
    for render in _PAGES:
        page = show(render, installation.data)
        assert not page.exception
        cells = [str(cell) for table in page.table for cell in table.value.to_numpy().flatten()]
        shown = "\n".join([*cells, texts(page), *(metric.value for metric in page.metric)])
        assert "img" in shown
        unescaped = re.sub(r"\\[^\w\s]", "", shown)
        for live in ("<img", "![", "](http", "](javascript", ":red[z]"):
            assert live not in unescaped, (render.__module__, live)


def test_a_wrong_address_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The whole app, with a setting that cannot be used: no traceback, the setting named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URI", "http://someone:hunter2@db")
    app = Path(__file__).parents[4] / "dashboard" / "app.py"
    # The test runner's options are none of the dashboard's.
    monkeypatch.setattr(sys, "argv", [str(app)])
    page = AppTest.from_file(str(app), default_timeout=300).run()
    assert not page.exception
    assert "MONGO_URI" in page.error[0].value.replace("\\", "")
    assert "hunter2" not in page.error[0].value


def test_ids_that_are_no_objectids_are_no_links(tmp_path: Path) -> None:
    """Only what can be an id becomes a link to the user's page."""
    documents = analytics_documents(1, datetime.now(timezone.utc))
    known = ObjectId()
    # Who always has something that stands out, whatever day it is.
    for document in documents:
        if document["userId"] == PATTERN_USER_ID:
            document["userId"] = known
    page = show(anomalies.render, _Installation(tmp_path, documents).data)
    links = {link for table in page.table if "Who" in table.value for link in table.value["Who"]}
    assert f"[…\u2060{str(known)[-6:]}](user?user={known})" in links
