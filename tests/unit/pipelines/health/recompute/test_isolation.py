"""Users who make the computation fail: found, set aside, and nobody else with them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JNetworkError
from pymongo.errors import AutoReconnect, OperationFailure

from checkpoint.cursor import FileCursor
from contracts import ServiceError, WriteResult
from pipelines.engine.faults import Faults
from pipelines.health.recompute.brake import COMPUTATION_FAILED
from pipelines.health.recompute.failures import Failures
from pipelines.health.recompute.isolation import Isolation
from pipelines.health.recompute.on_driver import Recomputed, UserRecompute
from sinks.dead_letters import DeadLetters
from sources.mongo_client import MonotonicClock

NOW = datetime(2026, 7, 1, tzinfo=timezone.utc)


class DiedError(BaseException):
    """Stands for the end of the process: no handler of the code under test runs."""


class Bench:
    """A folder with a checkpoint and a queue, and a computation that fails for chosen users."""

    def __init__(self, folder: Path, max_failures: int = 3) -> None:
        self.folder = folder
        self.letters = DeadLetters(folder / "dlq")
        self.poison: dict[ObjectId, BaseException] = {}
        self.outage: Exception | None = None
        self.computed: list[ObjectId] = []
        self.calls = 0
        self.max_failures = max_failures
        self.start()

    def start(self) -> None:
        """A fresh process on the same folders."""
        recompute = cast(UserRecompute, SimpleNamespace(run=self._compute))
        clock = cast(MonotonicClock, SimpleNamespace(now=lambda: NOW))
        store = FileCursor(self.folder / "checkpoint")
        failures = Failures(store, self.max_failures)
        self.isolation = Isolation(recompute, failures, self.letters, clock, Faults())

    def _compute(self, users: Sequence[ObjectId], *_: Any) -> Recomputed:
        self.calls += 1
        if self.outage:
            raise self.outage
        for user in users:
            if user in self.poison:
                raise self.poison[user]
        self.computed += users
        return Recomputed(NOW, len(users), WriteResult(len(users)), len(users))

    def run(self, users: Sequence[ObjectId]) -> Recomputed | BaseException:
        """One batch; a process that dies is started again."""
        try:
            return self.isolation.run(users, "batch_1", lambda _step: None)
        except DiedError as error:
            self.start()
            return error
        except Exception as error:  # noqa: BLE001 - what the batch would report
            return error

    def until_done(self, users: Sequence[ObjectId]) -> tuple[Recomputed, int]:
        """Batches as the stream repeats them; the result, and how many failed before."""
        for failures in range(100):
            outcome = self.run(users)
            if isinstance(outcome, Recomputed):
                return outcome, failures
        raise AssertionError("it never succeeds")

    def set_aside(self) -> set[str | None]:
        """The users in the queue."""
        return {letter.user_id for letter in self.letters.list() if letter.reason == COMPUTATION_FAILED}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Nothing has failed yet."""
    return Bench(tmp_path)


def _users(number: int) -> list[ObjectId]:
    return sorted(ObjectId() for _ in range(number))


def test_without_failures_nothing_is_left_behind(bench: Bench) -> None:
    """The note of who is being computed goes with the result."""
    users = _users(3)
    result = bench.run(users)
    assert isinstance(result, Recomputed)
    assert (bench.computed, result.history_rows, result.writes.failed) == (users, 3, ())
    assert not (bench.folder / "checkpoint" / "attempts.json").exists()


@pytest.mark.parametrize("error", [ValueError("a bug"), DiedError()])
def test_one_poisonous_user_is_found_after_the_failures_and_set_aside(
    bench: Bench, error: BaseException
) -> None:
    """Also one who kills the process; the batch that finds him is a success, and all others are computed."""
    users = _users(50)
    bench.poison[users[17]] = error
    result, failures = bench.until_done(users)
    assert failures >= bench.max_failures
    assert bench.set_aside() == {str(users[17])}
    assert set(bench.computed) == set(users) - {users[17]}
    assert [(failed.document["userId"], failed.reason) for failed in result.writes.failed] == [
        (users[17], COMPUTATION_FAILED)
    ]
    # Halves of halves, not one by one.
    assert bench.calls <= bench.max_failures + 2 * 6 + 2


def test_who_is_set_aside_stays_out_until_his_letter_is_gone(bench: Bench) -> None:
    """His later changes cost nothing; once the letter is retried or purged he is computed again."""
    users = _users(4)
    bench.poison[users[0]] = ValueError("a bug")
    bench.until_done(users)
    bench.computed.clear()
    result = bench.run(users)
    assert isinstance(result, Recomputed)
    assert bench.computed == users[1:]
    assert len(result.writes.failed) == 1
    bench.poison.clear()
    bench.letters.delete(bench.letters.list()[0])
    bench.run(users[:1])
    assert bench.computed == [*users[1:], users[0]]


def test_the_letter_tells_the_cause_without_secrets(bench: Bench) -> None:
    """Type and first line, redacted; a stack would hold data."""
    (user,) = _users(1)
    bench.poison[user] = ValueError("at mongodb://app:hunter2@db/\nsecond line")
    bench.until_done([user])
    (letter,) = bench.letters.list()
    assert letter.record["cause"].startswith("ValueError: at mongodb://")
    assert "hunter2" not in json.dumps(letter.record, default=str)
    assert "second line" not in letter.record["cause"]


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("away"),
        # What FerretDB says while its PostgreSQL starts; by its code it could be anything.
        OperationFailure("the database system is starting up", 1),
        ServiceError("the disk is full"),
    ],
)
def test_outages_are_not_counted(bench: Bench, error: Exception) -> None:
    """However long a server is away or sick, nobody is suspected; also not after a restart meanwhile."""
    users = _users(3)
    bench.outage = error
    for _ in range(3 * bench.max_failures):
        assert bench.run(users) is error
        bench.start()
    assert bench.set_aside() == set()
    assert bench.calls == 3 * bench.max_failures
    bench.outage = None
    assert isinstance(bench.run(users), Recomputed)


def test_an_outage_in_the_middle_of_the_search_only_interrupts_it(bench: Bench) -> None:
    """What was found is kept, and the search goes on where it was, also in another process."""
    users = _users(8)
    bench.poison[users[5]] = ValueError("a bug")
    for _ in range(bench.max_failures):
        bench.run(users)
    bench.outage = AutoReconnect("away")
    assert isinstance(bench.run(users), AutoReconnect)
    bench.outage = None
    bench.start()
    assert isinstance(bench.run(users), Recomputed)
    assert bench.set_aside() == {str(users[5])}
    assert set(bench.computed) == {*users} - {users[5]}


@pytest.mark.parametrize("error", [ValueError("a bug"), DiedError()])
def test_when_too_many_would_be_set_aside_nobody_is(bench: Bench, error: BaseException) -> None:
    """More than 10 and 1 %: a bug or the machine; it says so, and starts over when that is mended."""
    users = _users(20)
    bench.poison = dict.fromkeys(users, error)
    outcomes = [bench.run(users) for _ in range(60)]
    told = [str(outcome) for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert told
    assert "bug" in told[0]
    assert bench.set_aside() == set()
    assert bench.computed == []
    bench.poison.clear()
    _, failures = bench.until_done(users)
    assert failures == 0
    assert set(bench.computed) == {*users}


@pytest.mark.parametrize(
    ("number", "poisonous", "is_a_bug"),
    [(110, 10, False), (110, 11, True), (1_200, 12, False)],
)
def test_ten_and_one_percent_may_be_set_aside_and_not_one_more(
    tmp_path: Path, number: int, poisonous: int, is_a_bug: bool
) -> None:
    """The greater of both is the brake: one more is a bug or the machine."""
    bench, users = Bench(tmp_path, max_failures=1), _users(number)
    bench.poison = dict.fromkeys(users[:: number // poisonous][:poisonous], ValueError("a bug"))
    outcomes = [bench.run(users) for _ in range(4)]
    assert any(isinstance(outcome, ServiceError) for outcome in outcomes) == is_a_bug
    assert len(bench.set_aside()) == (0 if is_a_bug else poisonous)


def test_java_that_died_is_nobodys_fault_but_his_who_killed_it(bench: Bench) -> None:
    """Without it every further computation fails, whoever is in it, until the process is started again."""
    users = _users(8)
    bench.poison[users[3]] = Py4JNetworkError("Answer from Java side is empty")
    bench.poison[users[5]] = ValueError("a bug")
    computes, java_is_dead = bench._compute, False

    def compute(some: Sequence[ObjectId], *others: Any) -> Recomputed:
        nonlocal java_is_dead
        java_is_dead = java_is_dead or users[3] in some
        if java_is_dead:
            raise Py4JNetworkError("Answer from Java side is empty")
        return computes(some, *others)

    setattr(bench, "_compute", compute)  # noqa: B010 - mypy knows that it is a method
    bench.start()
    for _ in range(60):
        outcome = bench.run(users)
        if isinstance(outcome, Recomputed):
            break
        if isinstance(outcome, Py4JNetworkError):
            java_is_dead = False
            bench.start()
    assert bench.set_aside() == {str(users[3]), str(users[5])}
    assert set(bench.computed) == {*users} - {users[3], users[5]}


_HEX = "6b0a6f857f5a34404908ebc1"
_ODD_NOTES: tuple[Any, ...] = (
    5,
    None,
    "x",
    [],
    {},
    ["x"],
    [None],
    [_HEX],
    [[_HEX]],
    [[None]],
    {"a": 1},
    {_HEX: None},
)
_NOTES = ("trying", "failures", "searching", "pending", "culprits", "foreign")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", f'{{"failures": {{"{_HEX}": 1e999}}}}']
    + [json.dumps({name: value}) for name in _NOTES for value in _ODD_NOTES],
)
def test_damaged_notes_are_worth_nothing_and_harm_nothing(bench: Bench, content: str) -> None:
    """They only save time; losing them costs some more failures."""
    (bench.folder / "checkpoint").mkdir()
    (bench.folder / "checkpoint" / "attempts.json").write_text(content)
    assert isinstance(bench.run(_users(2)), Recomputed)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    number=st.integers(1, 40),
    culprits=st.dictionaries(st.integers(0, 39), st.booleans(), max_size=6),
    cut=st.integers(1, 40),
    max_failures=st.integers(1, 4),
)
def test_exactly_the_culprits_are_set_aside_however_they_fail_and_pieces_are_cut(
    tmp_path: Path, number: int, culprits: dict[int, bool], cut: int, max_failures: int
) -> None:
    """Raising or killing, few or many, in pieces of any size that change from batch to batch."""
    bench, users = Bench(tmp_path / uuid.uuid4().hex, max_failures), _users(number)
    bench.poison = {
        users[index]: DiedError() if kills else ValueError("a bug")
        for index, kills in culprits.items()
        if index < number
    }
    left = list(users)
    for turn in range(200):
        size = cut if turn % 2 else number
        outcome = bench.run(left[:size])
        if isinstance(outcome, Recomputed):
            left = left[size:]
        if not left:
            break
    assert not left
    assert bench.set_aside() == {str(user) for user in bench.poison}
    assert set(bench.computed) == set(users) - set(bench.poison)
