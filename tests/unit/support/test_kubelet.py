"""The stand-in for Kubernetes answers as Kubernetes does, where Spark rests on it."""

from __future__ import annotations

import pytest

from tests.support.kubelet import selects


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        # What Spark asks again and again for its executors.
        ("spark-app-selector=spark-1,spark-role=executor,spark-exec-inactive!=true", True),
        ("spark-role==executor", True),
        ("spark-role=driver", False),
        ("spark-role!=executor", False),
        ("spark-exec-id in (1, 2),spark-role=executor", True),
        ("spark-exec-id in (2,3)", False),
        ("spark-exec-id notin (1,2)", False),
        ("spark-exec-inactive notin (true)", True),
        ("spark-role,!spark-exec-inactive", True),
        ("spark-exec-inactive", False),
        ("!spark-role", False),
    ],
)
def test_labels_are_selected_as_kubernetes_selects_them(selector: str, expected: bool) -> None:
    """A running executor that is left out of a list counts as lost, and its tasks with it."""
    labels = {"spark-app-selector": "spark-1", "spark-role": "executor", "spark-exec-id": "1"}
    assert selects(selector, labels) is expected
