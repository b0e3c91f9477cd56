"""Retrying letters: resolved when the reason is gone, counted and parked when not, only when due."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import mongomock
import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from analytics.health.validation import DayRules
from contracts import FailedWrite, Rejected, ServiceError, WriteResult
from pipelines.engine import due
from pipelines.health import dead_letter_retry
from pipelines.health.dead_letter_retry import LetterRetry
from pipelines.health.recompute.brake import COMPUTATION_FAILED
from pipelines.health.recompute.isolation import Isolation
from sinks.dead_letters import DeadLetters, Owner
from tests.support.clock import Clock

NOW = datetime(2025, 7, 1, 12, tzinfo=timezone.utc)
DAY = datetime(2025, 6, 30, tzinfo=timezone.utc)


class Recompute:
    """Notes who was recomputed; `refused` analytics fail to be written."""

    def __init__(self) -> None:
        self.users: list[ObjectId] = []
        self.refused: list[dict[str, Any]] = []
        self.error: BaseException | None = None

    def run_set_aside(self, user: ObjectId, batch_id: str) -> Any:
        """As a computation of that user alone."""
        return self.run([user], batch_id, None)

    def rules(self, now: datetime) -> DayRules:
        """As the real one."""
        return DayRules.at(now, "UTC")

    def run(self, users: Sequence[ObjectId], _batch_id: str, _step: Any) -> Any:
        """Pretends to write."""
        if self.error:
            raise self.error
        self.users += users
        failed = tuple(FailedWrite(document, "refused by the server (code 121)") for document in self.refused)
        return SimpleNamespace(writes=WriteResult(failed=failed))


class Bench:
    """A letter queue in a folder, an embedded source and a clock that stands still."""

    def __init__(self, folder: Path, owner: Owner | None = None) -> None:
        self.source: Any = mongomock.MongoClient(tz_aware=True)["x"]["healthmetrics"]
        self.letters = DeadLetters(folder, max_attempts=2, owner=owner)
        self.recompute = Recompute()
        self.now = NOW
        clock = SimpleNamespace(now=lambda: self.now)
        recompute = cast(Isolation, self.recompute)
        self.retry = LetterRetry(self.letters, self.source, recompute, clock, lambda: "batch_9", 15)

    def mend(self) -> None:
        """All documents."""
        self.source.update_many({}, {"$set": {"metrics.steps": 5000}})

    def bad_document(self) -> dict[str, Any]:
        """A stored document with a letter."""
        document = {
            "_id": ObjectId(), "userId": ObjectId(), "date": DAY, "updatedAt": NOW, "source": "manual",
            "metrics": {"steps": "many"},
        }  # fmt: skip
        self.source.insert_one(document)
        self.letters.store([Rejected(document, "not_a_number", "metrics.steps")], "batch_1", NOW)
        return document


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """When a retry is due."""
    return Clock(monkeypatch, due)


@pytest.fixture
def bench(tmp_path: Path, clock: Clock) -> Bench:
    """Empty."""
    return Bench(tmp_path / "dlq")


def test_a_mended_document_resolves_its_letter(bench: Bench) -> None:
    """Its user is recomputed, whatever was stored in the letter."""
    document = bench.bad_document()
    bench.mend()
    outcome = bench.retry.run(bench.letters.list())
    assert (len(outcome.resolved), len(outcome.kept)) == (1, 0)
    assert bench.recompute.users == [document["userId"]]
    assert bench.letters.count() == 0


def test_a_deleted_document_resolves_its_letter(bench: Bench) -> None:
    """There is nothing left to be wrong."""
    bench.source.delete_one({"_id": bench.bad_document()["_id"]})
    assert len(bench.retry.run(bench.letters.list()).resolved) == 1


def test_one_that_is_still_bad_is_counted_then_parked(bench: Bench, clock: Clock) -> None:
    """After `DLQ_MAX_ATTEMPTS` the automatic retry leaves it alone: no endless loop."""
    bench.bad_document()
    for attempts in (1, 2):
        clock.seconds += 15 * 60
        bench.retry.run_due()
        (letter,) = bench.letters.list()
        assert letter.attempts == attempts
    assert letter.parked
    clock.seconds += 15 * 60
    bench.retry.run_due()
    assert bench.letters.list()[0].attempts == 2


def test_a_refused_write_stays_until_it_is_written(bench: Bench) -> None:
    """A letter of an analytics document is judged by the new write of the same key."""
    analytics = {"userId": ObjectId(), "metricType": "steps", "timeRange": "7day", "calculatedAt": NOW}
    bench.letters.store([FailedWrite(analytics, "refused by the server (code 121)")], "batch_1", NOW)
    bench.recompute.refused = [analytics]
    assert len(bench.retry.run(bench.letters.list()).kept) == 1
    bench.recompute.refused = []
    assert len(bench.retry.run(bench.letters.list()).resolved) == 1


@pytest.mark.parametrize("aside", [False, True])
def test_what_is_refused_while_letters_are_retried_leaves_a_letter(bench: Bench, aside: bool) -> None:
    """Whatever the retried letter was about: nobody else writes that result again. Once, however often."""
    user = _set_aside(bench) if aside else bench.bad_document()["userId"]
    bench.mend()
    names = {"userId": user, "metricType": "weight", "timeRange": "7day"}
    bench.recompute.refused = [{**names, "calculatedAt": NOW}]
    for _ in range(2):
        bench.retry.run(bench.letters.list())
        bench.recompute.refused = [{**names, "calculatedAt": NOW + timedelta(hours=1)}]
    found = [letter for letter in bench.letters.list() if letter.record.get("metricType") == "weight"]
    assert [(letter.user_id, letter.reason) for letter in found] == [
        (str(user), "refused by the server (code 121)")
    ]
    bench.recompute.refused = []
    bench.retry.run(bench.letters.list())
    assert not [letter for letter in bench.letters.list() if "metricType" in letter.record]


def test_it_runs_at_start_and_then_every_so_many_minutes(bench: Bench, clock: Clock) -> None:
    """Not at each trigger."""
    bench.bad_document()
    for seconds, attempts in ((0, 1), (15 * 60 - 1, 1), (15 * 60, 2)):
        clock.seconds = seconds
        bench.retry.run_due()
        assert bench.letters.list()[0].attempts == attempts


def test_a_failing_retry_keeps_its_letters_and_raises_nothing(bench: Bench) -> None:
    """It must not fail the batch that comes after it."""
    bench.bad_document()
    bench.mend()
    bench.recompute.error = ConnectionError("away")
    bench.retry.run_due()
    (letter,) = bench.letters.list()
    assert letter.attempts == 0


class DiedError(BaseException):
    """Stands for the end of the process: no handler of the code under test runs."""


def _set_aside(bench: Bench) -> ObjectId:
    user = ObjectId()
    bench.letters.store([FailedWrite({"userId": user}, COMPUTATION_FAILED)], "isolation", NOW)
    return user


def test_a_user_who_was_set_aside_is_released_when_the_computation_works_again(bench: Bench) -> None:
    """He is computed alone, whatever else lies in the queue."""
    user, other = _set_aside(bench), bench.bad_document()["userId"]
    outcome = bench.retry.run(bench.letters.list())
    assert (len(outcome.resolved), len(outcome.kept)) == (1, 1)
    assert bench.recompute.users == [user]
    assert [letter.user_id for letter in bench.letters.list()] == [str(other)]


@pytest.mark.parametrize("error", [ValueError("a bug"), DiedError()])
def test_the_attempt_counts_before_it_is_made(bench: Bench, error: BaseException) -> None:
    """One that kills the process is counted too, and the letter is parked after the last."""
    _set_aside(bench)
    bench.recompute.error = error
    for attempts in (1, 2):
        with suppress(DiedError):
            bench.retry.run(bench.letters.list())
        assert bench.letters.list()[0].attempts == attempts
    assert bench.letters.list()[0].parked


@pytest.mark.parametrize("user_id", ["null", '"nobody"', '""'])
def test_a_letter_that_names_no_user_is_kept(bench: Bench, tmp_path: Path, user_id: str) -> None:
    """A person edited it: no other user is computed in his place, and the letters behind it are tried."""
    user = _set_aside(bench)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text().replace(f'"user_id": "{user}"', f'"user_id": {user_id}'))
    other = _set_aside(bench)
    outcome = bench.retry.run(bench.letters.list())
    assert (len(outcome.resolved), len(outcome.kept)) == (1, 1)
    assert bench.recompute.users == [other]
    assert [letter.attempts for letter in bench.letters.list()] == [1]


def test_a_document_that_cannot_be_asked_for_is_not_taken_for_gone(bench: Bench) -> None:
    """Its id was broken text, so nothing is found by the id that the letter has."""
    document = {"_id": "abc\ufffd", "userId": ObjectId(), "updatedAt": NOW, "metrics": {"steps": "many"}}
    bench.letters.store([Rejected(document, "not_a_number", "metrics.steps")], "batch_1", NOW)
    assert len(bench.retry.run(bench.letters.list()).kept) == 1


def test_a_server_that_is_away_keeps_the_letter(bench: Bench) -> None:
    """The outage is no answer; automatic retries go on later."""
    _set_aside(bench)
    bench.recompute.error = AutoReconnect("away")
    with pytest.raises(AutoReconnect):
        bench.retry.run(bench.letters.list())
    assert bench.letters.count() == 1


def test_a_restart_does_not_try_him_at_once(bench: Bench, clock: Clock) -> None:
    """Else a user who kills the process would kill it at each start, before any batch."""
    user = _set_aside(bench)
    bench.retry.run_due()
    assert bench.recompute.users == []
    bench.now += timedelta(minutes=15)
    clock.seconds = 15 * 60
    bench.retry.run_due()
    assert bench.recompute.users == [user]


HERE, THERE = Owner.of("health.analytics", ["a"]), Owner.of("other.analytics", ["a"])
WRITE = {"metricType": "steps", "timeRange": "7day", "calculatedAt": NOW}


def _every_kind(bench: Bench) -> list[dict[str, Any]]:
    """A letter of a document, of a result that could not be written, and of a user set aside; their users'
    documents are there."""
    documents = [bench.bad_document() for _ in range(3)]
    for letter in bench.letters.list()[1:]:
        bench.letters.delete(letter)
    (left,) = bench.letters.list()
    documents.sort(key=lambda document: document["_id"] != left.record["_id"])
    failed = [FailedWrite({**WRITE, "userId": documents[1]["userId"]}, "refused by the server (code 121)")]
    aside = [FailedWrite({"userId": documents[2]["userId"]}, COMPUTATION_FAILED)]
    bench.letters.store([*failed, *aside], "batch_1", NOW)
    assert bench.letters.count() == 3
    return documents


@pytest.mark.parametrize("owner", [None, THERE])
def test_what_is_not_found_is_gone_only_where_the_letter_belongs(tmp_path: Path, owner: Owner | None) -> None:
    """MONGO_DB_NAME was wrong, or two deployments share the folder: nothing of another's is deleted."""
    _every_kind(Bench(tmp_path, owner))
    here = Bench(tmp_path, HERE)
    outcome = here.retry.run(here.letters.list())
    assert (outcome.resolved, len(outcome.kept)) == ([], 3 if owner is None else 0)
    assert DeadLetters(tmp_path).count() == 3
    own = Bench(tmp_path / "own", HERE)
    _every_kind(own)
    own.source.delete_many({})
    assert len(own.retry.run(own.letters.list()).resolved) == 3


def test_a_letter_of_an_earlier_version_is_resolved_by_what_is_here(tmp_path: Path) -> None:
    """It has no owner; its document is found and mended, its user computed: it belongs here."""
    before = Bench(tmp_path)
    documents = _every_kind(before)
    here = Bench(tmp_path, HERE)
    here.source.insert_many([{**document, "metrics": {"steps": 5_000}} for document in documents])
    assert len(here.retry.run(here.letters.list()).resolved) == 3


def test_a_letter_that_does_not_name_its_document_is_kept(bench: Bench) -> None:
    """Nothing can be looked up for it, which is not the same as gone."""
    odd = {"_id": {"$date": "x"}, "userId": ObjectId(), "updatedAt": NOW}
    bench.letters.store([Rejected(odd, "wrong_type_date")], "batch_1", NOW)
    assert len(bench.retry.run(bench.letters.list()).kept) == 1


def test_all_letters_of_a_user_cost_one_computation(bench: Bench) -> None:
    """And none is computed for a letter without a user."""
    document = bench.bad_document()
    again = [Rejected({**document, "_id": number}, "not_a_number", "metrics.steps") for number in range(3)]
    bench.letters.store([*again, Rejected({"_id": 9, "userId": "x"}, "wrong_type_userId")], "batch_1", NOW)
    bench.mend()
    assert len(bench.retry.run(bench.letters.list()).resolved) == 5
    assert bench.recompute.users == [document["userId"]]


def test_a_document_that_is_still_bad_costs_no_computation(bench: Bench) -> None:
    """It changes nothing for its user. Ten thousand such letters took hours, before the first poll."""
    for _ in range(3):
        bench.bad_document()
    assert len(bench.retry.run(bench.letters.list()).kept) == 3
    assert bench.recompute.users == []


def test_a_retry_ends_within_a_piece_of_a_stop_and_lets_the_poll_have_its_turns(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The letters that had no turn are kept as they were."""
    monkeypatch.setattr(dead_letter_retry, "_USERS_PER_PIECE", 2)
    _set_aside(bench)
    for _ in range(5):
        bench.bad_document()
    turns: list[int] = []
    outcome = bench.retry.run(bench.letters.list(), lambda: len(turns) == 2, lambda: turns.append(1))
    assert outcome.stopped
    assert (len(outcome.resolved), len(outcome.kept)) == (1, 2)
    assert sorted(letter.attempts for letter in bench.letters.list()) == [0, 0, 0, 1, 1]
    assert not bench.retry.run(bench.letters.list()).stopped


def test_letters_that_the_poll_has_just_stored_have_their_turn_next_time(bench: Bench, clock: Clock) -> None:
    """Their documents were judged a moment ago; a stop that was asked for ends the retry before its begin."""
    bench.bad_document()
    bench.retry.run_due(lambda: True)
    bench.retry.run_due(stored_before=NOW)
    assert bench.letters.list()[0].attempts == 0
    clock.seconds = 15 * 60
    bench.retry.run_due(stored_before=NOW + timedelta(minutes=15))
    assert bench.letters.list()[0].attempts == 1


@pytest.mark.parametrize("refused", [10, 11])
def test_results_of_many_that_no_letter_was_about_end_the_retry(bench: Bench, refused: int) -> None:
    """A validator that refuses everything would leave 24 letters for each user of a mended document."""
    users = [bench.bad_document()["userId"] for _ in range(refused)]
    bench.mend()
    keys = [{"userId": user, "metricType": "steps", "timeRange": "7day"} for user in users]
    bench.recompute.refused = keys
    if refused == 11:
        with pytest.raises(ServiceError, match="code 121"):
            bench.retry.run(bench.letters.list())
        assert [letter.attempts for letter in bench.letters.list()] == [0] * refused
        bench.letters.store([FailedWrite(key, "refused by the server (code 121)") for key in keys], "b", NOW)
    bench.retry.run(bench.letters.list())
    # Those who have such letters do not count: that is what is looked at.
    assert {letter.record.get("metricType") for letter in bench.letters.list()} == {"steps"}
    assert bench.letters.count() == refused


def test_a_letter_that_was_asked_for_is_tried_though_none_is_due(bench: Bench, clock: Clock) -> None:
    """Also a parked one, and that one alone; who asked is told how it ended, whatever that is."""
    first, _ = bench.bad_document(), bench.bad_document()
    for _ in range(2):
        clock.seconds += 15 * 60
        bench.retry.run_due()
    letter = next(one for one in bench.letters.list() if one.record["_id"] == first["_id"])
    assert letter.parked
    told: list[str] = []
    assert bench.retry.ask(letter.id, told.append)
    bench.retry.run_due(stop=lambda: True)
    assert told == []
    bench.retry.run_due()
    assert told == ["kept"]
    bench.mend()
    bench.retry.ask(letter.id, told.append)
    bench.retry.run_due()
    assert told == ["kept", "resolved"]
    assert bench.recompute.users == [first["userId"]]
    bench.retry.ask(letter.id, told.append)
    bench.retry.run_due()
    assert told[-1].startswith("failed: 0 letters begin with")
    assert bench.letters.count() == 1


def test_what_fails_when_it_was_asked_for_is_told_and_goes_no_further(bench: Bench) -> None:
    """Neither the batch ends of it, nor do the letters behind it wait; there is a bound for those."""
    bench.bad_document()
    bench.mend()
    (letter,) = bench.letters.list()
    bench.recompute.error = AutoReconnect("mongodb://app:hunter2@host is away")
    told: list[str] = []
    taken = [bench.retry.ask(letter.id, told.append) for _ in range(101)]
    assert taken == [True] * 100 + [False]
    bench.retry.run_asked()
    assert told == ["failed: AutoReconnect"] * 100
    assert bench.letters.count() == 1
