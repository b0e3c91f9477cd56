"""Each test of the contract runs on each system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.contract.systems import SYSTEMS, System


@pytest.fixture(params=sorted(SYSTEMS))
def system(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> Iterator[System]:
    """One with an empty source and an empty sink."""
    with SYSTEMS[request.param].opened(request.getfixturevalue, tmp_path, spark) as made:
        yield made
