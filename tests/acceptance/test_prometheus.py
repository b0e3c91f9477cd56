"""The real Prometheus scrapes a running job with the configuration that ships; alerts fire and resolve."""

from __future__ import annotations

import re
import signal
from datetime import datetime, timedelta, timezone
from typing import Any

from pipelines.health.pipeline import HEALTH
from tests.support.documents import ROOT
from tests.support.job import HealthJob
from tests.support.monitoring_stack import (
    Server,
    exported,
    lacking_metrics,
    node_exporter,
    prometheus,
    promtool,
    queries_of,
)
from tests.support.toxiproxy import free_port
from tests.support.waiting import wait_for


def test_a_running_job_is_scraped_and_alerts_fire_and_resolve(job: HealthJob) -> None:
    """Endpoint and file are read without a complaint; a hung job, an old letter, a late commit are told."""
    port = free_port()
    # Events are on, so that their metrics are there; nobody listens.
    settings = {
        "HEALTH_PORT": str(port),
        "SERVICE_TOKEN": "t",
        "RECONCILE_INTERVAL_HOURS": "0.002",
        "NOTIFY_WEBHOOK_URL": "http://127.0.0.1:9/",
        "NOTIFY_WEBHOOK_SECRET": "sixteen-or-more-characters",
        "BACKEND_API_URL": f"http://127.0.0.1:{free_port()}",
    }
    process = job.start(**settings)
    (job.folder / "metrics").mkdir(exist_ok=True)
    (job.folder / "prometheus").mkdir()
    try:
        with (
            node_exporter(job.folder / "metrics") as node,
            prometheus(job.folder / "prometheus", {"health-analytics": port, "node": node.port}) as server,
        ):

            def until(condition: Any, what: str) -> None:
                wait_for(condition, what, process)

            until(lambda: server.query("health_last_poll_timestamp_seconds > 0"), "a poll in Prometheus")
            until(lambda: server.query("health_reconciliation_users > 0"), "the comparison")
            _what_is_named_exists(server, port)
            _the_file_is_read(node, server)
            _a_hung_job_is_told(server, process, until)
            _an_old_letter_is_told(server, job, until)
            _a_late_commit_is_told(server, job, until)
        assert job.stop(process) == 0, job.output()
    finally:
        process.kill()
        process.wait()


def _what_is_named_exists(server: Server, port: int) -> None:
    """Every metric of health's rules, dashboards and documentation is exported; every query works."""
    page = Server(server.process, port).get("/metrics")
    assert page is not None
    checked = promtool("check", "metrics", content=page.content)
    assert {line.split()[0] for line in checked.stdout.splitlines()} <= {"average_processing_time_ms"}
    assert lacking_metrics(HEALTH, page.text) == {}
    names = exported(page.text)
    said = {
        word
        for file in (ROOT / "docs").glob("*.md")
        for word in re.findall(r"\bhealth_\w+", file.read_text())
    }
    # People name a histogram without _bucket, _count or _sum.
    assert said - names - {name.removesuffix("_count") for name in names} == set()
    for _, query in queries_of(HEALTH):
        server.query(query)


def _the_file_is_read(node: Server, server: Server) -> None:
    """node_exporter takes the file, with the same numbers; in Prometheus they are not there twice."""
    page = node.get("/metrics")
    assert page is not None
    assert "\nnode_textfile_scrape_error 0\n" in page.text
    assert re.search(r"^batches_processed_total [1-9]", page.text, re.MULTILINE)
    assert re.search(
        r'^health_batch_step_duration_seconds_count\{step="compute"\} [1-9]', page.text, re.MULTILINE
    )
    assert [found["value"][1] for found in server.query("count(batches_processed_total)")] == ["1"]
    assert [found["value"][1] for found in server.query("node_textfile_scrape_error")] == ["0"]


def _a_hung_job_is_told(server: Server, process: Any, until: Any) -> None:
    until(lambda: not server.is_firing("HealthTargetDown"), "a target that is up")
    process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: server.is_firing("HealthTargetDown"), "HealthTargetDown to fire")
    finally:
        process.send_signal(signal.SIGCONT)
    until(lambda: not server.is_firing("HealthTargetDown"), "HealthTargetDown to resolve")


def _an_old_letter_is_told(server: Server, job: HealthJob, until: Any) -> None:
    """The population has bad values, so there are letters; one is made a fortnight old, then removed."""
    assert not server.is_firing("HealthDeadLettersOld")
    letter = next((job.folder / "dlq").glob("*.json"))
    day = f"_{datetime.now(timezone.utc) - timedelta(days=14):%Y%m%d}_"
    # The first alone: the owner's tag after it may have eight decimal digits too.
    old = letter.with_name(re.sub(r"_\d{8}_", day, letter.name, count=1))
    letter.rename(old)
    until(lambda: server.is_firing("HealthDeadLettersOld"), "HealthDeadLettersOld to fire")
    old.unlink()
    until(lambda: not server.is_firing("HealthDeadLettersOld"), "HealthDeadLettersOld to resolve")


def _a_late_commit_is_told(server: Server, job: HealthJob, until: Any) -> None:
    """It is dated 40 s back, which the overlap of 60 s still finds."""
    user = job.database["healthmetrics"].find_one({}, {"userId": 1})
    assert user
    now = datetime.now(timezone.utc)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=400)
    job.database["healthmetrics"].insert_one(
        {"userId": user["userId"], "date": day, "source": "manual", "updatedAt": now - timedelta(seconds=40)}
    )
    until(lambda: server.is_firing("HealthCommitsLate"), "HealthCommitsLate to fire")
    (late,) = server.query("health_commit_lateness_max_seconds")
    assert 30 < float(late["value"][1]) <= 45
    assert [found["value"][1] for found in server.query("health_commit_lateness_seconds_count")] == ["1"]
