"""Each test of the contract runs on each system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.contract.systems import SYSTEMS, System
from tests.support.toxiproxy import host_of, through


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder as people name them; nothing may be written beside it."""
    made = tmp_path / "my data #1 50% käse"
    made.mkdir()
    yield made
    assert list(tmp_path.iterdir()) == [made]


@pytest.fixture(params=sorted(SYSTEMS))
def system(request: pytest.FixtureRequest, folder: Path, spark: SparkSession) -> Iterator[System]:
    """One with an empty source and an empty sink."""
    with SYSTEMS[request.param].opened(request.getfixturevalue, folder, spark) as made:
        yield made


@pytest.fixture(params=sorted(SYSTEMS))
def unsteady(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> Iterator[System]:
    """One as above whose sink the test may take away for a while."""
    kind, given = SYSTEMS[request.param], request.getfixturevalue
    with ExitStack() as stack:
        if not kind.sink_server:
            yield stack.enter_context(kind.opened(given, tmp_path, spark))
            return
        address = given(kind.sink_server)
        door = given("toxiproxy").proxy(host_of(address))
        stack.callback(door.close)
        found = {kind.sink_server: through(door, address)}
        made = stack.enter_context(kind.opened(lambda name: found.get(name) or given(name), tmp_path, spark))
        made.door = door
        yield made
