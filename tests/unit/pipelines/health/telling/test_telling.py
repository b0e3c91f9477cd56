"""A run's telling: off without a receiver, wired with one, its warnings, letters and secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import mongomock
import pytest
from bson import ObjectId
from pydantic import SecretStr
from pymongo.errors import OperationFailure
from structlog.testing import capture_logs

from analytics.health.documents import midnight
from contracts import ConfigurationError
from contracts.quiet_hours import parse
from monitoring.metrics import Metrics
from pipelines.health.dead_letter_retry import LetterRetry
from pipelines.health.telling.telling import Rules, Telling
from settings import load
from sinks.dead_letters import DeadLetters, Letter
from sinks.health.told_states import ToldStates
from tests.support.fake_backend import TOKEN, FakeBackend
from tests.support.waiting import wait_for
from tests.unit.monitoring.test_metrics import samples

_NOW = datetime.now(timezone.utc).replace(microsecond=0)
_TODAY = (_NOW - datetime(1970, 1, 1, tzinfo=timezone.utc)).days
_SECRET = "a-secret-of-the-webhook"  # noqa: S105


class Bench:
    """A run with a backend as its receiver, which keeps what it was sent."""

    def __init__(self, folder: Path, webhook: str = "", quiet: str = "") -> None:
        self.server = FakeBackend()
        self.database: Any = mongomock.MongoClient(tz_aware=True)["x"]
        self.letters, self.metrics = DeadLetters(folder / "dlq"), Metrics(folder)
        self.clock = SimpleNamespace(now=lambda: datetime.now(timezone.utc))
        rules = Rules(
            SecretStr(webhook), SecretStr(_SECRET), self.server.address, SecretStr(TOKEN), "UTC",
            quiet=parse(quiet), per_second=1_000.0,
        )  # fmt: skip
        self.telling = Telling(rules, self.database["analytics"], self.letters, self.clock, self.metrics)

    def streak(self, days: int, user: ObjectId) -> None:
        """Store and publish a streak of steps that ends today."""
        points = [{"date": midnight(_TODAY - age), "value": 5_000.0} for age in reversed(range(days))]
        key = {"userId": user, "metricType": "steps", "timeRange": "90day"}
        moment = datetime.now(timezone.utc)
        result = {"historicalData": points, "analytics": {"streakDays": days}, "calculatedAt": moment}
        self.database["analytics"].update_one(key, {"$set": result}, upsert=True)
        self.telling.publish([user], moment)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Closed at the end."""
    made = Bench(tmp_path)
    yield made
    made.telling.close(5)
    made.server.down()


def test_the_backend_hears_of_a_milestone_once(bench: Bench) -> None:
    """As an event of its own, with what its client needs to drop a second one; and it is counted."""
    user = ObjectId()
    bench.streak(7, user)
    wait_for(lambda: len(bench.server.requests) > 0, "a notice")
    bench.streak(8, user)
    bench.telling.close(10)
    (request,) = bench.server.requests
    event = json.loads(request.body)
    assert (event["userId"], event["eventType"]) == (str(user), "analytics:transition")
    assert event["data"]["kind"] == "streak"
    assert event["data"]["message"] == "7 days in a row with more than 1,000 steps"
    assert event["data"]["documentId"] == event["data"]["id"]
    assert samples(bench.metrics.path)["health_notices_total{sent}{backend}"] == 1
    assert bench.telling.summary() == "📨 Told once: 1 sent (backend)"


def test_a_refused_notice_is_a_letter_that_can_be_told_again(bench: Bench) -> None:
    """Not by the retry that comes by itself: the receiver does not want it."""
    bench.server.broken = 400
    with capture_logs() as logs:
        bench.streak(7, ObjectId())
        wait_for(lambda: bench.letters.count() == 1, "a letter")
    assert any("refused a notice as malformed" in str(line["event"]) for line in logs)
    bench.server.broken = None
    retry = LetterRetry(
        bench.letters, bench.database["healthmetrics"], cast(Any, None), bench.clock, lambda: "batch_1", 0.0,
        bench.telling.again,
    )  # fmt: skip
    retry.run_due()
    assert bench.letters.count() == 1
    outcome = retry.run([one for one in bench.letters.read() if isinstance(one, Letter)])
    assert len(outcome.resolved) == 1
    bench.telling.close(10)
    assert bench.letters.count() == 0
    assert [request.status for request in bench.server.requests] == [400, 200]


def test_a_letter_without_its_receiver_stays(bench: Bench) -> None:
    """One of a webhook that is not configured any more."""
    letter = SimpleNamespace(record={"_id": "x", "userId": ObjectId(), "receiver": "webhook", "notice": {}})
    assert bench.telling.again(cast(Letter, letter)) is False


def test_a_receiver_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    """One warning without the address; what is new waits in the database."""
    with capture_logs() as logs:
        made = Bench(tmp_path, "http://me:hunter2@127.0.0.1:9/T0KEN")
        made.streak(7, ObjectId())
        wait_for(lambda: len(made.server.requests) > 0, "a notice to the backend")
        made.telling.close(10)
    made.server.down()
    warned = [str(line["event"]) for line in logs if line["log_level"] == "warning"]
    assert len(warned) == 1
    assert "NOTIFY_WEBHOOK_URL" in warned[0]
    assert not any(secret in str(logs) for secret in ("hunter2", "T0KEN", _SECRET))
    (state,) = made.database["analytics_told"].find({"due": {"$exists": True}})
    assert [one["to"] for one in state["waiting"]] == [["webhook"]]


def test_quiet_hours_are_those_of_the_person(tmp_path: Path) -> None:
    """Of two people one lives where it is quiet now; a zone that is none is that of the calendar days."""
    now = datetime.now(timezone.utc)
    quiet = f"{now + timedelta(hours=11):%H:%M}-{now + timedelta(hours=13):%H:%M}"
    made = Bench(tmp_path, quiet=quiet)
    there, here, nowhere = ObjectId(), ObjectId(), ObjectId()
    made.database["users"].insert_many(
        [{"_id": there, "timezone": "Etc/GMT-12"}, {"_id": nowhere, "timezone": "Atlantis"}]
    )
    for user in (there, here, nowhere):
        made.streak(7, user)
    wait_for(lambda: len(made.server.requests) == 2, "two notices")
    made.telling.close(10)
    made.server.down()
    told = {json.loads(request.body)["userId"] for request in made.server.requests}
    assert told == {str(here), str(nowhere)}
    (state,) = made.database["analytics_told"].find({"due": {"$exists": True}})
    assert state["_id"] == there


def test_it_is_off_by_default(tmp_path: Path) -> None:
    """Nothing is stored either."""
    database: Any = mongomock.MongoClient(tz_aware=True)["x"]
    nobody = Rules(SecretStr(""), SecretStr(""), "http://localhost", SecretStr(""), "UTC")
    clock = SimpleNamespace(now=lambda: _NOW)
    telling = Telling(nobody, database["analytics"], DeadLetters(tmp_path), clock, Metrics(tmp_path))
    telling.publish([ObjectId()], _NOW)
    telling.close(1)
    assert database.list_collection_names() == []
    assert telling.summary() is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"notify_webhook_url": "https://host/x"}, "NOTIFY_WEBHOOK_SECRET: is missing"),
        ({"notify_webhook_url": "ftp://host/x"}, "NOTIFY_WEBHOOK_URL: must start with http"),
        ({"notify_webhook_url": "https://host/a b"}, "NOTIFY_WEBHOOK_URL: must be an address"),
        ({"notify_webhook_secret": "short"}, "NOTIFY_WEBHOOK_SECRET: must have at least 16"),
    ],
)
def test_wrong_settings_are_told_at_the_start(given: dict[str, str], told: str) -> None:
    """By name, without their value."""
    with pytest.raises(ConfigurationError) as fault:
        load(env_file=None, **given)
    assert told in str(fault.value)
    assert not any(value in str(fault.value) for value in given.values())


def test_the_address_is_secret_like_the_secret() -> None:
    """Its password, and its path, which says who may post there."""
    url = "https://me:hunter2@host/T0KEN"
    settings = load(env_file=None, notify_webhook_url=url, notify_webhook_secret=_SECRET)
    assert {"hunter2", url, _SECRET} <= set(settings.secrets())
    assert "T0KEN" not in repr(settings)


def test_a_collection_that_may_not_be_written_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its name and the command that says more; the batch goes on."""

    def refuse(_states: Any) -> None:
        raise OperationFailure("not authorized", 13)

    monkeypatch.setattr(ToldStates, "ensure_indexes", refuse)
    monkeypatch.setattr("pipelines.health.telling.teller._LOOK_SECONDS", 0.01)
    with capture_logs() as logs:
        made = Bench(tmp_path)
        made.streak(7, ObjectId())
        wait_for(lambda: made.telling._counts["database_error (none)"] > 2, "three tries")
        made.telling.close(5)
    made.server.down()
    warned = [str(line["event"]) for line in logs if line["log_level"] == "warning"]
    assert len(warned) == 1
    assert "analytics_told" in warned[0]
    assert "check" in warned[0]
