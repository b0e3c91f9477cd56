"""The SparkApplication as Spark's own Kubernetes scheduler runs it; its pods are processes here."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml

from tests.acceptance.conftest import USERS
from tests.support.class_archive import java_environment
from tests.support.deployment import image_files
from tests.support.documents import ROOT
from tests.support.job import HealthJob
from tests.support.kubelet import Kubelet, kubelet
from tests.support.toxiproxy import free_port

_SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
_TIMEOUT_SECONDS = 360.0
# Three JVMs at once, on a machine that has more to do.
_SMALL = {
    f"spark.{role}.{what}": value
    for role in ("driver", "executor")
    for what, value in (("memory", "512m"), ("memoryOverhead", "256m"), ("cores", "1"))
}


@pytest.fixture
def cluster(job: HealthJob, tmp_path: Path) -> Iterator[Kubelet]:
    """Where the job's address is a secret."""
    (tmp_path / "pods").mkdir()
    with kubelet(tmp_path / "pods", {"MONGO_URI": job.environment["MONGO_URI"]}) as running:
        yield running


def _submit(cluster: Kubelet, folder: Path, environment: dict[str, str]) -> str:
    """Do what the operator does with the manifest, and return the driver's name."""
    spec: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/spark-application.yaml").read_text())[
        "spec"
    ]
    conf = {
        **spec["sparkConf"],
        **_SMALL,
        "spark.kubernetes.container.image": spec["image"],
        "spark.executor.instances": spec["executor"]["instances"],
        "spark.kubernetes.driver.master": cluster.address,
        "spark.kubernetes.submission.waitAppCompletion": "false",
        "spark.kubernetes.executor.enableApiWatcher": "false",
        "spark.kubernetes.executor.apiPollingInterval": "1s",
        # An executor that is not in the list for longer counts as lost.
        "spark.kubernetes.executor.missingPodDetectDelta": "1s",
        "spark.driver.port": free_port(),
        "spark.driver.blockManager.port": free_port(),
    }
    added = [{"name": name, "value": value} for name, value in environment.items()]
    spec["driver"]["template"]["spec"]["containers"][0]["env"] += added
    for role in ("driver", "executor"):
        template = folder / f"{role}.yaml"
        template.write_text(yaml.safe_dump(spec[role]["template"]))
        conf[f"spark.kubernetes.{role}.podTemplateFile"] = template
        conf[f"spark.kubernetes.{role}.podTemplateContainerName"] = f"spark-kubernetes-{role}"
        conf[f"spark.{role}.extraJavaOptions"] = spec[role]["javaOptions"]
    options = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    where = ["--master", f"k8s://{cluster.address}", "--deploy-mode", "cluster", "--name", "health-analytics"]
    subprocess.run(
        [str(_SUBMIT), *where, *options, spec["mainApplicationFile"], "--once"],
        env={**os.environ, **java_environment()},
        timeout=_TIMEOUT_SECONDS,
        check=True,
    )
    (driver,) = cluster.processes
    return driver


def _files(cluster: Kubelet) -> set[str]:
    found = (file.relative_to(cluster.app) for file in cluster.app.rglob("*") if file.is_file())
    return {file.as_posix() for file in found}


def test_its_pods_compute_what_the_reference_computes(
    job: HealthJob, cluster: Kubelet, tmp_path: Path
) -> None:
    """Driver and executors start by the image's entrypoint, find each other, keep state in the claim."""
    driver = _submit(
        cluster,
        tmp_path,
        {
            "MONGO_DB_NAME": job.database.name,
            "DEFAULT_LOOKBACK_DAYS": "3650",
            "EXECUTORS_FROM_USERS": "1",
            "EXECUTOR_PARTITION_USERS": "4",
            "HEALTH_PORT": "0",
        },
    )
    assert cluster.processes[driver].wait(_TIMEOUT_SECONDS) == 0, cluster.output(driver)
    assert f"{USERS} users on the executors" in cluster.output(driver)
    assert len(cluster.processes) > 1
    job.assert_equals_reference()
    assert _files(cluster) == {str(file) for file in image_files()}, "the image's user may not write there"
    assert list((cluster.folder / "claim" / "logs").glob("batch_logs_*.jsonl"))

    pods = {made["metadata"]["name"]: made["spec"] for made in cluster.made if made["kind"] == "Pod"}
    for spec in pods.values():
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert "livenessProbe" in pods[driver]["containers"][0]
    # It comes from the secret alone: neither Spark's settings nor an executor's pod holds it.
    assert job.environment["MONGO_URI"] not in json.dumps(cluster.made)
