"""The health job on a real standalone Spark cluster, submitted with the archive of script/package."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest
from pymongo.uri_parser import parse_uri

from tests.acceptance.conftest import USERS
from tests.support.canaries import leaks
from tests.support.job import ROOT, HealthJob
from tests.support.mongo_doors import PASSWORD, SecureDoor
from tests.support.quoting_relay import quoting_relay
from tests.support.spark_cluster import WORKERS, SparkCluster, spark_cluster
from tests.support.toxiproxy import Proxy, through
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("spark cluster")

_SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
_CONF = ("--driver-memory", "512m", "--executor-memory", "512m", "--conf", "spark.cores.max=2")
# Two executors and a driver begin cold, with every class to load.
_TIMEOUT_SECONDS = 360.0
_SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.quantile": "0.5",
    "spark.speculation.multiplier": "1.5",
}
ON_EXECUTORS = {"EXECUTORS_FROM_USERS": "1", "EXECUTOR_PARTITION_USERS": "4"}


class InstalledJob(HealthJob):
    """Starts the command that pip installed, in a folder without the checkout."""

    def __init__(self, job: HealthJob, pulse: Path) -> None:
        super().__init__(job.folder, "", job.database)
        self.own_java = True
        self.environment = job.environment
        self._pulse = pulse

    def command(self, script: str) -> list[str]:
        """`script` is the first word behind it."""
        return [str(self._pulse), script]


class ClusterJob(HealthJob):
    """Starts with spark-submit, from a folder that holds the script and the archive and nothing else."""

    def __init__(self, job: HealthJob, cluster: SparkCluster, archive: Path) -> None:
        super().__init__(job.folder, "", job.database)
        self.own_java = True
        self.environment = {**job.environment, "SPARK_HOME": str(_SUBMIT.parents[1])}
        self.timeout_seconds = _TIMEOUT_SECONDS
        self.conf: list[str] = []
        self._master, self._archive = cluster.master, archive

    def command(self, script: str) -> list[str]:
        """The script alone is there; everything it imports comes from the archive."""
        shutil.copy(ROOT / script, self.folder / script)
        return [
            str(_SUBMIT), "--master", self._master, *_CONF, *self.conf,
            "--py-files", str(self._archive), script,
        ]  # fmt: skip

    def with_event_log(self, **conf: str) -> Path:
        """Let Spark tell its events, in plain text, to files in the folder returned."""
        events = self.folder / "events"
        events.mkdir()
        told = {"enabled": "true", "compress": "false", "dir": events.as_uri()}
        conf |= {f"spark.eventLog.{name}": value for name, value in told.items()}
        self.conf = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
        return events


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """One for all tests here, because it takes long to start."""
    with spark_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What script/package makes."""
    file = tmp_path_factory.mktemp("package") / "code.zip"
    subprocess.run([str(ROOT / "script" / "package"), str(file)], check=True)
    return file


@pytest.fixture
def cluster_job(job: HealthJob, cluster: SparkCluster, archive: Path) -> Iterator[ClusterJob]:
    """The job of 25 users on the cluster, whose workers are all there."""
    cluster.heal()
    made = ClusterJob(job, cluster, archive)
    yield made
    made.end()


def _analytics(job: HealthJob) -> int:
    return job.database["analytics"].count_documents({})


def _cursor(job: HealthJob) -> Path:
    return job.folder / "spark-checkpoints" / "last_processed_timestamp.txt"


def _assert_counted_once(job: HealthJob) -> None:
    """The report of the one batch tells what is stored."""
    report = json.loads(next((job.folder / "logs").glob("batch_logs_*.jsonl")).read_text())
    assert report["analytics_inserted"] == report["analytics_computed"] == _analytics(job)
    assert report["analytics_skipped"] == 0


def test_a_cluster_without_workers_is_told_of_and_loses_nothing(
    job: HealthJob, cluster: SparkCluster, installed_pulse: Path
) -> None:
    """The batch fails in words that say what to look at; once workers are back the stream goes on.

    It was not submitted: `pulse run` with SPARK_MASTER, installed by pip, sends the code itself, and the
    workers know nothing of it nor of the checkout.
    """
    job = InstalledJob(job, installed_pulse)
    cluster.heal()
    for number in range(WORKERS):
        cluster.kill_worker(number)
    conf = {"SPARK_MASTER": cluster.master, "PYSPARK_SUBMIT_ARGS": " ".join([*_CONF, "pyspark-shell"])}
    running = job.start(script="run", EXECUTORS_WAIT_SECONDS="6", **conf, **ON_EXECUTORS)
    waited = "No executor has taken a task for 6 seconds"
    wait_for(lambda: waited in job.output(), "the end of the first batch", running, _TIMEOUT_SECONDS)
    told = [line for line in job.output().splitlines() if "seconds for executors" in line]
    assert told, job.output()
    assert f"(master {cluster.master}, asked for spark.cores.max=2, spark.executor.memory=512m" in told[0]
    assert f"{USERS} users on the executors" in job.output()
    assert _analytics(job) == 0
    cluster.heal()
    wait_for(lambda: _cursor(job).exists(), "the cursor", running, _TIMEOUT_SECONDS)
    assert job.stop(running) == 0, job.output()
    job.assert_equals_reference()


def test_kill_9_of_a_worker_in_the_middle_of_a_batch(
    cluster_job: ClusterJob, cluster: SparkCluster, mongo_proxy: Proxy, mongo_uri: str
) -> None:
    """Its tasks run again on the other worker, within the same batch, and count once.

    The script and the archive are all that was submitted.
    """
    # Slow enough that the middle of the writing can be met.
    mongo_proxy.latency(150)
    running = cluster_job.start("--once", MONGO_URI=through(mongo_proxy, mongo_uri), **ON_EXECUTORS)
    wait_for(lambda: _analytics(cluster_job) > 0, "the first analytics", running, _TIMEOUT_SECONDS)
    cluster.kill_worker()
    assert f"{USERS} users on the executors" in cluster_job.output()
    found = _analytics(cluster_job)
    assert running.wait(_TIMEOUT_SECONDS) == 0, cluster_job.output()
    assert 0 < found < _analytics(cluster_job)
    cluster_job.assert_equals_reference()
    _assert_counted_once(cluster_job)


def test_a_slow_task_is_done_by_another_and_counts_once(
    cluster_job: ClusterJob, cluster: SparkCluster, mongo_proxy: Proxy, mongo_uri: str
) -> None:
    """Speculation: while one worker stands still in the middle of writing, the other does its task too."""
    events = cluster_job.with_event_log(**_SPECULATION)
    mongo_proxy.latency(150)
    running = cluster_job.start("--once", MONGO_URI=through(mongo_proxy, mongo_uri), **ON_EXECUTORS)
    wait_for(lambda: _analytics(cluster_job) > 0, "the first analytics", running, _TIMEOUT_SECONDS)
    with cluster.frozen_worker():
        assert running.wait(_TIMEOUT_SECONDS) == 0, cluster_job.output()
    told = "".join(file.read_text() for file in events.rglob("*") if file.is_file())
    assert '"Speculative":true' in told
    cluster_job.assert_equals_reference()
    _assert_counted_once(cluster_job)


def test_a_failing_executor_shows_no_secret(
    cluster_job: ClusterJob, cluster: SparkCluster, secure_door: SecureDoor
) -> None:
    """A server that quotes address and password to the tasks: their output, Spark's events, our logs."""
    port = parse_uri(secure_door.uri("user"))["nodelist"][0][1]
    with secure_door.user() as user, quoting_relay(port) as relay:
        uri = secure_door.uri(user)
        events = cluster_job.with_event_log()
        running = cluster_job.start(
            "--once",
            MONGO_URI=uri.replace(f":{port}/", f":{relay.port}/"),
            RETRY_ATTEMPTS="1",
            **ON_EXECUTORS,
        )
        wait_for(lambda: "users on the executors" in cluster_job.output(), "the tasks", running, 120)
        relay.error = f"refused {uri} for {PASSWORD}"
        assert running.wait(_TIMEOUT_SECONDS) == 1, cluster_job.output()
        given = {"user": user, "password": PASSWORD}
    assert "an executor met OperationFailure" in cluster_job.output()
    written = {file.name for file in cluster.folder.rglob("*") if file.is_file()}
    assert {"stdout", "stderr"} <= written
    assert any(file.stat().st_size for file in events.rglob("*"))
    assert leaks(cluster.folder, given) == leaks(cluster_job.folder, given) == []


def test_kill_9_of_the_driver_and_a_new_start(cluster_job: ClusterJob) -> None:
    """Everything is written and the cursor is not saved: the next one repeats the batch, here by itself."""
    assert cluster_job.run("--once", FAULT="write:kill:1", **ON_EXECUTORS) != 0
    assert _analytics(cluster_job) > 0
    assert not _cursor(cluster_job).exists()
    before = cluster_job.output()
    assert cluster_job.run("--once") == 0, cluster_job.output()
    assert "on the executors" not in cluster_job.output().removeprefix(before)
    cluster_job.assert_equals_reference()
