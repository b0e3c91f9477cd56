"""A plan that runs again gives what a fresh one gives, and is never run where it could not."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import date
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from analytics.health import compute as module
from analytics.health import kept_plan
from analytics.health.compute import analytics_of, compute
from analytics.health.history_table import history_schema, history_table
from analytics.health.kept_plan import KeptPlans
from analytics.health.schemas import RESULT_SCHEMA
from analytics.health.validation import DayRules
from tests.support.own_process import run_program
from tests.support.strategies import Document, histories, new_id, random_documents

_SPARKS_ERRORS = (PySparkException, Py4JError)
_RULES = DayRules("UTC", today=date(2025, 6, 30))


def _table(documents: list[Document]) -> pa.Table:
    users = sorted({each["userId"] for each in documents if isinstance(each.get("userId"), ObjectId)})
    return history_table(documents, users, _RULES)


def _random(seed: int, people: int, days: int) -> pa.Table:
    rng = random.Random(seed)
    return _table(random_documents(rng, [new_id(rng) for _ in range(people)], days))


def _rows(result: pa.Table) -> list[str]:
    """To the last bit, in any order."""
    return sorted(map(repr, result.to_pylist()))


def _fresh(spark: SparkSession, history: pa.Table) -> list[str]:
    days = analytics_of(spark.createDataFrame(history).coalesce(1))
    return _rows(days.toArrow().select(RESULT_SCHEMA.names).cast(RESULT_SCHEMA))


def _plan(number: int = 0) -> Any:
    made = module._plans()._plans[number]._made
    return made and made[1]


@settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(histories(users=4), min_size=2, max_size=4), st.integers(0, 99), st.integers(1, 12))
def test_any_sequence_of_histories(
    spark: SparkSession, parts: list[list[Document]], seed: int, people: int
) -> None:
    """Other users, more or fewer of them, metrics without values: the same plans, a fresh plan's results."""
    others = [_random(seed, people, 100), _random(seed + 1, 1, 3), _random(seed, people, 9)]
    compute(spark, others[0], 1)
    before = _plan()
    for table in filter(len, [*others, *map(_table, parts)]):
        assert _rows(compute(spark, table, 1)) == _fresh(spark, table)
    assert _plan() is before is not None


def test_parts_side_by_side_are_the_whole(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut between users, whose rows may come in any order, for as many plans as there are cores."""
    table = _random(3, 9, 60)
    mixed = table.take(random.Random(1).sample(range(len(table)), len(table)))
    for name in ("_LEAST_ROWS", "_MOST_ROWS"):
        monkeypatch.setattr(kept_plan, name, 50)
    for _ in range(3):
        assert _rows(compute(spark, mixed, 9)) == _fresh(spark, table)
    assert _plan(1) is not None
    cut = kept_plan._parts(mixed, 2)
    assert len(cut) > 2
    assert sum(len(part.column("user").unique()) for part in cut) == len(table.column("user").unique())


def test_batches_at_the_same_time_read_their_own_histories(spark: SparkSession) -> None:
    """A full pass or a retry of letters may run beside the stream."""
    tables = [_random(seed, 1 + seed % 3, 40) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda table: _rows(compute(spark, table, 1)), tables))
    assert found == [_fresh(spark, table) for table in tables]


def test_histories_that_are_not_there_are_an_error(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty answer would delete the results of all users. The batch after it plans anew."""
    table = _random(1, 2, 40)
    compute(spark, table, 1)
    before = _plan()
    with monkeypatch.context() as patched:
        patched.setattr(kept_plan, "_handed_over", lambda *_: nullcontext())
        with pytest.raises(_SPARKS_ERRORS):
            compute(spark, table, 1)
    assert _rows(compute(spark, table, 1)) == _fresh(spark, table)
    assert _plan() is not before


def test_what_was_computed_does_not_stay_in_java(spark: SparkSession) -> None:
    """Nor does it after an error."""
    system: Any = spark._jvm.java.lang.System  # type: ignore[union-attr]
    failing = KeptPlans("SELECT raise_error('no') FROM {}".format, history_schema())
    table = _random(1, 1, 9)
    for run in (partial(compute, spark, table, 1), partial(failing.run, spark, table)):
        with suppress(*_SPARKS_ERRORS):
            run()
        assert [name for name in system.getProperties() if name.startswith(kept_plan._PROPERTY)] == []


@pytest.mark.parametrize(
    "query",
    ["SELECT /*+ REPARTITION(2, user) */ * FROM {}", "SELECT * FROM {} DISTRIBUTE BY day"],
)
def test_a_plan_with_an_exchange_is_not_kept(spark: SparkSession, query: str) -> None:
    """Spark would answer with the files of the first run."""
    plan = KeptPlans(query.format, history_schema())
    assert [plan.run(spark, _random(seed, 2, 9)) for seed in (1, 2)] == [None, None]


def test_an_adaptive_plan_is_not_kept(spark: SparkSession) -> None:
    """It changes while it runs. A session's own plan is not run by another session."""
    other, table = spark.newSession(), _random(1, 2, 9)
    for name in ("enabled", "forceApply"):
        other.conf.set(f"spark.sql.adaptive.{name}", "true")
    assert _rows(compute(spark, table, 1)) == _rows(compute(other, table, 1))
    assert module._plans()._plans[0]._made == (other, None)


@pytest.mark.parametrize(
    "master", ["local-cluster[2,1,1024]", "spark://host:7077", "yarn", "k8s://https://host"]
)
def test_elsewhere_each_batch_has_a_plan_of_its_own(master: str) -> None:
    """Tasks in another Java than the driver's do not see its properties."""
    spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(master=master))
    assert KeptPlans(str, history_schema()).run(spark, _random(1, 1, 9)) is None


_RESTART = """
import random
import sys
from analytics.health import compute as module
from analytics.health.compute import compute
from session import build_session
from settings import load
from tests.unit.analytics.health.test_kept_plan import _fresh, _random, _rows

places = {"spark.sql.warehouse.dir": sys.argv[1], "spark.local.dir": sys.argv[1]}
for number in range(2):
    spark = build_session(load(env_file=None, spark_master="local[1]").spark, False, places)
    for seed in (1, 2):
        table = _random(seed, 3, 40)
        assert _rows(compute(spark, table, 1)) == _fresh(spark, table), (number, seed)
    assert module._plans()._plans[0]._made[0] is spark
    assert module._plans()._plans[0]._made[1] is not None
    spark.stop()
print("equal")
"""


def test_a_session_that_starts_again_has_a_plan_of_its_own(tmp_path: Path) -> None:
    """Java and all that the plan was made of are new."""
    run = run_program(_RESTART, tmp_path)
    assert (run.returncode, run.stdout) == (0, "equal\n"), run.stderr
