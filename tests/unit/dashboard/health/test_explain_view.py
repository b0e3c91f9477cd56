"""Explain these figures: on the worked example's page, with documents that count and others."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from streamlit.testing.v1 import AppTest

from dashboard.data.health_data import HealthData
from dashboard.health import user
from simulation.health.population import PATTERN_USER_ID, worked_example
from sources.mongo_client import connect
from tests.support.reference import reference_analytics
from tests.support.shown import HOSTILE, show, texts


@pytest.fixture
def database() -> Any:
    """The worked example that ends today, its results, and a document of a source that does not count."""
    now = datetime.now(timezone.utc)
    stored = connect(f"mongomock://{secrets.token_hex(8)}")["d"]
    raw = [
        {**one, "updatedAt": now - timedelta(hours=2)} for one in worked_example(PATTERN_USER_ID, now.date())
    ]
    stored["healthmetrics"].insert_many(raw)
    stored["healthmetrics"].insert_one({**raw[-1], "_id": ObjectId(), "source": HOSTILE})
    run = {"calculatedAt": now - timedelta(hours=1), "metadata": {"sparkJobId": HOSTILE}}
    for result in reference_analytics(raw, "UTC", now.date()).values():
        stored["analytics"].insert_one({**result, **run, "expiresAt": now + timedelta(days=89)})
    return stored


def _page(database: Any, folder: Path) -> AppTest:
    data = HealthData(database["analytics"], folder, folder, "UTC", database["healthmetrics"])
    page = show(user.render, data, user=str(PATTERN_USER_ID), explain="true")
    assert not page.exception
    return page


def _tables(page: AppTest, column: str) -> list[str]:
    """The cells of the tables with a `column`, without the marks that keep Markdown from them."""
    tables = (table.value for table in page.table if column in table.value)
    return [str(cell).replace("\\", "") for table in tables for cell in table.to_numpy().flatten()]


def test_a_figure_tells_what_it_comes_of(database: Any, tmp_path: Path) -> None:
    """The verdict, the formulas with their numbers, and what was left out; data stay text."""
    page = _page(database, tmp_path)
    assert r"**It is equal to the stored result\.**" in texts(page)
    assert any("(18,000 − 8,500) / 836.66 = 11.3547" in cell for cell in _tables(page, "How"))
    why = [cell for cell in _tables(page, "Why") if "PHONE_SOURCES" in cell]
    assert len(why) == 1
    assert "its source, <img" in why[0]
    assert "Written by \\<img" in texts(page)


def test_a_late_change_is_told_on_the_page(database: Any, tmp_path: Path) -> None:
    """As a reason, under the verdict."""
    day = database["healthmetrics"].find_one({}, sort=[("date", -1)])["date"]
    change = {"metrics": {"steps": 1}, "updatedAt": datetime.now(timezone.utc)}
    database["healthmetrics"].update_one({"date": day, "source": {"$ne": HOSTILE}}, {"$set": change})
    told = texts(_page(database, tmp_path)).replace("\\", "")
    assert "**It is not the stored result.**" in told
    assert "- 1 document changed after it was calculated" in told


def test_a_corrected_day_is_computed_at_once(database: Any, tmp_path: Path) -> None:
    """Each field that would change, as it is and as it would be; nothing before a value is typed."""
    page = _page(database, tmp_path)
    assert _tables(page, "Then") == []
    page.number_input(key="correct steps").set_value(20_000.0).run()
    cells = _tables(page, "Then")
    assert cells[:3] == ["rollingAverage", "9,135.714286", "9,978.571429"]
    page.number_input(key="correct steps").set_value(8_200.0).run()
    assert "Nothing would change." in texts(page)
