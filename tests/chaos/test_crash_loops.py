"""Crash loops in CI: each run draws new ones, and a failure names the seed that repeats it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.crash_loop import CrashTest
from tests.chaos.servers import MongoServer, run_mongo_server
from tests.support.missing import missing
from tests.support.toxiproxy import Toxiproxy, host_of

LOOPS = int(os.environ.get("CRASHTEST_LOOPS", "6"))


@pytest.fixture
def server() -> Iterator[MongoServer]:
    """A server that may be killed; where it cannot be had the test fails in CI and is skipped elsewhere."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(run_mongo_server())
        except RuntimeError as error:
            missing(str(error))
        yield running


def test_nothing_is_lost_whatever_breaks(tmp_path: Path, server: MongoServer, toxiproxy: Toxiproxy) -> None:
    """Kills, restarts, network faults and late writers at random: sink, cursor and letters are right."""
    seed = random.randrange(10**6)
    test = CrashTest(tmp_path, server, toxiproxy.proxy(host_of(server.uri)), seed, print)
    test.run(LOOPS)
    print("\n".join(test.tally.lines(tmp_path)))
    assert test.tally.loops == LOOPS
    assert test.tally.cursors_seen > 0
