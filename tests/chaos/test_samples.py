"""The soak's measurements: what grows is found, what only swings is not."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import pytest

from tests.chaos.samples import Limit, Series, beyond, live_heap, process_sample

LIMITS = {"files": Limit(most=100, growth=5)}
WARM_UP = 600.0


def _series(values: list[float]) -> dict[str, Series]:
    series = Series()
    for number, value in enumerate(values):
        series.add(number * 60.0, value)
    return {"files": series}


def test_growth_is_per_hour_and_without_the_warm_up() -> None:
    """One file a minute after ten minutes in which everything was made."""
    values = [8.0 * minute for minute in range(10)] + [80.0 + minute for minute in range(20)]
    assert _series(values)["files"].growth(WARM_UP) == pytest.approx(60)


def test_a_leak_exceeds_its_limit() -> None:
    """Half a file a minute, and never many of them."""
    assert len(beyond(_series([50.0 + minute / 2 for minute in range(60)]), LIMITS, WARM_UP)) == 1


def test_a_swing_is_no_leak() -> None:
    """Files that come and go."""
    assert beyond(_series([50.0 + minute % 3 for minute in range(60)]), LIMITS, WARM_UP) == []


def test_one_peak_exceeds_its_limit() -> None:
    """It went away again, but a machine has to hold it."""
    assert len(beyond(_series([50.0] * 30 + [101.0] + [50.0] * 30), LIMITS, WARM_UP)) == 1


def test_this_process_can_be_measured() -> None:
    """The figures are those of /proc."""
    sample = process_sample(os.getpid())
    assert 10 < sample["RSS MB"] < 10_000
    assert sample["threads"] >= 1
    assert sample["descriptors"] >= 3


def test_the_threads_of_sparks_pools_do_not_count() -> None:
    """They come and go with the load."""
    named, done = threading.Barrier(2), threading.Event()

    def wait(name: bytes) -> None:
        ctypes.CDLL(None).prctl(15, name)  # PR_SET_NAME
        named.wait()
        done.wait()

    def threads_with(name: bytes) -> float:
        thread = threading.Thread(target=wait, args=(name,))
        thread.start()
        named.wait()
        counted = process_sample(os.getpid())["threads"]
        done.set()
        thread.join()
        done.clear()
        return counted

    assert threads_with(b"kafka-admin-cli") - threads_with(b"block-manager-s") == 1


def test_the_live_heap_is_what_the_last_full_collection_left(tmp_path: Path) -> None:
    """Lines of -Xlog:gc; smaller collections do not count, and there is nothing before the first full one."""
    log = tmp_path / "gc.log"
    young = "[2.0s][info][gc] GC(1) Pause Young (Normal) (G1 Evacuation Pause) 90M->61M(256M) 3.4ms\n"
    log.write_text(young)
    assert live_heap(log) is None
    log.write_text(f"[1.0s][info][gc] GC(0) Pause Full (Diagnostic Command) 70M->41M(256M) 50.4ms\n{young}")
    assert live_heap(log) == 41.0
