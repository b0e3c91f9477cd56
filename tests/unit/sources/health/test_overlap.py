"""An overlap that tunes itself: wide at once, narrow slowly, and no poll pays for it twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sources.health import overlap
from sources.health.overlap import CEILING_SECONDS, FLOOR_SECONDS, MeasuredOverlap, Overlap
from tests.support.clock import Clock
from tests.support.poll_schedules import OVERLAP_SECONDS, Action, Service, schedules
from tests.unit.sources.health.test_poll import MIXED_IDS, collection

_HOUR = 3_600.0


class Bench:
    """An overlap, and what it told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float = 60.0) -> None:
        self.clock = Clock(monkeypatch, overlap)
        self.told: list[tuple[float, str]] = []
        self.measured = MeasuredOverlap(lambda *told: self.told.append(told), seconds)

    def polls(self, hours: float, late: Sequence[float] = (), each: float = 60.0) -> None:
        """A poll a minute, which finds these."""
        for _ in range(round(hours * _HOUR / each)):
            self.clock.seconds += each
            self.measured.observe(late)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """As at a first start."""
    return Bench(monkeypatch)


def test_what_needs_more_than_half_widens_it_at_once(bench: Bench) -> None:
    """To twice of it, and that is told with its cause."""
    bench.measured.observe([1.0, 29.9])
    assert (bench.measured.seconds, bench.told) == (60, [])
    bench.measured.observe([3.0, 50.0])
    assert bench.measured.seconds == 100
    assert bench.measured.length == timedelta(seconds=100)
    assert bench.told == [(100, "a commit came 50.0 s late")]
    bench.measured.missed()
    assert bench.measured.seconds == 200


def test_it_narrows_slowly_and_only_as_far_as_commits_allow(bench: Bench) -> None:
    """By half in six hours; a floor holds, and so does what comes late each day."""
    bench.measured.observe([300.0])
    bench.polls(5.9, [20.0])
    assert 300 < bench.measured.seconds < 450
    bench.polls(48, [20.0])
    # Twice 20 seconds, rounded up by a class.
    assert 40 <= bench.measured.seconds <= 50
    bench.polls(500)
    assert bench.measured.seconds == FLOOR_SECONDS
    assert len(bench.told) < 40


def test_one_straggler_in_a_thousand_does_not_keep_it_wide(bench: Bench) -> None:
    """Its day is over soon; what comes once in a hundred stays."""
    for rare, widest in ((1_000, 60.0), (50, 1_000.0)):
        for number in range(4_000):
            bench.clock.seconds += 60
            bench.measured.observe([5.0, 200.0] if number % rare == 0 else [5.0])
        assert (bench.measured.seconds < 100) is (widest == 60.0)


@settings(max_examples=200, deadline=None)
@given(late=st.lists(st.floats(0, 1e9), max_size=20), seconds=st.floats(0, 1e9))
def test_it_stays_between_floor_and_ceiling_and_holds_what_came(late: list[float], seconds: float) -> None:
    """Whatever was kept and whatever comes; the latest commit would be found again."""
    measured = MeasuredOverlap(lambda *_: None, seconds)
    measured.observe(late)
    assert FLOOR_SECONDS <= measured.seconds <= CEILING_SECONDS
    assert measured.seconds >= min(max(late, default=0), CEILING_SECONDS)
    measured.missed()
    assert FLOOR_SECONDS <= measured.seconds <= CEILING_SECONDS


def test_a_fixed_one_stays() -> None:
    """Whatever comes; and it is at least 0."""
    fixed = Overlap(60)
    fixed.observe([1e6])
    fixed.missed()
    assert fixed.seconds == 60
    with pytest.raises(ValueError, match="at least"):
        Overlap(-1)


class _Restless(Overlap):
    """Changes its length before each poll, at random."""

    def __init__(self, lengths: list[float]) -> None:
        super().__init__(OVERLAP_SECONDS)
        self._lengths = lengths

    def change(self) -> None:
        """The next of the lengths."""
        if self._lengths:
            self._seconds = self._lengths.pop()


class _RestlessService(Service):
    def __init__(self, lengths: list[float], page_size: int) -> None:
        self._restless = _Restless(lengths)
        super().__init__(collection(), MIXED_IDS, page_size)

    def drain(self):  # type: ignore[no-untyped-def]
        """The pages up to now, by another overlap."""
        self._restless.change()
        return super().drain()

    def _start(self) -> None:
        super()._start()
        self.poller.overlap = self._restless


@settings(max_examples=60, deadline=None)
@example(
    actions=[
        ("poll", "finish", 0, []),
        ("write", 1, 4),
        ("wait", 1),
        ("write", 0, 0),
        ("poll", "finish", 0, []),
    ],
    lengths=[2.0, 1.0, 1.0],
    page_size=3,
)
@given(
    actions=schedules(MIXED_IDS, crashes=False),
    lengths=st.lists(st.floats(OVERLAP_SECONDS, 20), max_size=12),
    page_size=st.sampled_from([1, 3, 1000]),
)
def test_an_overlap_that_changes_loses_nothing_and_brings_nothing_twice(
    actions: list[Action], lengths: list[float], page_size: int
) -> None:
    """Were all of a grown one read, what was processed before would come again, and count as late."""
    service = _RestlessService(lengths, page_size)
    service.run(actions)
    assert service.owed() <= set(service.delivered)
    assert service.delivered <= service.written
