"""Each transition is told exactly once to a receiver that knows ids, whatever dies or is repeated."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from analytics.health.documents import midnight
from analytics.health.plain import runs
from contracts import Rejected
from contracts.health_metrics import METRICS
from contracts.quiet_hours import QuietHours, parse
from pipelines.health.telling.delivery import KEPT, Delivery
from pipelines.health.telling.news import News
from pipelines.health.telling.state import State
from pipelines.health.telling.teller import Teller
from sinks.health.told_states import ToldStates
from sources.mongo_client import connect
from tests.support.catalogues import catalogue
from tests.support.receivers import FakeReceiver

_RULES = "[steps]\ntell_anomalies_from = low\ntell_streaks = 2, 4\ntell_silent_days = 4\nleast_effect = 0\n"
_UTC = ZoneInfo("UTC")
_BEGIN = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)
_FIRST = (_BEGIN - datetime(1970, 1, 1, tzinfo=timezone.utc)).days
_USERS = [ObjectId(f"{number:024x}") for number in range(1, 4)]


class _World:
    """A database, a receiver, and a process that may die; time moves by a day with each batch."""

    def __init__(self, receiver: FakeReceiver, quiet: QuietHours | None = None) -> None:
        self.database = connect(f"mongomock://{secrets.token_hex(8)}")["health"]
        self.receiver, self.quiet = receiver, quiet
        self.now, self.letters = _BEGIN, list[Rejected]()
        self.series: dict[ObjectId, dict[int, float]] = {user: {} for user in _USERS}
        self.restart()
        self.teller.run_once()

    def restart(self, max_waiting: int = 10) -> None:
        """A new process: what was only in memory is gone."""
        states = ToldStates(self.database["analytics_told"])
        news = News(("webhook",), _UTC, {}, self.quiet)
        receivers = {"webhook": self.receiver.as_receiver()}
        delivery = Delivery(receivers, news, self.letters.append, lambda *_: None, lambda: None)
        self.teller = Teller(
            self.database["analytics"], states, news, delivery, lambda _user: _UTC, threading.Event(),
            max_waiting=max_waiting, clock=lambda: self.now,
        )  # fmt: skip

    def batch(self, values: Sequence[float | None]) -> None:
        """The next day of each user, computed and stored."""
        self.now += timedelta(days=1)
        day = (self.now - datetime(1970, 1, 1, tzinfo=timezone.utc)).days
        for user, value in zip(_USERS, values, strict=True):
            if value is not None:
                self.series[user][day] = value
            self._store(user)

    def repeat(self) -> None:
        """The last batch once more, as after a death before its cursor was saved."""
        self.now += timedelta(seconds=1)
        for user in _USERS:
            self._store(user)

    def publish(self) -> None:
        self.teller.publish(_USERS, self.now)

    def _store(self, user: ObjectId) -> None:
        series = self.series[user]
        if not series:
            return
        last = max(series)
        found = runs(series, METRICS["steps"].streak)
        days = found[-1][1] if found and sum(found[-1]) == last + 1 else 0
        key = {"userId": user, "metricType": "steps", "timeRange": "90day"}
        result: dict[str, Any] = {
            "historicalData": [{"date": midnight(one), "value": series[one]} for one in sorted(series)],
            "analytics": {"streakDays": days},
            "calculatedAt": self.now,
        }
        self.database["analytics"].update_one(key, {"$set": result}, upsert=True)

    def settle(self) -> None:
        """Let the process work until nothing is left that is due, for two days."""
        for _ in range(48):
            while self.teller.run_once():
                pass
            self.now += timedelta(hours=1)
        while self.teller.run_once():
            pass


_VALUE = st.sampled_from([None, 500.0, 5_000.0, 5_000.0, 5_100.0, 30_000.0])
_BATCH = st.tuples(*[_VALUE] * len(_USERS))
_EVENTS = st.sampled_from(["told", "died before", "died after", "repeated", "no room", "died untold"])
_FAILURES = st.lists(st.sampled_from(["", "", "lost", "server_error", "unreachable"]), max_size=30)


def _told_without_faults(batches: Sequence[Sequence[float | None]]) -> set[str]:
    world = _World(FakeReceiver())
    for values in batches:
        world.batch(values)
        world.publish()
        while world.teller.run_once():
            pass
    world.settle()
    return set(world.receiver.ids)


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(st.tuples(_BATCH, _EVENTS), min_size=1, max_size=14), _FAILURES)
def test_each_transition_is_told_once_whatever_happens(
    plan: Sequence[tuple[Sequence[float | None], str]], failures: list[str]
) -> None:
    """Deaths, repeats, a full queue, lost answers and a receiver that is away change nothing of it."""
    with catalogue(_RULES):
        expected = _told_without_faults([values for values, _ in plan])
        script = iter(failures)
        world = _World(FakeReceiver(lambda: next(script, "")))
        for values, event in plan:
            world.batch(values)
            if event == "died before":
                # The batch comes again, since its cursor was not saved.
                world.restart()
                world.repeat()
            world.teller._max_waiting = 1 if event == "no room" else 10
            world.publish()
            if event == "died after":
                world.restart()
            if event == "repeated":
                world.teller.run_once()
                world.repeat()
                world.publish()
            while world.teller.run_once():
                pass
            if event == "died untold":
                world.restart()
        world.settle()
        # Batches come once a day here, so that some failures last three days.
        letters = {letter.document["_id"] for letter in world.letters}
        assert set(world.receiver.ids) | letters == expected
        by_id = {str(one["id"]): one for one in world.receiver.took}
        assert all(one == by_id[str(one["id"])] for one in world.receiver.took)
        # Only an answer that was lost is asked for again.
        assert len(world.receiver.ids) - len(expected) <= failures.count("lost")


def test_the_worst_and_the_best_are_told() -> None:
    """So that the property above is not one of silence."""
    with catalogue(_RULES):
        world = _World(FakeReceiver())
        for value in [
            5_000.0,
            5_100.0,
            5_000.0,
            5_100.0,
            5_000.0,
            30_000.0,
            500.0,
            None,
            None,
            None,
            None,
            None,
        ]:
            world.batch([value, None, None])
            world.publish()
            while world.teller.run_once():
                pass
        world.settle()
        kinds = [one["kind"] for one in world.receiver.took]
        assert kinds == ["streak", "streak", "anomaly", "anomaly_over", "streak_broken", "silent"]
        assert {one["userId"] for one in world.receiver.took} == {str(_USERS[0])}


def test_quiet_hours_hold_and_lose_nothing() -> None:
    """What is found at noon is told after two, and never in the quiet hours of a later day."""
    with catalogue(_RULES):
        tries: list[datetime] = []

        def fails() -> str:
            tries.append(world.now)
            return "unreachable" if len(tries) < 35 else ""

        world = _World(FakeReceiver(fails), parse("11:00-14:00"))
        for value in (5_000.0, 5_100.0):
            world.batch([value, None, None])
            world.publish()
            world.teller.run_once()
        assert world.receiver.took == []
        assert world.now.hour == 12
        world.settle()
        assert (tries[-1] - tries[0]) > timedelta(hours=24)
        assert [one for one in tries if 11 <= one.hour < 14] == []
        assert [one["kind"] for one in world.receiver.took] == ["streak"]
        assert list(world.database["analytics_told"].find({"due": {"$exists": True}})) == []


def test_who_is_away_for_days_gets_letters_and_no_batch_waits() -> None:
    """One for each notice, with who and what; then nothing waits any more."""
    with catalogue(_RULES):
        world = _World(FakeReceiver(lambda: "unreachable"))
        for value in (5_000.0, 5_100.0):
            world.batch([value, None, None])
            world.publish()
            world.teller.run_once()
        world.now += KEPT
        world.settle()
        (letter,) = world.letters
        assert (letter.reason, letter.field) == ("notice_undelivered", "webhook")
        assert letter.document["notice"]["kind"] == "streak"
        assert letter.document["userId"] == _USERS[0]


def test_a_notice_that_is_refused_is_a_letter_at_once() -> None:
    """And is told again when a person asks for it."""
    with catalogue(_RULES):
        answers = iter(["bad_request"])
        world = _World(FakeReceiver(lambda: next(answers, "")))
        for value in (5_000.0, 5_100.0):
            world.batch([value, None, None])
            world.publish()
            while world.teller.run_once():
                pass
        (letter,) = world.letters
        assert letter.reason == "notice_refused"
        assert world.receiver.took == []


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("y")])
def test_the_thread_outlives_any_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """It goes on with the next look; a batch never notices."""
    with catalogue(_RULES):
        world = _World(FakeReceiver())
        world.batch([5_000.0, None, None])
        world.publish()
        world.batch([5_100.0, None, None])
        world.publish()
        looks = iter([error])
        real = world.teller._look

        def look() -> bool:
            if (fault := next(looks, None)) is not None:
                raise fault
            return real()

        monkeypatch.setattr(world.teller, "_look", look)
        monkeypatch.setattr("pipelines.health.telling.teller._LOOK_SECONDS", 0.01)
        world.teller.start()
        for _ in range(500):
            if world.receiver.took:
                break
            threading.Event().wait(0.01)
        world.teller.close(5)
        assert [one["kind"] for one in world.receiver.took] == ["streak"]


def test_what_is_stored_of_one_person_silences_nobody_else() -> None:
    """Somebody may have put anything into it."""
    with catalogue(_RULES):
        world = _World(FakeReceiver())
        world.database["analytics_told"].insert_one({"_id": _USERS[0], "version": 1, "known": "much"})
        for value in (5_000.0, 5_100.0):
            world.batch([value, value, None])
            world.publish()
            while world.teller.run_once():
                pass
        assert [one["userId"] for one in world.receiver.took] == [str(_USERS[1])]


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """People are looked at one by one, as if there were thousands."""
    monkeypatch.setattr("pipelines.health.telling.teller._AT_ONCE", 1)


def test_a_death_while_others_are_caught_up_with_loses_nobody(one_by_one: None) -> None:
    """What comes meanwhile does not move the mark behind which nobody is looked for."""
    with catalogue(_RULES):
        world = _World(FakeReceiver())
        world.batch([5_000.0] * 3)
        world.publish()
        while world.teller.run_once():
            pass
        world.batch([5_100.0] * 3)
        world.restart()
        world.teller.run_once()
        world.now += 2 * timedelta(hours=1)
        world._store(_USERS[0])
        world.teller.publish(_USERS[:1], world.now)
        world.teller.run_once()
        world.restart()
        world.settle()
        assert {one["userId"] for one in world.receiver.took} == set(map(str, _USERS))


def test_who_has_new_results_is_not_silent(one_by_one: None) -> None:
    """Although nobody looked at them yet, because others come first."""
    with catalogue(_RULES):
        world = _World(FakeReceiver())
        world.batch([5_000.0] * 3)
        world.publish()
        while world.teller.run_once():
            pass
        for _ in range(3):
            world.batch([None] * 3)
        world.batch([5_000.0] * 3)
        world.publish()
        while world.teller.run_once():
            pass
        assert [one for one in world.receiver.took if one["kind"] == "silent"] == []


def test_a_streak_that_comes_back_is_not_told_again() -> None:
    """Its day was corrected to too little and back again: the same ids, so nothing new waits."""
    with catalogue(_RULES):
        world = _World(FakeReceiver())
        for value in (5_000.0, 5_100.0):
            world.batch([value, None, None])
        for value in (5_100.0, 500.0, 5_100.0, 500.0, 5_100.0):
            world.series[_USERS[0]][max(world.series[_USERS[0]])] = value
            world.repeat()
            world.publish()
            while world.teller.run_once():
                pass
        assert [one["kind"] for one in world.receiver.took] == ["streak", "streak_broken"]


def test_who_finds_no_room_is_looked_at_all_the_same() -> None:
    """Without another batch, and without another process."""
    with catalogue(_RULES):
        world = _World(FakeReceiver())
        world.batch([5_000.0] * 3)
        world.publish()
        while world.teller.run_once():
            pass
        world.teller._max_waiting = 1
        world.batch([5_100.0] * 3)
        world.publish()
        while world.teller.run_once():
            pass
        assert {one["userId"] for one in world.receiver.took} == set(map(str, _USERS))


def test_who_is_computed_while_people_are_looked_at_waits(
    one_by_one: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of the batch too; a look that read the results of before is not the last one."""
    with catalogue(_RULES):
        world = _World(FakeReceiver())
        world.batch([5_000.0] * 3)
        world.publish()
        real, batches = world.teller._look_at, iter([[5_100.0] * 3])

        def look_at(state: State, own: ZoneInfo) -> State:
            looked = real(state, own)
            for values in batches:
                world.batch(values)
                world.publish()
            return looked

        monkeypatch.setattr(world.teller, "_look_at", look_at)
        while world.teller.run_once():
            pass
        assert {one["userId"] for one in world.receiver.took} == set(map(str, _USERS))
