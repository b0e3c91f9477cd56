"""docs/results.md has every field that the code writes and no other, with examples that are true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from bson import ObjectId

from analytics.esports.rules import DATASETS, ORIGIN_FIELDS
from analytics.health.basis import Basis, Fingerprint
from analytics.health.documents import _anomaly as anomaly_details
from analytics.health.past import Past
from analytics.health.results import CalculatedResults
from analytics.health.schemas import RESULT_SCHEMA
from pipelines.health.recompute.on_driver import run_metadata
from sinks.ecommerce.schema import ensure_tables
from sinks.health.newer_wins import write_newer
from sinks.parquet.dataset import LEDGER, Ledger
from sinks.stock import archive
from sinks.stock.ledger import COLLECTION, Settled, StockLedger
from sinks.stock.publish_ranking import Publication
from sinks.stock.retirement import Retirement
from sinks.stock.schema import WINNERS
from sources.mongo_client import connect
from tests.support import worked_example as example
from tests.support.documents import ROOT
from tests.support.reference import reference_analytics
from tests.support.stock_database import shop_events, write_events
from tests.support.stock_events import credit, void
from tests.unit.analytics.health.test_documents import ROW

PAGE = ROOT / "docs" / "results.md"
# What is in them is for the pipeline alone.
_OPAQUE = ("outcome", "notes", "holder")

Fields = dict[str, set[str]]


def _rows() -> Iterator[tuple[str, list[str], list[str]]]:
    """The section in which a row stands, the fields that it names, its other cells."""
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = next(iter(re.findall(r"`([^`]+)`", line)), "")
        elif line.startswith("| `"):
            first, *cells = line.strip("| ").split(" | ")
            yield section, re.findall(r"`([^`]+)`", first), [cell.strip() for cell in cells]


def _documented() -> Fields:
    found: Fields = {}
    for section, names, _ in _rows():
        assert not found.get(section, set()) & set(names), "a field stands there twice"
        found.setdefault(section, set()).update(names)
    return found


def _fields(document: Mapping[str, Any], prefix: str = "") -> set[str]:
    """The dotted paths of a document's fields, also of those within lists; without `_id`."""
    found = set()
    for name, value in document.items():
        if name == "_id":
            continue
        found.add(f"{prefix}{name}")
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and name not in _OPAQUE:
                found |= _fields(inner, f"{prefix}{name}.")
    return found


def _health() -> Fields:
    """A document with all optional parts, written to an embedded store."""
    now, users = datetime(2025, 7, 2, tzinfo=timezone.utc), [ObjectId()]
    spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(applicationId="local-1"), version="4.2.1")
    metadata = run_metadata(spark, "b1", 0.0, 7)
    results = CalculatedResults(
        pa.Table.from_pylist([{**ROW, "range": "7day"}], RESULT_SCHEMA),
        users,
        now,
        metadata,
        [Past(20_000).stored("a")],
        {users[0]: Basis(Fingerprint(), frozenset({ROW["metric"]}))},
    )
    collection = connect(f"mongomock://{ObjectId()}")["x"]["analytics"]
    write_newer(collection, results, users, now, SimpleNamespace(now=lambda: now))
    return {"analytics": _fields(collection.find_one({}) or {})}


def _stock() -> Fields:
    """What the writer leaves of a shop's events, the second time with a ranking that changed."""
    database = connect(f"mongomock://{ObjectId()}")["stock"]
    write_events(database, [*shop_events(), credit("N1", "I1"), void("V1", "I2")])
    Publication(database, WINNERS).publish(list, datetime.now(timezone.utc) + timedelta(seconds=1))
    ledger = StockLedger(database)
    ledger.take_over(lambda: 0)
    ledger.note(rules="")
    some = database["sales"].find_one_and_update({}, {"$set": {"timestamp": datetime(2020, 1, 1)}})  # noqa: DTZ001
    assert some
    settled = ledger.read()
    assert isinstance(settled, Settled)
    assert Retirement(database, ledger, settled).run(datetime(2021, 1, 1, tzinfo=timezone.utc)) == 1
    found = {
        name: set().union(*map(_fields, database[name].find({}))) for name in database.list_collection_names()
    }
    assert COLLECTION in found
    kept = set(archive._SCHEMA.names) | {"kind"}  # the columns have no other list
    return {**found, f"STOCK_COLD_PATH/{archive.DATASET}": kept}


def _esports() -> Fields:
    found = {dataset.name: {*dataset.fields, *ORIGIN_FIELDS, *dataset.partitions} for dataset in DATASETS}
    return {**found, LEDGER: set(json.loads(Ledger(("1",)).as_bytes()))}


def _ecommerce() -> Fields:
    """What `ensure_tables` makes of an empty database."""
    statements: list[str] = []

    def execute(statement: str, _values: object = None) -> Any:
        statements.append(statement)
        return SimpleNamespace(fetchone=lambda: (None,), fetchall=lambda: [(None,)])

    ensure_tables(cast("Any", SimpleNamespace(execute=execute)))
    found: Fields = {}
    for statement in statements:
        for kind, name, body in re.findall(r"CREATE (TABLE|\w*VIEW) (\w+) (.*)", statement, re.DOTALL):
            assert kind == "TABLE", "read the columns of a view, too"
            found[name] = set(re.findall(r"^\s+([a-z_]+) [A-Z]", body, re.MULTILINE))
    return found


@pytest.mark.parametrize("written", [_health, _stock, _esports, _ecommerce])
def test_every_field_that_is_written_is_on_the_page(written: Any) -> None:
    """A field that is added or renamed is added to or renamed on the page."""
    page = _documented()
    missing = {name: fields - page.get(name, set()) for name, fields in written().items()}
    assert {name: fields for name, fields in missing.items() if fields} == {}


def test_no_other_field_is_on_the_page() -> None:
    """What is not written any more leaves the page, with its section."""
    written = {**_health(), **_stock(), **_esports(), **_ecommerce()}
    extra = {name: names - written.get(name, set()) for name, names in _documented().items()}
    assert {name: names for name, names in extra.items() if names} == {}
    assert _documented().keys() == written.keys()


def test_the_result_that_readme_shows_is_the_worked_examples() -> None:
    """Each of its figures and words, as far as the figures are shown."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = (json.loads(text) for text in re.findall(r"```json\n(.+?)```", readme, re.DOTALL))
    expected = reference_analytics(example.documents(), "UTC", example.TODAY)
    week = expected[example.USER, shown["metricType"], shown["timeRange"]]
    anomaly = week["analytics"]["anomalyDetails"]
    # The reference knows no sentences.
    row = {
        "metric": shown["metricType"],
        "anomaly_value": anomaly["actualValue"],
        "anomaly_expected": anomaly["expectedValue"],
        "anomaly_deviation": anomaly["deviation"],
        "anomaly_severity": anomaly["severity"],
        "anomaly_day": anomaly["detectedAt"].timestamp() // 86_400,
    }
    figures = {**week["analytics"], "anomalyDetails": anomaly_details(row)}
    details = shown["analytics"].pop("anomalyDetails")
    assert len(shown["analytics"]) > 3
    for name, value in [*shown["analytics"].items(), *details.items()]:
        there = {**figures, **figures["anomalyDetails"]}[name]
        assert value == (pytest.approx(there, abs=0.005) if isinstance(value, float) else there), name


def test_the_examples_are_those_of_the_worked_example() -> None:
    """Each figure of `analytics` that the page shows is the reference's, as far as it is shown."""
    expected = reference_analytics(example.documents(), "UTC", example.TODAY)
    week = expected[example.USER, "steps", "7day"]
    compared = 0
    for section, (path, *_), cells in _rows():
        shown = cells[-1].strip("`")
        if section != "analytics" or path.partition(".")[0] in ("metadata", "historicalData"):
            continue
        value: Any = week
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is None or isinstance(value, dict):
            continue
        compared += 1
        if isinstance(value, datetime):
            assert shown == f"{value:%Y-%m-%d}", path
        elif isinstance(value, bool) or not isinstance(value, int | float):
            assert shown == str(value).lower() if isinstance(value, bool) else str(value), path
        else:
            assert float(shown) == pytest.approx(value, abs=0.005), path
    assert compared > 20
