"""How far a full pass is: resumed, limited, told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from checkpoint.cursor import FileCursor
from checkpoint.store import FULL
from checkpoint.timestamp_text import format_timestamp
from pipelines.health.upkeep import pass_progress
from pipelines.health.upkeep.pass_progress import PassProgress, UserIds
from tests.support.clock import Clock

NOW = datetime(2026, 7, 1, tzinfo=timezone.utc)
PIECE = 4


def _ids(count: int) -> list[ObjectId]:
    return sorted(ObjectId() for _ in range(count))


class Bench:
    """A checkpoint and a clock that only waiting moves."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock = clock
        self._folder = folder

    def progress(self, users_per_second: float = 0.0) -> PassProgress:
        """As a new process has it."""
        store = FileCursor(self._folder)
        return PassProgress(store, lambda _users: PIECE, users_per_second)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.seconds += seconds

    def work(self, progress: PassProgress, pieces: int = 1_000) -> list[ObjectId]:
        """Who is done, in so many pieces."""
        done: list[ObjectId] = []
        while pieces and (users := progress.piece()):
            done += users
            progress.advance(users, self.wait)
            pieces -= 1
        return done


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Nothing is done yet."""
    return Bench(tmp_path, Clock(monkeypatch, pass_progress))


@pytest.mark.parametrize("name", ["started", "last_user"])
@pytest.mark.parametrize("value", [5, None, "x", [], ["2026"], {}, True, 1e300])
def test_an_odd_position_is_none(tmp_path: Path, bench: Bench, name: str, value: Any) -> None:
    """The pass begins anew; nobody is passed over."""
    ids, store = _ids(8), FileCursor(tmp_path)
    store.write_notes({"started": format_timestamp(NOW), "last_user": str(ids[3]), name: value}, FULL)
    progress = bench.progress()
    progress.begin(UserIds(ids), NOW)
    assert bench.work(progress) == ids


def test_ids_are_held_in_twelve_bytes_and_found_again() -> None:
    """They are the ids that were given; membership is right for each, and for others."""
    ids = _ids(50)
    held = UserIds(ids[::2])
    assert list(held) == ids[::2]
    assert held[3:5] == ids[6:10:2]
    assert [user in held for user in ids] == [True, False] * 25
    assert "text" not in held
    assert len(held._bytes) == 12 * 25


def test_every_user_is_done_once(bench: Bench) -> None:
    """In pieces, and the next pass begins anew."""
    ids, progress = _ids(10), bench.progress()
    assert progress.begin(UserIds(ids), NOW) == NOW
    assert bench.work(progress) == ids
    later = NOW + timedelta(hours=1)
    progress.end(later)
    assert bench.progress().ended() == later
    assert bench.progress().begin(UserIds(ids), later) == later


def test_a_killed_pass_goes_on_where_it_was(bench: Bench) -> None:
    """Its begin stays; who came meanwhile before that place was polled as a change, and is left to that."""
    ids, first = _ids(10), bench.progress()
    first.begin(UserIds(ids), NOW)
    assert bench.work(first, pieces=2) == ids[:8]
    second = bench.progress()
    earlier = ObjectId(b"\0" * 12)
    assert second.begin(UserIds([earlier, *ids]), NOW + timedelta(hours=2)) == NOW
    assert bench.work(second) == ids[8:]


@pytest.mark.parametrize("age", [timedelta(days=2), timedelta(hours=-1)])
def test_a_pass_of_another_day_is_begun_anew(bench: Bench, age: timedelta) -> None:
    """What it did may be stale again; one from the future is a clock that was set back."""
    ids, first = _ids(10), bench.progress()
    first.begin(UserIds(ids), NOW)
    bench.work(first, pieces=1)
    second = bench.progress()
    assert second.begin(UserIds(ids), NOW + age) == NOW + age
    assert bench.work(second) == ids


def test_the_rate_is_kept(bench: Bench) -> None:
    """At 1 user a second 10 users take 10 seconds, in pieces of two seconds' worth."""
    ids, progress = _ids(10), bench.progress(users_per_second=1)
    progress.begin(UserIds(ids), NOW)
    assert bench.work(progress, pieces=1) == ids[:2]
    assert bench.clock.seconds == pytest.approx(2)
    bench.work(progress)
    assert bench.clock.seconds == pytest.approx(10)


def test_progress_is_told_with_rate_and_time_left(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """At most every ten seconds, and at the end."""
    progress = bench.progress(users_per_second=0.25)
    progress.begin(UserIds(_ids(6)), NOW)
    bench.work(progress)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Full pass" in line]
    assert "3 of 6 users (50 %), 0.2 users/s" in lines[0]
    assert "6 of 6 users (100 %)" in lines[-1]
