"""The full pass on a real server: everybody once, the gone removed, resumed after a death."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from analytics.health.validation import DayRules
from checkpoint.cursor import FileCursor
from contracts import BatchReport, FailedWrite, ServiceError, WriteResult
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.recompute.on_driver import EVERYTHING, FirstDays, Recomputed, Step
from pipelines.health.upkeep.full_pass import FullPass
from pipelines.health.upkeep.pass_progress import PassProgress
from pipelines.health.upkeep.pieces import Pieces
from retry import RetryPolicy
from sinks.dead_letters import DeadLetters
from sources.mongo_client import MonotonicClock, ServerClock, connect
from tests.support.mongo_answers import answering
from tests.support.toxiproxy import host_of

_USERS = 10
_PIECE = 3
_KEY = {"metricType": "steps", "timeRange": "7day"}
_OLD = datetime(2020, 1, 1, tzinfo=timezone.utc)


class DiedError(BaseException):
    """Stands for the end of the process."""


class Recording:
    """A recomputation that notes who it was asked for, and dies at the n-th call."""

    def __init__(self, database: Database[dict[str, Any]], dies_at: int) -> None:
        self.users: list[ObjectId] = []
        self._target = database["analytics"]
        self._calls, self._dies_at = 0, dies_at
        self.refused: tuple[FailedWrite, ...] = ()

    def rules(self, now: datetime) -> DayRules:
        """Any."""
        return DayRules.at(now)

    def run(
        self, users: Sequence[ObjectId], batch_id: str, step: Step, changed: FirstDays = EVERYTHING
    ) -> Recomputed:
        """Stamp the users' documents."""
        assert (batch_id, step, changed)[2] == EVERYTHING
        self._calls += 1
        if self._calls == self._dies_at:
            raise DiedError
        self.users += users
        now = datetime.now(timezone.utc)
        self._target.update_many({"userId": {"$in": list(users)}}, {"$set": {"calculatedAt": now}})
        return Recomputed(now, len(users), WriteResult(updated=len(users), failed=self.refused), len(users))


class Bench:
    """A source of ten users, each with a result, and one result of a user who is gone."""

    def __init__(self, folder: Path, database: Database[dict[str, Any]]) -> None:
        self.reports: list[BatchReport] = []
        self.letters = DeadLetters(folder / "dlq")
        self._source: Any = database["healthmetrics"]
        self._folder, self._database = folder, database
        self.users = sorted(ObjectId() for _ in range(_USERS))
        self.gone = ObjectId()
        database["healthmetrics"].insert_many(
            {"userId": user, "day": n} for user in self.users for n in (1, 2)
        )
        database["analytics"].insert_many(
            {**_KEY, "userId": user, "calculatedAt": _OLD} for user in [*self.users, self.gone]
        )

    def start(self, dies_at: int = 0) -> tuple[FullPass, Recording]:
        """A fresh process on the same folder."""
        recording = Recording(self._database, dies_at)
        clock = MonotonicClock(ServerClock(self._database.client))
        full = FullPass(
            self._source,
            self._database["analytics"],
            Pieces(recording, self.letters, clock, lambda: "batch", self.reports.append),
            clock,
            PassProgress(FileCursor(self._folder), lambda _users: _PIECE),
            RetryPolicy(base_seconds=0.01),
        )
        return full, recording

    def arrives_while_ids_are_listed(self) -> ObjectId:
        """A new user: the stream computes him when the listing has just passed him by."""
        user, real, target = ObjectId(), self._source, self._database["analytics"]
        clock = ServerClock(self._database.client)

        def aggregate(*arguments: Any, **options: Any) -> Any:
            listed = real.aggregate(*arguments, **options)
            real.insert_one({"userId": user, "day": 1})
            target.insert_one({**_KEY, "userId": user, "calculatedAt": clock.now()})
            return listed

        self._source = SimpleNamespace(aggregate=aggregate, database=real.database, name=real.name)
        return user

    def delete(self, user: ObjectId) -> None:
        """All of a user's documents."""
        self._source.delete_many({"userId": user})

    def left(self) -> list[ObjectId]:
        """Who has results."""
        return sorted(document["userId"] for document in self._database["analytics"].find())


@pytest.fixture
def bench(tmp_path: Path, database: Database[dict[str, Any]]) -> Bench:
    """Nothing is done yet."""
    return Bench(tmp_path, database)


def test_everybody_is_recomputed_once_and_the_gone_are_removed(bench: Bench) -> None:
    """In pieces, each of them reported."""
    full, recording = bench.start()
    assert full.run(StopFlag()) == 1
    assert recording.users == bench.left() == bench.users
    assert [report.users for report in bench.reports] == [3, 3, 3, 1]
    # No change was polled: what counts those counts nothing.
    assert [report.records_processed for report in bench.reports] == [0] * 4
    assert all(
        abs(sum(report.steps_ms.values()) - report.processing_time_ms) < 50 for report in bench.reports
    )


def test_a_pass_that_died_goes_on_behind_its_last_piece(bench: Bench) -> None:
    """Nobody is left out or done twice, and the gone still go."""
    full, before = bench.start(dies_at=3)
    with pytest.raises(DiedError):
        full.run(StopFlag())
    full, after = bench.start()
    assert full.run(StopFlag()) == 1
    assert before.users + after.users == bench.left() == bench.users
    full, again = bench.start()
    assert full.run(StopFlag()) == 0
    assert again.users == bench.users


@pytest.mark.parametrize("command", ["aggregate", "update", "delete", "find"])
def test_a_server_that_is_away_for_a_moment_ends_no_pass(
    command: str, tmp_path: Path, mongo_uri: str, database: Database[dict[str, Any]]
) -> None:
    """Whichever command meets it, it is tried again, as in a batch; everybody is done, and the gone go."""
    with answering(host_of(mongo_uri)) as door:
        client = connect(f"mongodb://{door.address}/?retryWrites=false")
        bench = Bench(tmp_path, client[database.name])
        full, recording = bench.start()
        # The driver itself tries a read twice.
        door.refuse(command, 91, "the server is shutting down", times=2)
        removed = full.run(StopFlag())
        assert sorted(set(recording.users)) == bench.left() == bench.users
        assert (removed, sum(report.users for report in bench.reports)) == (1, len(bench.users))
        client.close()


def test_a_pass_that_is_stopped_removes_nothing_and_goes_on(bench: Bench) -> None:
    """It cannot know who is gone until it has seen everybody."""
    stop = StopFlag()
    full, before = bench.start()
    assert full.run(stop, between=stop.set) == 0
    assert bench.gone in bench.left()
    full, after = bench.start()
    assert full.run(StopFlag()) == 1
    assert before.users + after.users == bench.left() == bench.users


def test_a_user_who_arrives_while_the_ids_are_listed_keeps_his_results(bench: Bench) -> None:
    """He is not among the ids, so he looks gone; but his results are younger than the pass."""
    user = bench.arrives_while_ids_are_listed()
    full, recording = bench.start()
    assert full.run(StopFlag()) == 1
    assert user not in recording.users
    assert bench.left() == sorted([*bench.users, user])


def test_what_a_resumed_pass_finds_gone_goes_also_if_its_first_part_had_computed_it(bench: Bench) -> None:
    """The user was deleted between death and resumption: his results are younger than the pass's begin."""
    full, before = bench.start(dies_at=3)
    with pytest.raises(DiedError):
        full.run(StopFlag())
    gone = before.users[0]
    bench.delete(gone)
    full, _ = bench.start()
    assert full.run(StopFlag()) == 2
    assert bench.left() == [user for user in bench.users if user != gone]


def test_results_that_a_full_pass_cannot_write_become_dead_letters(bench: Bench) -> None:
    """And its report counts them as errors."""
    full, recording = bench.start()
    names = {"userId": bench.users[0], "metricType": "steps", "timeRange": "7day"}
    recording.refused = (FailedWrite(names, "refused by the server (code 121)"),)
    full.run(StopFlag())
    (letter,) = bench.letters.list()
    assert (letter.user_id, letter.reason) == (str(bench.users[0]), "refused by the server (code 121)")
    assert {report.status for report in bench.reports} == {"completed_with_errors"}


def test_a_full_pass_whose_results_are_refused_for_many_is_not_done(bench: Bench) -> None:
    """No letter, no user counted as done; the next pass goes on there."""
    full, recording = bench.start()
    names = [{"userId": ObjectId(), "metricType": "steps", "timeRange": "7day"} for _ in range(11)]
    recording.refused = tuple(FailedWrite(each, "refused by the server (code 121)") for each in names)
    with pytest.raises(ServiceError, match="code 121"):
        full.run(StopFlag())
    assert bench.letters.count() == 0
    assert bench.reports == []
