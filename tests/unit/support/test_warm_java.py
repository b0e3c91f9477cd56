"""Which runs may share a Java."""

from __future__ import annotations

import os

import pytest

from tests.support.class_archive import java_environment
from tests.support.warm_java import is_usual


@pytest.mark.parametrize(
    ("changed", "usual"),
    [
        ({}, True),
        ({"MONGO_URI": "mongodb://elsewhere"}, True),
        ({"TZ": "Asia/Tokyo"}, False),
        ({"HOME": "/nowhere"}, False),
        ({"SPARK_MASTER": "local[1]"}, False),
        ({"JAVA_TOOL_OPTIONS": "-Xmx64m"}, False),
        ({"HADOOP_CONF_DIR": "/nowhere"}, False),
    ],
)
def test_a_run_shares_a_java_only_if_java_would_read_the_same(changed: dict[str, str], usual: bool) -> None:
    """What only Python reads may differ."""
    environment = {**os.environ, **java_environment(), **changed}
    assert is_usual(environment) == usual


def test_a_run_that_lacks_what_java_would_read_has_its_own() -> None:
    """A variable that is missing is as different as one that is set."""
    environment = {**os.environ, **java_environment()}
    del environment["PATH"]
    assert not is_usual(environment)
