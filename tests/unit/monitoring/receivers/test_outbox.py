"""No batch waits for a receiver, nothing is lost in silence, and a run ends in time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

import pytest

from contracts import BatchReport
from monitoring.receivers import outbox as module
from monitoring.receivers.outbox import (
    DROPPED,
    MAX_WAITING,
    REFUSED,
    SENT,
    AwayError,
    Outbox,
    Parcel,
    Receiver,
    RefusedError,
)
from tests.support.waiting import wait_for

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class _Told(Receiver):
    """Notes what it is told; `fault` is raised instead, and a cleared `answers` keeps it waiting."""

    label, title, setting, every_seconds = "told", "The receiver", "RECEIVER_URL", 3_600.0

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fault: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.tries = 0

    def parcels(self, report: BatchReport) -> Iterable[Parcel]:
        return [Parcel(1, report.batch_id)]

    def rest(self, ending: bool) -> Iterable[Parcel]:
        return [Parcel(0, "end")] if ending else []

    def deliver(self, parcel: Parcel) -> None:
        self.tries += 1
        self.answers.wait()
        if self.fault:
            raise self.fault
        self.told.append(parcel.content)


class _Box:
    def __init__(self) -> None:
        self.receiver, self.counts = _Told(), Counter[str]()
        self.outbox = Outbox(self.receiver, self._count, first_wait_seconds=0.01)

    def _count(self, outcome: str, batches: int) -> None:
        self.counts[outcome] += batches

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.outbox.put(BatchReport(str(number), NOW, NOW))


@pytest.fixture
def box() -> Iterator[_Box]:
    """An outbox with its receiver; no thread outlives the test."""
    made = _Box()
    yield made
    made.receiver.answers.set()
    made.outbox.close()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the log says."""
    lines: list[str] = []

    class Log:
        def warning(self, line: str) -> None:
            lines.append(f"warning: {line}")

        def info(self, line: str) -> None:
            lines.append(f"info: {line}")

    monkeypatch.setattr(module, "logger", Log())
    return lines


def test_batches_are_told_in_their_order_and_the_rest_at_the_end(box: _Box) -> None:
    """Each is counted once; what tells of no batch counts for none."""
    box.put(*range(50))
    box.outbox.close()
    assert box.receiver.told == [*map(str, range(50)), "end"]
    assert box.counts == {SENT: 50}


def test_no_batch_waits_for_a_receiver_that_does_not_answer(box: _Box, said: list[str]) -> None:
    """A thousand wait; then the oldest are dropped, counted, and told once. A stop ends in time."""
    box.receiver.answers.clear()
    began = time.monotonic()
    box.put(0)
    wait_for(lambda: box.receiver.tries, "the first delivery")
    box.put(*range(1, MAX_WAITING + 301))
    assert time.monotonic() - began < 5
    assert box.counts[DROPPED] == 300
    assert sum("not told of some" in line for line in said) == 1
    began = time.monotonic()
    box.outbox.close(0.2)
    assert time.monotonic() - began < 2
    # But for the one that is on its way.
    assert box.counts == {DROPPED: MAX_WAITING + 300}


def test_what_came_while_a_receiver_was_away_is_told_afterwards(box: _Box, said: list[str]) -> None:
    """With one line when it goes and one when it is back, however often it was tried."""
    box.receiver.fault = AwayError("ConnectionError")
    box.put(1, 2, 3)
    wait_for(lambda: box.receiver.tries > 3, "several tries")
    box.receiver.fault = None
    wait_for(lambda: len(box.receiver.told) == 3, "the batches")
    box.outbox.close()
    assert box.receiver.told == ["1", "2", "3", "end"]
    assert box.counts == {SENT: 3}
    away = "The receiver cannot be reached: ConnectionError. Batches go on without it; see RECEIVER_URL"
    assert said == [f"warning: {away}", "info: The receiver is told of batches again"]


def test_what_will_never_be_taken_is_not_tried_again(box: _Box, said: list[str]) -> None:
    """The next one is; what is wrong is told once. A bug of a library is no end of the thread."""
    box.receiver.fault = RefusedError("it answers with HTTP 400")
    box.put(1, 2)
    wait_for(lambda: box.counts[REFUSED] == 2, "both")
    box.receiver.fault = ValueError("a value that is secret")
    box.put(3)
    wait_for(lambda: box.counts[REFUSED] == 3, "the third")
    assert box.receiver.tries == 3
    assert len(said) == 1
    assert "HTTP 400" in said[0]
    assert "secret" not in said[0]


def test_one_that_takes_some_things_and_others_not_is_told_once(
    box: _Box, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector without a pipeline for metrics would fill the log."""

    def choose(parcel: Parcel) -> None:
        if int(parcel.content) % 2:
            raise RefusedError("it answers with HTTP 404")

    monkeypatch.setattr(box.receiver, "deliver", choose)
    box.put(*range(6))
    wait_for(lambda: box.counts.total() == 6, "all")
    assert box.counts == {SENT: 3, REFUSED: 3}
    assert len(said) == 1


def test_at_the_end_a_receiver_that_is_away_is_tried_once(box: _Box) -> None:
    """All the rest is dropped at once, and counted."""
    box.receiver.fault = AwayError("ConnectionError")
    box.receiver.answers.clear()
    box.put(*range(500))
    wait_for(lambda: box.receiver.tries, "the first delivery")
    closing = threading.Thread(target=box.outbox.close, args=[60.0])
    closing.start()
    wait_for(lambda: box.outbox._thread is None, "the end")
    box.receiver.answers.set()
    closing.join(60)
    assert box.counts == {DROPPED: 500}
    assert box.receiver.tries <= 2


def test_after_an_end_it_begins_anew(box: _Box) -> None:
    """A demo runs its stream, and then what is left."""
    box.put(1)
    box.outbox.close()
    box.put(2)
    box.outbox.close()
    assert box.receiver.told == ["1", "end", "2", "end"]


def test_the_rest_is_asked_for_after_some_time(box: _Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while no batch comes."""
    monkeypatch.setattr(box.receiver, "every_seconds", 0.01)
    asked = threading.Event()

    def rest(_ending: bool) -> list[Parcel]:
        asked.set()
        return []

    monkeypatch.setattr(box.receiver, "rest", rest)
    box.outbox.start()
    assert asked.wait(60)


def test_no_thread_is_started_before_there_is_something_to_tell() -> None:
    """Commands build a pipeline too."""
    before = set(threading.enumerate())
    box = _Box()
    assert set(threading.enumerate()) <= before
    box.outbox.close()
    assert box.receiver.told == []
