"""Whole runs of the command line beyond the plain stream: dead letters, spark-submit, the demo."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from pipelines.health.worked_example import EXPECTED
from tests.support.job import ROOT, HealthJob
from tests.support.shell import in_a_shell
from tests.support.waiting import TIMEOUT_SECONDS, wait_for


def test_a_mended_document_leaves_the_dead_letter_queue(job: HealthJob) -> None:
    """Bad values are set aside when they are polled; after the mending, `dlq retry` empties the queue."""
    assert job.run("--once") == 0, job.output()
    letters = list((job.folder / "dlq").glob("analytics_dlq_*.json"))
    source = job.database["healthmetrics"]
    bad = source.count_documents(
        {"metrics.steps": {"$not": {"$gte": 0, "$lte": 100_000}}, "source": {"$ne": "import"}}
    )
    assert len(letters) == bad > 0
    source.update_many(
        {"metrics.steps": {"$not": {"$gte": 0, "$lte": 100_000}}}, {"$set": {"metrics.steps": 4321}}
    )
    assert job.run("dlq", "retry") == 0, job.output()
    assert f"{bad} resolved, 0 kept" in job.output()
    assert not list((job.folder / "dlq").glob("analytics_dlq_*.json"))
    job.assert_equals_reference()


def test_debug_shows_examples_of_what_was_written(small_job: HealthJob) -> None:
    """As the first version did: a few inserts with their values, and updates the next time."""
    assert small_job.run("--once", LOG_LEVEL="DEBUG") == 0
    assert "🆕 INSERT: userId=" in small_job.output()
    assert small_job.run("checkpoint", "set", "2020-01-01") == 0
    assert small_job.run("--once", LOG_LEVEL="DEBUG") == 0
    assert "🔄 UPDATE: userId=" in small_job.output()


def test_ctrl_c_ends_the_stream_cleanly(small_job: HealthJob) -> None:
    """Spark installs a handler of its own for SIGINT; ours must win."""
    process = small_job.start()
    wait_for(lambda: small_job.database["analytics"].count_documents({}) > 0, "the first analytics", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_SECONDS) == 0, small_job.output()
    assert "BATCH PROCESSING SESSION SUMMARY" in small_job.output()
    assert "Traceback" not in small_job.output()


def test_spark_submit_runs_the_same_job(job: HealthJob) -> None:
    """`spark-submit main.py`, as on a cluster."""
    submit = Path(sys.executable).with_name("spark-submit")
    command = [str(submit), "--master", "local[2]", str(ROOT / "main.py"), "--once"]
    with (job.folder / "output.txt").open("w") as output:
        run = subprocess.run(
            command,
            cwd=job.folder,
            env=job.environment,
            stdout=output,
            stderr=output,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    assert run.returncode == 0, job.output()
    job.assert_equals_reference()


def test_the_demo_ends_by_itself_with_the_worked_example(job: HealthJob) -> None:
    """On the embedded store; the contract's figures, and a report that asks nothing of a network."""
    job.own_java = True
    assert job.run("--demo", MONGO_URI="mongodb://127.0.0.1:9/") == 0, job.output()
    assert job.output().count("│ ✅ │") == len(EXPECTED)
    assert "│ ❌ │" not in job.output()
    assert "❌ Failed: 0" in job.output()
    (shown,) = re.findall(r"^📬 Dead letters: (.*)$", job.output(), re.MULTILINE)
    assert "metrics." in in_a_shell(shown, job.folder)
    report = (job.folder / "demo" / "report.html").read_text()
    assert "9771.43" in report
    assert "<svg" in report
    assert "src=" not in report
    assert "http" not in report.replace("http://www.w3.org/2000/svg", "")
