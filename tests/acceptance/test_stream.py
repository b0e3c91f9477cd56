"""`python main.py` on the real server: what arrives while it runs, signals, a JVM that dies."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from tests.support.job import HealthJob, child_jvm
from tests.support.waiting import TIMEOUT_SECONDS, wait_for


def _analytics_settled(job: HealthJob) -> bool:
    newest_edit = job.database["healthmetrics"].find_one(sort=[("updatedAt", -1)])
    newest = job.database["analytics"].find_one(sort=[("calculatedAt", -1)])
    return bool(newest and newest_edit and newest["calculatedAt"] > newest_edit["updatedAt"])


def test_a_live_job_equals_the_reference(job: HealthJob, edit: Any) -> None:
    """Documents are added and edited while the stream runs; SIGTERM ends it cleanly with a summary."""
    process = job.start()
    wait_for(lambda: job.database["analytics"].count_documents({}) > 0, "the first analytics", process)
    for _ in range(60):
        edit()
        time.sleep(0.05)
    wait_for(lambda: _analytics_settled(job), "the last edit to be computed", process)
    assert job.stop(process) == 0, job.output()
    job.assert_equals_reference()
    assert "BATCH PROCESSING SESSION SUMMARY" in job.output()
    assert list((job.folder / "logs").glob("batch_history_*.json"))
    lines = [
        json.loads(line)
        for file in (job.folder / "logs").glob("batch_logs_*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert sum(line["records_processed"] for line in lines) >= 60
    metrics = (job.folder / "metrics" / "spark_analytics_metrics.prom").read_text()
    assert f"batches_processed_total {float(len(lines))}" in metrics


def test_a_killed_jvm_ends_the_job_with_one_clear_line(job: HealthJob, edit: Any) -> None:
    """The kernel may kill Spark's Java alone: the job must not live on without it, and a new one goes on."""
    job.own_java = True
    process = job.start()
    wait_for(lambda: job.database["analytics"].count_documents({}) > 0, "the first analytics", process)
    jvm = child_jvm(process.pid)
    assert jvm is not None
    os.kill(jvm, signal.SIGKILL)
    assert process.wait(TIMEOUT_SECONDS) == 1
    assert "❌ Spark's Java process ended" in job.output()
    assert "This is a bug" not in job.output()
    edit()
    assert job.run("--once") == 0, job.output()
    job.assert_equals_reference()


def test_a_wrong_address_is_one_clear_error(job: HealthJob) -> None:
    """No stack trace, the variable is named, exit code 2, and the password is not shown."""
    uri = "mongodb://app:hunter2@127.0.0.1:9/"
    assert job.run("--once", MONGO_URI=uri, MONGO_TIMEOUT_SECONDS="1") == 2
    assert "MONGO_URI" in job.output()
    assert "Traceback" not in job.output()
    assert "hunter2" not in job.output()
