"""A metricType is added in one table: contracts/health.py, METRICS."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.own_process import run_program

# The entry is there before anything else of ours is imported, as if it stood in the table.
_PROGRAM = """
import json, sys
from contracts.health import METRICS, Metric

METRICS["mood"] = Metric("Mood", "points", 1, 10, neutral=True)

from datetime import date, datetime, timedelta, timezone
from bson import ObjectId

from analytics.health.history_table import history_table
from analytics.health.results import CalculatedResults
from analytics.health.validation import DayRules, check_document
from analytics.health.compute import compute
from commands.user_view import METRICS
from dashboard.health.names import metric_name, unit
from pipelines.health.recompute.executor_tasks import HISTORY_DDL
from session import build_session
from settings import load

user, first = ObjectId(), datetime(2025, 1, 1, tzinfo=timezone.utc)
raw = [
    {
        "_id": ObjectId(),
        "userId": user,
        "date": first + timedelta(days=number),
        "metrics": {"steps": 5000, "mood": mood},
        "source": "manual",
        "updatedAt": first + timedelta(days=number, hours=22),
    }
    for number, mood in enumerate([4, 8, 99])
]
rules = DayRules(today=date(2025, 1, 3))
checked = check_document(raw[2], rules)
history = history_table(raw, [user], rules)
extra = {"spark.sql.warehouse.dir": sys.argv[1], "spark.local.dir": sys.argv[1]}
spark = build_session(load(env_file=None, spark_master="local[1]").spark, False, extra)
result = compute(spark, history, 1)
spark.stop()
documents = CalculatedResults(result, [user], first, {}).documents(range(result.num_rows))
week = next(each for each in documents if (each["metricType"], each["timeRange"]) == ("mood", "7day"))
print(json.dumps({
    "refused": [(one.field, one.reason) for one in checked.rejections],
    "history": history.column("mood").to_pylist(),
    "mean": week["analytics"]["rollingAverage"],
    "documents": sorted({each["metricType"] for each in documents}),
    "improvement": week["analytics"]["comparisonToPrevious"]["isImprovement"],
    "shown": [metric_name("mood"), unit("mood"), "mood" in METRICS],
    "executors": "mood double" in HISTORY_DDL,
}))
"""


def test_a_metric_type_is_added_in_one_table(tmp_path: Path) -> None:
    """Validation, history, formulas, documents, executors, commands and pages take it from there."""
    run = run_program(_PROGRAM, tmp_path)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "refused": [["metrics.mood", "out_of_range"]],
        "history": [4.0, 8.0, None],
        "mean": 6.0,
        "documents": ["mood", "steps"],
        "improvement": None,
        "shown": ["Mood", "points", True],
        "executors": True,
    }
