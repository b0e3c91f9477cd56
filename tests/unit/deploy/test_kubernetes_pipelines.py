"""The pipelines that are one pod on Kubernetes: valid by the schemas, true about checkout, image and page."""

from __future__ import annotations

from typing import Any

import pytest
import typer
import yaml

from main import app
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from tests.support.deployment import DEPLOY, PROJECT_VERSION, SETTINGS, last, variables, with_schemas
from tests.support.documents import ROOT

_FOLDER = DEPLOY / "kubernetes"
_PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
_ALONE = [name for name in PIPELINES if name != DEFAULT_PIPELINE]
# Each document is checked by itself; what is wrong is printed.
_BY_THE_SCHEMA = """
import json, sys
from kubernetes_validate import ValidationError, latest_version, validate
for document in json.load(sys.stdin):
    try:
        validate(document, latest_version(), strict=True)
    except ValidationError as error:
        print(document["kind"], error.message)
"""


def _documents(name: str) -> dict[str, dict[str, Any]]:
    """What the file of a pipeline has, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((_FOLDER / f"{name}.yaml").read_text())}


def _container(name: str) -> dict[str, Any]:
    (container,) = _documents(name)["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("name", [*_ALONE, "state"])
def test_the_manifests_are_valid(name: str) -> None:
    """Kubernetes' own schemas refuse no field, and know each of them."""
    documents = list(_documents(name).values())
    assert with_schemas(_BY_THE_SCHEMA, documents) == ""
    wrong = [{**each, "speck": {}} for each in documents]
    assert len(with_schemas(_BY_THE_SCHEMA, wrong).splitlines()) == len(documents), "the check can fail"


@pytest.mark.parametrize("name", _ALONE)
def test_one_pod_at_a_time_has_the_state(name: str) -> None:
    """Neither a second replica nor the pod of a lost node can mount it; what others read they can."""
    spec = _documents(name)["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    mounts = {each["name"]: each["mountPath"] for each in _container(name)["volumeMounts"]}
    assert mounts.pop(claim["metadata"]["name"]) == last("job", "VOLUME")
    assert mounts.pop("tmp") == "/tmp"  # noqa: S108 - the pod's own
    shared = {"esports": "ESPORTS_OUTPUT_PATH", "ecommerce": "ECOMMERCE_INPUT_PATH"}.get(name)
    assert list(mounts.values()) == ([variables("job")[shared]] if shared else [])
    if shared:
        (volume,) = mounts
        assert _documents(name)["PersistentVolumeClaim"]["metadata"]["name"] == volume
        assert _documents(name)["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("name", _ALONE)
def test_the_pod_runs_the_pipeline_of_the_image(name: str) -> None:
    """Its version and user, a command and settings that there are, addresses with passwords as secrets."""
    container, pod = _container(name), _documents(name)["StatefulSet"]["spec"]["template"]["spec"]
    assert container["image"].endswith(f"/health-analytics:{PROJECT_VERSION}")
    assert container["args"][:2] == ["python", "main.py"]
    context = typer.main.get_command(app).make_context("main.py", container["args"][2:])
    assert context.params["pipeline"] == name
    given = {entry["name"]: entry for entry in container["env"]}
    assert set(given) <= SETTINGS
    secret = {"stock": "MONGO_URI", "ecommerce": "POSTGRES_DSN"}.get(name)
    assert {key for key, entry in given.items() if "valueFrom" in entry} == ({secret} if secret else set())
    if secret:
        key = given[secret]["valueFrom"]["secretKeyRef"]
        assert f"kubectl create secret generic {key['name']} --from-file={key['key']}=" in _PAGE
    number, group = map(int, last("job", "USER").split(":"))
    user = pod["securityContext"]
    assert (user["runAsUser"], user["runAsGroup"], user["fsGroup"]) == (number, group, group)
    assert container["securityContext"]["readOnlyRootFilesystem"]


@pytest.mark.parametrize("name", _ALONE)
def test_probes_service_and_budget_are_of_this_pod(name: str) -> None:
    """The paths are served; only standing still restarts it; a stop has the time that systemd gives."""
    documents, container = _documents(name), _container(name)
    pod = documents["StatefulSet"]["spec"]["template"]
    served = (ROOT / "docs" / "health-endpoints.md").read_text()
    asked = {
        probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert {probe: at["path"] for probe, at in asked.items()} == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    assert all(f"| `{at['path']}` | 200" in served for at in asked.values())
    (port,) = container["ports"]
    assert port["containerPort"] == int(last("job", "EXPOSE"))
    assert {at["port"] for at in asked.values()} == {port["name"]}
    for chosen in (
        documents["StatefulSet"]["spec"]["selector"]["matchLabels"],
        documents["Service"]["spec"]["selector"],
        documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert chosen.items() <= pod["metadata"]["labels"].items()
        assert chosen["app.kubernetes.io/name"] == name
    assert documents["StatefulSet"]["spec"]["serviceName"] == documents["Service"]["metadata"]["name"] == name
    unit = (DEPLOY / "systemd" / "health-analytics.service").read_text()
    assert f"TimeoutStopSec={pod['spec']['terminationGracePeriodSeconds']}\n" in unit


def test_every_pipeline_has_a_manifest_that_the_page_names() -> None:
    """Also health, whose executors are pods of their own."""
    assert {file.stem for file in _FOLDER.glob("*.yaml")} == {*_ALONE, "state", "spark-application"}
    assert all(f"deploy/kubernetes/{name}.yaml" in _PAGE for name in ("state", "spark-application", *_ALONE))
