"""Each test of the contract runs on each system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.contract.systems import SYSTEMS, WITH_TABLES, System
from tests.support.toxiproxy import host_of, through

# What an address may say of time-outs, each of them off.
_ENDLESS = {
    "mongo_uri": "connectTimeoutMS=0&socketTimeoutMS=0&timeoutMS=0&serverSelectionTimeoutMS=600000",
    "postgres_dsn": "connect_timeout=0&tcp_user_timeout=0&keepalives=0",
}


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
    with WITH_TABLES[request.param].opened(request.getfixturevalue, folder, spark) as made:
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
        asked = "&" if "?" in address else "?"
        found = {kind.sink_server: f"{through(door, address)}{asked}{_ENDLESS[kind.sink_server]}"}
        made = stack.enter_context(kind.opened(lambda name: found.get(name) or given(name), tmp_path, spark))
        made.door = door
        yield made
