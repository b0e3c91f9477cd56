"""When the demo's users begin to change."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest

from pipelines.engine.stop_flag import StopFlag
from pipelines.health.demo import run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a moment."""
    for name in ("_LOOK_SECONDS", "_CHANGE_EVERY_SECONDS"):
        monkeypatch.setattr(run, name, 0.001)


def test_changes_begin_after_the_first_result_and_then_last_their_time() -> None:
    """A first batch that takes long would otherwise leave no time for them."""
    changes: list[datetime] = []
    looks = iter([None] * 5)
    stop, seen = StopFlag(), []

    def first_result() -> object | None:
        seen.append(len(changes))
        return next(looks, "a batch")

    run.live_changes(changes.append, stop, False, first_result, seconds=0.02)
    assert seen == [0] * 6
    assert changes
    assert stop()


def test_a_stop_before_the_first_result_ends_them() -> None:
    """Ctrl+C while the first batch runs."""
    changes: list[datetime] = []
    stop = StopFlag()
    thread = threading.Thread(target=run.live_changes, args=(changes.append, stop, True, lambda: None))
    thread.start()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert changes == []
