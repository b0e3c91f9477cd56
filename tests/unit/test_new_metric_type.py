"""A metricType is added in a file of the team's own, which METRIC_CATALOGUE names, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.own_process import run_program

_CATALOGUE = """
[restingHeartRate]
label = Resting heart rate
unit = bpm
range = 30 to 220
better = less
streak = < 60

[hydration]
use = no

[steps]
streak = >= 6000
"""
# The mean falls, the last two days have a streak, 900 is outside the range.
_PROGRAM = """
import json, sys
from datetime import date, datetime, timedelta, timezone
from bson import ObjectId

from analytics.health.compute import compute
from analytics.health.explanation import compute_plainly
from analytics.health.history_table import history_table
from analytics.health.results import CalculatedResults
from analytics.health.schemas import RANGES
from analytics.health.validation import DayRules, check_document
from commands.user_view import METRICS
from dashboard.health.names import metric_name, unit
from pipelines.health.stores import task_plan
from session import build_session
from settings import load
from simulation.health.population import Population
from sources.health.replies import fields

settings = load(env_file=None, spark_master="local[1]")
user, first = ObjectId(), datetime(2025, 1, 1, tzinfo=timezone.utc)
pulses = [70.0] * 7 + [61, 62, 900, 63, 64, 59, 58]
raw = [
    {
        "_id": ObjectId(),
        "userId": user,
        "date": first + timedelta(days=number),
        "metrics": {"steps": 5999 + number % 2, "restingHeartRate": pulse, "hydration": 2},
        "source": "manual",
        "updatedAt": first + timedelta(days=number, hours=22),
    }
    for number, pulse in enumerate(pulses)
]
rules = DayRules(today=date(2025, 1, 14))
history = history_table(raw, [user], rules)
extra = {"spark.sql.warehouse.dir": sys.argv[1], "spark.local.dir": sys.argv[1]}
spark = build_session(settings.spark, False, extra)
result = compute(spark, history, 1)
spark.stop()
documents = CalculatedResults(result, [user], first, {}).documents(range(result.num_rows))
by_key = {(each["metricType"], each["timeRange"]): each["analytics"] for each in documents}
pulse, steps = by_key["restingHeartRate", "7day"], by_key["steps", "7day"]
values = history.column("restingHeartRate").to_pylist()
days = history.column("day").to_pylist()
series = {day: value for day, value in zip(days, values) if value is not None}
plain = {name: compute_plainly("restingHeartRate", name, series)["analytics"] for name in RANGES}
people = Population(1, 1, 1, rules.today)
simulated = people._document(people._people[0], rules.today, first)
print(json.dumps({
    "refused": [(one.field, one.reason) for one in check_document(raw[9], rules).rejections],
    "documents": sorted({metric for metric, _ in by_key}),
    "improvement": pulse["comparisonToPrevious"]["isImprovement"],
    "streaks": [pulse["streakDays"], steps["streakDays"], steps["longestStreak"]],
    "plain": all(by_key["restingHeartRate", name] == one for name, one in plain.items()),
    "shown": [metric_name("restingHeartRate"), unit("restingHeartRate"), "restingHeartRate" in METRICS],
    "executors": "restingHeartRate" in task_plan(settings).metrics,
    "read": ["metrics.restingHeartRate" in fields(), "metrics.hydration" in fields()],
    "simulated": 30 <= simulated["metrics"]["restingHeartRate"] <= 220,
}))
"""


def test_a_metric_type_is_added_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation, history, formulas, streaks, documents, executors, commands, pages and people follow it."""
    catalogue = tmp_path / "own.ini"
    catalogue.write_text(_CATALOGUE, encoding="utf-8")
    monkeypatch.setenv("METRIC_CATALOGUE", str(catalogue))
    run = run_program(_PROGRAM, tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "refused": [["metrics.restingHeartRate", "out_of_range"]],
        "documents": ["restingHeartRate", "steps"],
        "improvement": True,
        "streaks": [2, 1, 1],
        "plain": True,
        "shown": ["Resting heart rate", "bpm", True],
        "executors": True,
        "read": [True, False],
        "simulated": True,
    }
