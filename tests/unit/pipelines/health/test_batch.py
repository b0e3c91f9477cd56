"""The batch between poll and cursor: whom a change makes stale, and what is told when a person interferes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import mongomock
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules
from checkpoint.cursor import FILE_NAME, FileCursor
from contracts import BatchReport, FailedWrite, WriteResult
from pipelines.engine import steps
from pipelines.engine.faults import Faults
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.batch import HealthBatch
from pipelines.health.page_work import Piece
from pipelines.health.recompute.on_driver import Recomputed
from retry import RetryPolicy
from sinks.dead_letters import DeadLetters
from sources.health.layouts import Layouts
from sources.health.poll import MongoPoll
from sources.health.poll_page import Changed, Found, PollPage, page_of
from sources.health.replies import decoded
from tests.support.byte_layouts import TODAY, USERS, replies
from tests.support.clock import Clock

NOW = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
DAY = {"date": NOW - timedelta(days=1), "source": "manual", "metrics": {"steps": 5_000}}


class Bench:
    """An embedded source, a cursor's file an hour old, and a computation that only notes its users."""

    def __init__(self, folder: Path, page_size: int = 10) -> None:
        self.source: Any = mongomock.MongoClient(tz_aware=True)["x"]["healthmetrics"]
        self.cursor = FileCursor(folder)
        self.cursor.set(NOW - 60 * MINUTE, NOW)
        self.file = folder / FILE_NAME
        self.reports: list[BatchReport] = []
        self.users: list[ObjectId] = []
        self.refused: set[ObjectId] = set()
        self.edit_at: int | None = None
        self.calls = 0
        self.on_run: Any = lambda _step: None
        clock: Any = SimpleNamespace(now=lambda: NOW)
        self.batch = HealthBatch(
            poll=MongoPoll(self.source, 60, page_size),
            recompute=cast(Any, SimpleNamespace(run=self._run, rules=lambda now: DayRules.at(now, "UTC"))),
            cursor=self.cursor,
            letters=DeadLetters(folder / "dlq"),
            clock=clock,
            retry=RetryPolicy(1, 0.1, 0.1, lambda _error: None),
            faults=Faults(),
            on_report=self.reports.append,
        )

    def _run(self, users: Sequence[ObjectId], _batch: str, step: Any, _changed: Any) -> Recomputed:
        self.calls += 1
        self.on_run(step)
        self.users += users
        if self.calls == self.edit_at:
            self.file.write_text("2026-06-01\n")
        keys = [{"userId": user, "metricType": "steps", "timeRange": "7day"} for user in users]
        refused = [FailedWrite(key, "code 121") for key in keys if key["userId"] in self.refused]
        writes = WriteResult(inserted=len(users) - len(refused), failed=tuple(refused))
        return Recomputed(NOW, len(users), writes, len(users))

    def add(self, **fields: Any) -> ObjectId:
        """A document of a new user, which changed some minutes ago."""
        user = ObjectId()
        changed = NOW - (50 - self.source.count_documents({})) * MINUTE
        self.source.insert_one({"userId": user, **DAY, "updatedAt": changed, **fields})
        return user


@pytest.mark.parametrize("edit_at", [1, 2, 3])
def test_a_batch_during_which_a_person_moves_the_cursor_is_told_like_any(
    tmp_path: Path, edit_at: int
) -> None:
    """Its results are written: they were in no log line and no metric. The next drain goes on from there."""
    bench = Bench(tmp_path, page_size=4)
    for _ in range(12):
        bench.add()
    bench.edit_at = edit_at
    assert bench.batch.drain(StopFlag())
    assert bench.file.read_text() == "2026-06-01\n"
    assert [report.success for report in bench.reports] == [True] * edit_at
    computed = len(bench.users)
    assert computed >= edit_at
    assert sum(report.records_processed for report in bench.reports) == computed
    assert sum(report.writes.inserted for report in bench.reports) == computed
    assert bench.batch.drain(StopFlag())
    assert len(bench.users) == computed + 12


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "import"}, {"source": None}, {"heartRate": 61}, {"metrics": {"bloodOxygen": 98}},
        {"metrics": "none"}, {"metrics": {}}, {"date": "2026-06-30"}, {"date": NOW + timedelta(days=9)},
    ],
)  # fmt: skip
def test_a_document_that_does_not_count_makes_its_user_stale_too(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    """Yesterday it may have counted: what it gave must go."""
    bench = Bench(tmp_path)
    user = bench.add(**fields)
    assert bench.batch.drain(StopFlag())
    assert bench.users == [user]


def test_a_user_of_many_pages_is_recomputed_once_unless_a_change_may_have_been_missed(tmp_path: Path) -> None:
    """What changed before the drain is in the history that was read; within the overlap it may not be."""
    bench = Bench(tmp_path, page_size=1)
    bench.cursor.reset()
    old, fresh = ObjectId(), ObjectId()
    for user, before in ((old, timedelta(hours=1)), (fresh, timedelta(seconds=20))):
        same = {"userId": user, **DAY}
        bench.source.insert_many({**same, "updatedAt": NOW - before * part / 5} for part in range(5, 8))
    assert bench.batch.drain(StopFlag()) == NOW
    assert bench.users == [old, fresh, fresh, fresh]


@pytest.mark.parametrize("refused", [10, 11])
def test_when_too_many_results_are_refused_none_is_set_aside_and_the_cursor_stays(
    tmp_path: Path, refused: int
) -> None:
    """A validator of the collection refuses all: 24 letters a user, and everything counted as done."""
    bench = Bench(tmp_path, page_size=30)
    bench.refused = {bench.add() for _ in range(refused)}
    for _ in range(9):
        bench.add()
    before = bench.file.read_text()
    few = refused == 10
    assert (bench.batch.drain(StopFlag()) == NOW) is few
    assert bench.batch.letters.count() == (10 if few else 0)
    assert (bench.file.read_text() != before) is few
    (report,) = bench.reports
    assert report.success is few
    assert few or "Results of 11 of 20 users cannot be stored (code 121)" in report.errors[0]
    bench.refused = set()
    assert bench.batch.drain(StopFlag()) == NOW
    assert len(set(bench.users)) == refused + 9


def test_the_steps_begin_with_the_poll_and_add_up_to_the_time_of_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each page, also one that fails, whatever the server's clock says; reading it is the first step."""
    bench, clock = Bench(tmp_path, page_size=2), Clock(monkeypatch, steps)
    for _ in range(5):
        bench.add()
    begin = bench.batch.poll.begin

    def slow(*arguments: Any) -> Any:
        for page in begin(*arguments):
            clock.seconds += 2
            yield page

    def compute(step: Any) -> None:
        clock.seconds += 3
        step("compute")
        if bench.calls == 3:
            clock.seconds += 5
            raise ValueError("a bug")

    monkeypatch.setattr(bench.batch.poll, "begin", slow)
    bench.on_run = compute
    bench.batch.drain(StopFlag())
    whole = {"poll": 2000, "validate": 0, "compute": 3000, "dead_letters": 0, "save": 0}
    assert [dict(report.steps_ms) for report in bench.reports[:2]] == [whole] * 2
    assert [report.processing_time_ms for report in bench.reports] == [5000, 5000, 10_000]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=replies(), lost=st.integers(0, 2), aside=st.booleans(), again=st.booleans())
def test_a_page_of_rows_is_accounted_for_like_one_of_single_documents(
    tmp_path: Path, raw: list[bytes], lost: int, aside: bool, again: bool
) -> None:
    """The same ends, reasons, letters and stale users, whoever was recomputed, superseded or set aside."""
    batch = Bench(tmp_path).batch
    batch._began = TODAY + 2.5 * MINUTE
    batch._recomputed = {USERS[0].binary} if again else set()
    found = Found.of(b"".join(raw), Layouts(decoded))
    singles = [each for each in map(Changed, raw) if isinstance(each.key[1], datetime)]
    superseded = Superseded(TODAY)
    for changed in singles[:lost]:
        superseded.add(changed.key[1], changed.key[0])
    told = []
    for page in (PollPage(found.rows, found.singles), PollPage((), singles)):
        piece = Piece("", TODAY)
        batch._validate(page, piece)
        letters = Counter((repr(each.document), each.reason, each.field) for each in piece.rejected)
        piece.settle({USERS[1]} if aside else set(), superseded)
        keys = sorted(map(repr, page.keys))
        left = dict(piece.left_out)
        told.append(
            (piece.users, letters, piece.ends, left, piece.of_set_aside, piece.records, keys, page.size)
        )
    assert told[0] == told[1]


@settings(max_examples=60, deadline=None)
@given(raw=replies(), read_to=st.integers(-1, 3), first=st.integers(-1, 3), length=st.integers(0, 2))
def test_a_page_of_rows_has_the_dates_of_single_documents(
    raw: list[bytes], read_to: int, first: int, length: int
) -> None:
    """Newest, late ones, keys from a moment, and what is dated between two moments."""
    singles = [each for each in map(Changed, raw) if isinstance(each.key[1], datetime)]
    both = Found.of(b"".join(raw), Layouts(decoded)), Found([], singles)
    lower = TODAY + first * MINUTE
    kept = [each.dated(lower, lower + length * MINUTE) for each in both]
    told = [
        (page.newest, sorted(page.late_seconds), sorted(map(repr, page.keys_from(TODAY + MINUTE))), page.size)
        for page in (page_of(each, TODAY + read_to * MINUTE) for each in [*both, *kept] if each)
    ]
    assert told[::2] == told[1::2]
    assert len(kept[0]) == len(kept[1])
