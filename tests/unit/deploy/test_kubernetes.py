"""The manifests for Kubernetes: valid by the schemas of their kinds, and true about checkout and image."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support.deployment import (
    DEPLOY,
    PROJECT_VERSION,
    SETTINGS,
    image_files,
    last,
    variables,
    with_schemas,
)
from tests.support.documents import ROOT

_FOLDER = DEPLOY / "kubernetes"
_APPLICATION: dict[str, Any] = yaml.safe_load((_FOLDER / "spark-application.yaml").read_text())
_SPEC: dict[str, Any] = _APPLICATION["spec"]
_CLAIM, _BUDGET = yaml.safe_load_all((_FOLDER / "state.yaml").read_text())
# The operator's own models drop what they do not know; what comes back must be what went in.
_AS_THE_OPERATOR_READS_IT = """
import json, sys
from kubeflow_spark_api.models import SparkV1beta2SparkApplication
print(json.dumps(SparkV1beta2SparkApplication.from_dict(json.load(sys.stdin)).to_dict()))
"""
_BY_THE_SCHEMA = """
import json, sys
from kubernetes_validate import ValidationError, latest_version, validate
try:
    validate(json.load(sys.stdin), latest_version(), strict=True)
except ValidationError as error:
    print(error.message)
"""


def _container(role: str) -> dict[str, Any]:
    (container,) = _SPEC[role]["template"]["spec"]["containers"]
    return dict(container)


def _pod(role: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": role}, **_SPEC[role]["template"]}


def _drops(content: dict[str, Any]) -> bool:
    """Whether the operator's models change `content`."""
    return bool(content != yaml.safe_load(with_schemas(_AS_THE_OPERATOR_READS_IT, content)))


def test_the_operator_knows_every_field() -> None:
    """Read by the models that are made from its API, nothing is refused and nothing is dropped."""
    assert not _drops(_APPLICATION)
    assert _drops({**_APPLICATION, "spec": {**_SPEC, "restartPolice": {}}}), "the check can fail"


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_the_pods_are_valid(role: str) -> None:
    """The operator takes any template; Kubernetes' schema of a pod allows no field that it does not know."""
    assert with_schemas(_BY_THE_SCHEMA, _pod(role)) == ""
    assert _container(role)["name"] == f"spark-kubernetes-{role}"
    wrong = _pod(role)
    wrong["spec"] = {**wrong["spec"], "volume": []}
    assert "volume" in with_schemas(_BY_THE_SCHEMA, wrong), "the check can fail"


def test_the_claim_is_valid_and_mounted() -> None:
    """Driver and executors mount it where the image keeps its state, so it must allow several nodes."""
    assert with_schemas(_BY_THE_SCHEMA, _CLAIM) == ""
    assert _CLAIM["spec"]["accessModes"] == ["ReadWriteMany"]
    for role in ("driver", "executor"):
        (volume,) = _SPEC[role]["template"]["spec"]["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == _CLAIM["metadata"]["name"]
        assert _container(role)["volumeMounts"] == [
            {"name": volume["name"], "mountPath": last("job", "VOLUME")}
        ]


def test_the_budget_is_of_its_executors() -> None:
    """By the labels that the operator and Spark give the pods; the driver's eviction is no loss."""
    chosen = _BUDGET["spec"]["selector"]["matchLabels"]
    assert chosen == {
        "sparkoperator.k8s.io/app-name": _APPLICATION["metadata"]["name"],
        "spark-role": "executor",
    }


def test_versions_fit() -> None:
    """Spark is the one that the image installs, the image that of the project."""
    pinned = re.findall(r"^pyspark==(.+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned == [_SPEC["sparkVersion"]]
    assert _SPEC["image"].endswith(f"/health-analytics:{PROJECT_VERSION}")


def test_what_is_named_is_in_the_image() -> None:
    """The script and the logging configuration, below the image's working folder."""
    files = {str(file) for file in image_files()}
    place = last("job", "WORKDIR")
    named = [_SPEC["mainApplicationFile"].removeprefix("local://")]
    named += [_SPEC[role]["javaOptions"].partition("=file:")[2] for role in ("driver", "executor")]
    assert {path.removeprefix(f"{place}/") for path in named} <= files


def test_the_settings_exist_and_the_address_is_a_secret() -> None:
    """Every variable is a setting; what MONGO_URI is comes from the secret that the page makes."""
    given = {entry["name"]: entry for entry in _container("driver")["env"]}
    assert set(given) <= SETTINGS
    assert given["CURSOR_STORE"]["value"] == "mongo"
    secret = given["MONGO_URI"]["valueFrom"]["secretKeyRef"]
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert f"kubectl create secret generic {secret['name']} --from-file={secret['key']}=" in page


def test_the_probe_asks_what_is_served() -> None:
    """Restarted when it does not live, not while the database is away.

    No other probe: executors find the driver by a name that leads to it only once the pod is ready.
    """
    driver = _container("driver")
    assert {name for name in driver if name.endswith("Probe")} == {"livenessProbe"}
    asked = driver["livenessProbe"]["httpGet"]
    assert f"| `{asked['path']}` | 200 `alive`" in (ROOT / "docs" / "health-endpoints.md").read_text()
    port = {entry["name"]: entry["containerPort"] for entry in driver["ports"]}
    assert port[asked["port"]] == int(last("job", "EXPOSE"))
    assert variables("job")["HEALTH_HOST"] == "0.0.0.0"  # noqa: S104 - a pod's own network


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_the_pods_run_as_the_images_user(role: str) -> None:
    """Who owns the mounted folder, and may do nothing else."""
    number, group = map(int, last("job", "USER").split(":"))
    user = _SPEC[role]["template"]["spec"]["securityContext"]
    assert (user["runAsUser"], user["runAsGroup"], user["fsGroup"]) == (number, group, group)
    assert user["runAsNonRoot"]
    assert _container(role)["securityContext"]["allowPrivilegeEscalation"] is False
