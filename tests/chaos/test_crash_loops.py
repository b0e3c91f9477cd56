"""Crash loops in CI: each run draws new ones, and a failure names the seed that repeats it."""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.crash_loop import CrashTest
from tests.chaos.workloads import WORKLOADS, opened
from tests.support.missing import missing

LOOPS = int(os.environ.get("CRASHTEST_LOOPS", "2"))


@pytest.mark.parametrize("pipeline", WORKLOADS)
def test_nothing_is_lost_whatever_breaks(tmp_path: Path, pipeline: str) -> None:
    """Kills, restarts, network faults, full disks, late writers at random: sink, claims, letters are right.

    Where the servers cannot be had the test fails in CI and is skipped elsewhere.
    """
    seed = random.randrange(10**6)
    with ExitStack() as stack:
        try:
            work = stack.enter_context(opened(pipeline, tmp_path, seed))
        except RuntimeError as error:
            missing(str(error))
        test = CrashTest(work, seed, print)
        test.run(LOOPS)
        print("\n".join(test.tally.lines(work.data)))
    assert test.tally.loops == LOOPS
    assert test.tally.claims_seen > 0
